"""What OpenAI's chat-completions endpoint demands of a request, as far as workflows can get it wrong.

A pure function of the request's body. It is as strict as the provider, in the provider's words, so that a client that
passes here passes there. The rules are those of the public API reference and of the errors that the service gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]+")
PARTICIPANT_NAME = re.compile(r"[^\s<|\\/>]+")
ROLES = ("system", "developer", "user", "assistant", "tool")


class Refused(Exception):
    """The provider's answer of status 400: what is wrong, where in the request, and its code."""

    def __init__(self, message: str, param: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.param, self.code = message, param, code

    def body(self) -> dict[str, Any]:
        error = {"message": self.message, "type": "invalid_request_error", "param": self.param, "code": self.code}
        return {"error": error}


def check_request(body: Any) -> None:
    """Check one request.

    Raises:
        Refused: The first thing that the provider would complain of.
    """
    if not isinstance(body, dict):
        raise Refused("We could not parse the JSON body of your request.", "")
    _text(body.get("model"), "model")
    _check_tools(body)
    _check_messages(body.get("messages"))


def _check_tools(body: dict[str, Any]) -> None:
    if "tools" not in body:
        for dependent in ("tool_choice", "parallel_tool_calls"):
            if dependent in body:
                raise Refused(f"'{dependent}' is only allowed when 'tools' are specified.", dependent)
        return
    tools = body["tools"]
    if not isinstance(tools, list) or not tools:
        raise Refused("Invalid 'tools': empty array. Expected an array with minimum length 1.", "tools", "empty_array")
    if len(tools) > 128:
        raise Refused("Invalid 'tools': array too long.", "tools", "array_above_max_length")
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if tool.get("type") != "function":
            raise Refused(f"Invalid value for '{where}.type'.", f"{where}.type", "invalid_value")
        function = tool.get("function")
        if not isinstance(function, dict):
            raise Refused(f"Missing required parameter: '{where}.function'.", f"{where}.function")
        _tool_name(function.get("name"), f"{where}.function.name")
        if "description" in function:
            _text(function["description"], f"{where}.function.description", longest=1024)
        _check_parameters(function["name"], function.get("parameters", {"type": "object"}), where)


def _check_parameters(name: str, schema: Any, where: str) -> None:
    param, code = f"{where}.function.parameters", "invalid_function_parameters"
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind != "object":
        raise Refused(
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{kind}\"'.",
            param,
            code,
        )
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise Refused(f"Invalid schema for function '{name}': {error.message}", param, code) from error
    for part in _schemas_within(schema):
        if part.get("type") == "array" and "items" not in part:
            raise Refused(f"Invalid schema for function '{name}': array schema missing items.", param, code)


def _schemas_within(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
                for part in value.values():
                    yield from _schemas_within(part)
            elif key not in ("default", "enum", "const", "examples"):
                yield from _schemas_within(value)
    elif isinstance(schema, list):
        for part in schema:
            yield from _schemas_within(part)


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused("Invalid 'messages': empty array.", "messages", "empty_array")
    unanswered: list[str] = []
    asked_at = 0
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role")
        if role not in ROLES:
            raise Refused(f"Invalid value: {role!r}.", f"{where}.role", "invalid_value")
        if "name" in message and role != "tool":
            _text(message["name"], f"{where}.name", PARTICIPANT_NAME, 64)
        if role == "tool":
            _check_answer(message, where, unanswered)
            continue
        _all_answered(unanswered, asked_at)
        asked_at = index
        if role == "assistant":
            unanswered = _check_assistant(message, where)
        else:
            _content(message, where)
    _all_answered(unanswered, asked_at)


def _check_answer(message: dict[str, Any], where: str, unanswered: list[str]) -> None:
    if message.get("tool_call_id") not in unanswered:
        raise Refused(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
            "with 'tool_calls'.",
            f"{where}.role",
        )
    _content(message, where)
    unanswered.remove(message["tool_call_id"])


def _check_assistant(message: dict[str, Any], where: str) -> list[str]:
    """Check one message of the model; return the ids of its tool calls."""
    if "tool_calls" not in message:
        _content(message, where)
        return []
    calls = message["tool_calls"]
    if not isinstance(calls, list) or not calls:
        raise Refused(f"Invalid '{where}.tool_calls': empty array.", f"{where}.tool_calls", "empty_array")
    for index, made in enumerate(calls):
        at = f"{where}.tool_calls[{index}]"
        _text(made.get("id"), f"{at}.id", longest=40)
        _tool_name(made.get("function", {}).get("name"), f"{at}.function.name")
        _text(made["function"].get("arguments"), f"{at}.function.arguments", shortest=0)
    ids = [made["id"] for made in calls]
    if len(set(ids)) != len(ids):
        raise Refused(f"Duplicate value for 'tool_call_id' in {where}.", f"{where}.tool_calls", "invalid_value")
    return ids


def _all_answered(unanswered: list[str], asked_at: int) -> None:
    if unanswered:
        raise Refused(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(unanswered)}",
            f"messages[{asked_at}].tool_calls",
        )


def _content(message: dict[str, Any], where: str) -> None:
    content = message.get("content")
    if not isinstance(content, (str, list)):
        raise Refused(
            f"Invalid value for 'content': expected a string, got {message.get('content')}.", f"{where}.content"
        )


def _tool_name(name: Any, param: str) -> None:
    _text(name, param, TOOL_NAME, 64)


def _text(
    value: Any, param: str, pattern: re.Pattern[str] | None = None, longest: int | None = None, shortest: int = 1
) -> None:
    if value is None:
        raise Refused(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    if not isinstance(value, str):
        raise Refused(f"Invalid type for '{param}': expected a string.", param, "invalid_type")
    if len(value) < shortest:
        raise Refused(f"Invalid '{param}': empty string.", param, "empty_string")
    if longest is not None and len(value) > longest:
        raise Refused(
            f"Invalid '{param}': string too long. Expected a string with maximum length {longest}, "
            f"but got a string with length {len(value)} instead.",
            param,
            "string_above_max_length",
        )
    if pattern is not None and not pattern.fullmatch(value):
        raise Refused(
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
            f"'^{pattern.pattern}$'.",
            param,
            "invalid_value",
        )
