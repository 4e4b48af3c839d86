"""The listed JSON Schemas: of a call, with fields in addition to the tool's own arguments, and of its answer."""

import copy
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ...tools.canonical import JsonObject
from ...tools.contracts import ToolContract
from ...tools.kinds import ToolKind

WORKFLOW_ID, REVISION, KEY, ARGUMENTS = "workflowId", "expectedRevision", "idempotencyKey", "arguments"
PROPOSAL_ID, DATA = "proposalId", "data"

_FLAT = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "$defs",
    "definitions",
    "title",
    "description",
    "$schema",
}
"""The keywords of a schema to which properties can be added at the top; others constrain the whole object."""
_ENVELOPE: dict[str, JsonObject] = {
    WORKFLOW_ID: {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "The workflow instance.",
    },
    REVISION: {
        "type": "integer",
        "minimum": 0,
        "description": "The revision of the last result. Nothing is done when the instance has moved on since.",
    },
    KEY: {
        "type": "string",
        "minLength": 1,
        "maxLength": 128,
        "description": "Your own key: the same one gives the stored result again, a new one asks again.",
    },
}
"""Short, because a model reads them with every tool; the server's instructions have more."""


@dataclass(frozen=True)
class CallSchema:
    """The input of a call of one tool."""

    schema: JsonObject
    is_nested: bool
    """Whether the tool's own arguments are nested under `arguments`, because they would conflict with the others."""

    def own_arguments(self, given: JsonObject) -> tuple[JsonObject, JsonObject]:
        """Split a call's arguments into those for the server and the tool's own."""
        envelope = {name: value for name, value in given.items() if name in _ENVELOPE}
        if not self.is_nested:
            return envelope, {name: value for name, value in given.items() if name not in _ENVELOPE}
        own = given.get(ARGUMENTS, {})
        return envelope, own if isinstance(own, dict) else {ARGUMENTS: own}


def call_schema(contract: ToolContract, *, is_pinned: bool, moves: bool) -> CallSchema:
    """Make the served input schema of a tool: with the instance, and with the revision for a tool that can move it.

    The tool's own properties are next to these. If its schema constrains the object as a whole, or has a property of the same name, the
    tool's whole schema is nested under `arguments`.

    Args:
        contract: The tool.
        is_pinned: Whether the server serves only one instance, so that calls do not name it.
        moves: Whether the tool can move an instance, as some reads can; if not, its calls have no revision.
    """
    own = contract.offered_schema()
    envelope = ([] if is_pinned else [WORKFLOW_ID]) + ([REVISION, KEY] if moves else [])
    required = [] if is_pinned else [WORKFLOW_ID]
    if contract.kind is not ToolKind.READ:
        required.append(REVISION)
    added = {name: copy.deepcopy(_ENVELOPE[name]) for name in envelope}
    properties = own.get("properties", {})
    is_nested = (
        bool(own.keys() - _FLAT) or not isinstance(properties, dict) or bool(properties.keys() & _ENVELOPE.keys())
    )
    if not is_nested:
        names = [*required, *own.get("required", [])]
        flat: JsonObject = {**own, "type": "object", "properties": {**added, **properties}}
        if names:
            flat["required"] = names
        return CallSchema(flat, is_nested=False)
    definitions: JsonObject = {
        key: own.pop(key) for key in ("$schema", "$defs", "definitions") if key in own
    }  # so that `#/$defs/…` still resolves
    nested: JsonObject = {
        **definitions,
        "type": "object",
        "properties": {**added, ARGUMENTS: own},
        "required": [*required, ARGUMENTS],
        "additionalProperties": False,
    }
    return CallSchema(nested, is_nested=True)


def result_schema(contract: ToolContract | None = None) -> JsonObject:
    """Make the output schema of a tool: the result of a command or a read, a denial, or an open approval.

    Args:
        contract: The tool whose output is in the result; None if it may be any tool of the workflow.
    """
    output = {} if contract is None else contract.output_schema()
    definitions: JsonObject = {key: output.pop(key) for key in ("$defs", "definitions") if key in output}
    output.pop("$schema", None)
    text: JsonObject = {"type": "string"}
    return {
        "type": "object",
        **definitions,
        "properties": {
            "ok": {
                "type": ["boolean", "null"],
                "description": "true: carried out. false: not carried out, and `error` says why. null: a person must decide first; see `pending`.",
            },
            "workflowId": text,
            "previousState": text,
            "currentState": text,
            "revision": {"type": "integer", "description": "The `expectedRevision` of the next call."},
            "nextAllowedTools": {"type": "array", "items": text, "description": "The tools that may be called next."},
            "auditRef": {"type": "string", "description": "The record of this call in the audit trail."},
            "output": output,
            "error": {
                "type": "object",
                "properties": {
                    "code": text,
                    "message": text,
                    "retryable": {"type": "boolean"},
                    "details": {"type": "object"},
                },
                "required": ["code", "message"],
            },
            "pending": {
                "type": "object",
                "properties": {
                    "proposalId": {"type": "string", "description": "Ask by it what became of the proposal."},
                    "kind": {"enum": ["approval", "confirmation"]},
                    "decidedBy": text,
                    "deadline": {"type": ["string", "null"]},
                    "reasons": {"type": "array", "items": text},
                },
                "required": ["proposalId", "kind", "decidedBy"],
            },
            "replayed": {"type": "boolean", "description": "The stored result of an earlier call."},
        },
        "required": ["ok"],
    }


def snapshot_schema() -> JsonObject:
    """Make the output schema of the tools that return a snapshot of an instance; errors have the same form as for other tools."""
    shape: Any = result_schema()["properties"]
    text: JsonObject = {"type": "string"}
    objects: JsonObject = {"type": "array", "items": {"type": "object"}}
    return {
        "type": "object",
        "properties": {
            "ok": {"type": "boolean"},
            "schemaVersion": {"type": "integer"},
            "workflowId": text,
            "workflow": text,
            "version": {"type": "integer"},
            "state": text,
            "revision": shape["revision"],
            "data": {},
            "nextAllowedTools": shape["nextAllowedTools"],
            "pendingApprovals": objects,
            "waits": objects,
            "tenant": text,
            "traceId": text,
            "error": shape["error"],
        },
        "required": ["ok"],
    }


def start_schema(data: type[BaseModel] | None, fields: frozenset[str]) -> JsonObject:
    """Make the input schema of the tool that starts an instance.

    Args:
        data: The model of the workflow's data.
        fields: The fields that a client may set, by their names on the wire.
    """
    properties: dict[str, Any] = {
        KEY: {
            **_ENVELOPE[KEY],
            "description": "Your own key: starting again with the same key gives the same instance again, also after a lost answer.",
        }
    }
    made: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    if data is not None and fields:
        schema = data.model_json_schema(by_alias=True)
        chosen = {name: schema["properties"][name] for name in sorted(fields)}
        if "$defs" in schema:
            made["$defs"] = schema["$defs"]
        properties[DATA] = {"type": "object", "properties": chosen, "additionalProperties": False}
    return made


def by_id(name: str, description: str) -> JsonObject:
    """Make the input schema of a tool that takes one id."""
    one: JsonObject = {"type": "string", "minLength": 1, "maxLength": 255, "description": description}
    return {"type": "object", "properties": {name: one}, "required": [name], "additionalProperties": False}


NOTHING: JsonObject = {"type": "object", "properties": {}, "additionalProperties": False}
"""The input schema of a tool without arguments."""


__all__ = [
    "ARGUMENTS",
    "DATA",
    "KEY",
    "NOTHING",
    "PROPOSAL_ID",
    "REVISION",
    "WORKFLOW_ID",
    "CallSchema",
    "by_id",
    "call_schema",
    "result_schema",
    "snapshot_schema",
    "start_schema",
]
