"""Converts the answer of an MCP server to a contract's result: an output or a refusal."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from ...tools.canonical import JSON, JsonObject
from ...tools.errors import AnswerLost, Refused
from ...tools.storable import storable_text

UnknownWhen: TypeAlias = Collection[str] | Callable[[JsonObject], bool]
"""Error codes after which the effect of a call is unknown, or a function of the result that decides this."""

_LONGEST = 8_000
"""The maximum shown length of a server's error, in characters."""
_BINARY = {"image": "data", "audio": "data"}


def output_of(result: Mapping[str, Any], *, is_promised: bool) -> tuple[JSON, list[JsonObject] | None]:
    """The output of a successful call.

    Args:
        result: The server's result, as JSON.
        is_promised: Whether the tool has an output schema, so that its result has to be structured.

    Returns:
        The output: the structured content if there is any; else the text, or the list of content blocks, with size and digest for binary
        ones. And for the application the complete blocks, if some are binary.
    """
    content = [dict(block) for block in result.get("content") or []]
    whole = content if any(_is_binary(block) for block in content) else None
    if "structuredContent" in result:
        return result["structuredContent"], whole
    if not is_promised and len(content) == 1 and content[0].get("type") == "text":
        return str(content[0]["text"]), whole
    return [_kept(block) for block in content], whole


def refusal_of(tool: str, result: Mapping[str, Any]) -> Refused:
    """The refusal of the tool.

    Args:
        tool: Its name.
        result: The server's result, whose ``isError`` is true.
    """
    content = [_kept(dict(block)) for block in result.get("content") or []]
    text = "\n".join(str(block["text"]) for block in content if block.get("type") == "text").strip()
    details: dict[str, Any] = {}
    if "structuredContent" in result:
        details["structuredContent"] = result["structuredContent"]
    if any(block.get("type") != "text" for block in content):
        details["content"] = content
    message = storable_text(text)[:_LONGEST] or f"{tool} answered with an error and did not say which."
    return Refused(message, code=code_of(result) or "tool_error", details=details)


def code_of(result: Mapping[str, Any]) -> str | None:
    """The error code of a result, if its structured content has one as ``code`` or ``error.code``."""
    structured = result.get("structuredContent")
    if not isinstance(structured, Mapping):
        return None
    error = structured.get("error")
    found = structured.get("code", error.get("code") if isinstance(error, Mapping) else None)
    return str(found)[:100] if isinstance(found, str | int) and not isinstance(found, bool) else None


def is_unknown(result: JsonObject, unknown_when: UnknownWhen) -> bool:
    """Whether the call may have had an effect despite this error.

    Args:
        result: The server's result, whose ``isError`` is true.
        unknown_when: The application's rule for errors.
    """
    if callable(unknown_when):
        return unknown_when(result) is not False  # without a clear answer of the rule, the outcome is unknown
    return code_of(result) in unknown_when


def input_required(tool: str) -> Refused:
    """The error for a server that requests input during a call, because nobody is there to supply it."""
    return Refused(
        f"{tool} asks for further input in the middle of the call, and this workflow gives none. The call was not completed. "
        "Give all that is needed as arguments, or take another tool.",
        code="input_required",
    )


def no_result(server: str, tool: str) -> AnswerLost:
    """The error for an invalid answer."""
    return AnswerLost(
        f"The MCP server {server} answered the call of {tool} with something that is not a result of the "
        "protocol. It is unknown whether the call was executed. Check the server before you call it "
        "again."
    )


def _is_binary(block: Mapping[str, Any]) -> bool:
    resource = block.get("resource")
    return block.get("type") in _BINARY or (isinstance(resource, Mapping) and "blob" in resource)


def _kept(block: dict[str, Any]) -> JsonObject:
    """A content block for the record, with size and digest in place of binary data."""
    field = _BINARY.get(str(block.get("type")))
    if field is not None and field in block:
        return _without(block, field)
    resource = block.get("resource")
    if isinstance(resource, dict) and "blob" in resource:
        return {**block, "resource": _without(resource, "blob")}
    return block


def _without(block: dict[str, Any], field: str) -> JsonObject:
    try:
        raw = base64.b64decode(block[field], validate=True)
    except (binascii.Error, ValueError, TypeError):
        raw = str(block[field]).encode()
    rest = {key: value for key, value in block.items() if key != field}
    return {**rest, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


__all__ = ["UnknownWhen", "code_of", "input_required", "is_unknown", "no_result", "output_of", "refusal_of"]
