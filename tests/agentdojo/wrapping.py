"""The tools of a suite as contracts: made of their own types, with markers by type and argument and nothing by task."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from agentdojo.functions_runtime import FunctionsRuntime
from pydantic import TypeAdapter

from interlock import ToolContract
from interlock.tools.contracts.json_schema import contract_from_schema
from interlock.tools.origins import KEYWORD

READS = ("get_", "read_", "search_", "list_")
ENDS_FOR_GOOD = {"delete_email", "delete_file", "remove_user_from_slack"}
RECORDS: dict[str, dict[str, str]] = {
    "CloudDriveFile": {"id_": "id:file", "filename": "label", "owner": "own"},
    "CalendarEvent": {"id_": "id:event", "title": "label", "participants": "own"},
    "Email": {"id_": "id:email", "subject": "label", "sender": "outside", "recipients": "outside", "cc": "outside"},
    "EmailContact": {"email": "own", "name": "label"},
    "Message": {"sender": "id:user"},
}
"""Of each type of record, whose values its fields have."""
LISTS = {"get_channels": "id:channel", "get_users_in_channel": "id:user"}
"""Of tools that return plain texts, what these are."""
ARGUMENTS: dict[str, str] = {
    "recipients": "reaches", "cc": "reaches", "bcc": "reaches", "participants": "reaches", "email": "reaches",
    "user_email": "reaches", "url": "reaches",
    "subject": "content", "body": "content", "title": "content", "description": "content", "location": "content",
    "content": "content", "filename": "content",
    "email_id": "id:email", "event_id": "id:event", "file_id": "id:file", "channel": "id:channel", "recipient": "id:user",
}  # fmt: skip
"""What an argument of a command is, by its name."""
ATTACHMENTS = {
    "anyOf": [
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"enum": ["file", "event"]},
                    "file_id": {"type": "string", KEYWORD: "id:file"},
                    "event_details": {"type": "object"},
                },
            },
        },
        {"type": "null"},
    ],
    "default": None,
}
"""What the description of `send_email` says of its attachments, as a schema."""


def contracts_of(suite: Any, run: Callable[[str, dict[str, Any]], Any]) -> dict[str, ToolContract]:
    """A contract for each tool of a suite.

    Args:
        suite: The suite.
        run: Carries a call out.
    """
    return {function.name: _contract(function, run) for function in suite.tools}


def run_in(suite: Any, environment: Any, name: str, arguments: dict[str, Any]) -> Any:
    """Carry a call out in an environment, and give back what JSON can say of the result."""
    runtime = FunctionsRuntime(suite.tools)
    done, _ = runtime.run_function(environment, name, copy.deepcopy(arguments), raise_on_error=True)
    return {"result": TypeAdapter(runtime.functions[name].return_type).dump_python(done, mode="json")}


def _contract(function: Any, run: Callable[[str, dict[str, Any]], Any]) -> ToolContract:
    is_read = function.name.startswith(READS)
    given = function.parameters.model_json_schema()
    for name, schema in given.get("properties", {}).items():
        if name == "attachments":
            given["properties"][name] = dict(ATTACHMENTS)
        elif name in ARGUMENTS and (not is_read or name == "url"):
            schema[KEYWORD] = ARGUMENTS[name]
        elif name == "user" and function.name != "invite_user_to_slack":
            schema[KEYWORD] = "id:user"

    def call(arguments: dict[str, Any]) -> Any:
        return run(function.name, arguments)

    return contract_from_schema(
        function.name,
        given,
        call,
        output_schema=_marked_output(function),
        kind="read" if is_read else "command",
        **({} if is_read else {"effect": "transactional"}),
        description=function.description,
        annotations={"destructiveHint": function.name in ENDS_FOR_GOOD} if not is_read else None,
        trust_markers=True,
    )


def _marked_output(function: Any) -> dict[str, Any]:
    schema = TypeAdapter(function.return_type).json_schema(mode="serialization")
    for name, fields in RECORDS.items():
        kinds = [schema, *schema.get("$defs", {}).values()]
        for kind in kinds:
            if kind.get("title") == name:
                for field, mark in fields.items():
                    kind["properties"][field][KEYWORD] = mark
    if function.name in LISTS:
        schema["items"][KEYWORD] = LISTS[function.name]
    return {"type": "object", "properties": {"result": schema}, "$defs": schema.pop("$defs", {})}
