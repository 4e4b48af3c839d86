"""Converts results of the workflow to MCP results: structured with the clients' tool names, and as text."""

import json
import re
from typing import Any, cast

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)
from pydantic import TypeAdapter, ValidationError

from ...rules.definition import Definition
from ...tools.canonical import JSON, JsonObject, canonical_json
from ...tools.codes import ErrorCode
from ...tools.contracts import ToolContract
from ...tools.errors import InterlockError
from ...tools.model_answers import Answers, is_plain, plain_content
from .catalog import ServedWorkflow

_STANDS = ("workflowId", "currentState", "revision", "nextAllowedTools")
"""The fields of the instance in an error's details, which move to their usual place in results."""
_OF_THE_TOOL = {ErrorCode.REFUSED.value, ErrorCode.CHECK_FAILED.value, ErrorCode.POLICY_DENIED.value}
"""Errors whose message quotes the application's own text, which stays unchanged."""
_TOOL = re.compile(r"(?<![\w.#'])[a-zA-Z_][\w-]*(?:\.[a-z_]\w*)*(?!['\w])")
_BLOCK: TypeAdapter[Any] = TypeAdapter(TextContent | ImageContent | AudioContent | EmbeddedResource | ResourceLink)


def as_named(workflow: ServedWorkflow, result: JsonObject) -> JsonObject:
    """A result or a snapshot with the clients' tool names, in its list and in the library's error messages."""
    shown = dict(result)
    allowed, error = result.get("nextAllowedTools"), result.get("error")
    if isinstance(allowed, list):
        shown["nextAllowedTools"] = [workflow.names.get(str(name), str(name)) for name in allowed]
    if isinstance(error, dict) and error.get("code") not in _OF_THE_TOOL:
        shown["error"] = {**error, "message": _TOOL.sub(workflow.as_known, str(error["message"]))}
    return shown


def answered(workflow: ServedWorkflow, result: JsonObject, contract: ToolContract | None = None) -> CallToolResult:
    """The answer to a call.

    Args:
        workflow: The workflow.
        result: The workflow's result.
        contract: The called tool, if it is one of the workflow.
    """
    shown = as_named(workflow, result)
    return CallToolResult(
        content=_content(workflow.definition, shown, contract),
        structured_content=shown,
        is_error=shown.get("ok") is False,
    )


def failed(error: InterlockError, workflow: ServedWorkflow | None = None) -> CallToolResult:
    """The answer to a call that failed before or after the gate, with the state of the instance if the error has it.

    Args:
        error: The error.
        workflow: The workflow of the instance.
    """
    result = error_body(error)
    details = cast("JsonObject", cast("JsonObject", result["error"])["details"])
    result |= {name: details.pop(name) for name in _STANDS if name in details}
    if workflow is not None:
        result = as_named(workflow, result)
    return CallToolResult(content=[TextContent(text=canonical_json(result))], structured_content=result, is_error=True)


def error_body(error: InterlockError) -> JsonObject:
    """An error in wire form."""
    return {
        "ok": False,
        "error": {
            "code": str(error.code),
            "message": error.message,
            "retryable": error.retryable,
            "details": {**error.details},
        },
    }


def _content(definition: Definition, result: JsonObject, contract: ToolContract | None) -> list[ContentBlock]:
    blocks = _blocks(result.get("output"))
    if contract is None:
        return [TextContent(text=canonical_json(result))]
    if (contract.answers or definition.answers) is Answers.PLAIN and "output" in result and is_plain(result):
        if blocks:
            return blocks
        plain = plain_content(result)
        return [TextContent(text=plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))]
    return [TextContent(text=canonical_json(result)), *blocks]


def _blocks(output: JSON) -> list[ContentBlock]:
    """The content blocks of an output, in MCP's shapes or LangChain's; empty for any other output."""
    items = output if isinstance(output, list) else [output]
    read = [block_of(item) for item in items]
    return cast("list[ContentBlock]", read) if read and all(one is not None for one in read) else []


def block_of(item: JSON) -> ContentBlock | None:
    """A content block, in MCP's shape or LangChain's; None for anything else."""
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        return None
    data, mime_type = item.get("base64", item.get("data")), item.get("mime_type", item.get("mimeType"))
    if isinstance(data, str) and isinstance(mime_type, str):
        match item["type"]:
            case "image":
                return ImageContent(data=data, mime_type=mime_type)
            case "audio":
                return AudioContent(data=data, mime_type=mime_type)
            case "file":
                uri = str(item.get("id") or "interlock:file")
                return EmbeddedResource(resource=BlobResourceContents(uri=uri, mime_type=mime_type, blob=data))
    try:
        return cast("ContentBlock", _BLOCK.validate_python(item))
    except ValidationError:
        return None


__all__ = ["answered", "as_named", "block_of", "error_body", "failed"]
