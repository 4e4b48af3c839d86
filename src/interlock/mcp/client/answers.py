"""What an MCP server answered to a call, as what a contract's tool gives: an output, or the tool's own no."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from ...tools.canonical import JSON, JsonObject
from ...tools.errors import AnswerLost, Refused
from ...tools.storable import storable_text

UnknownWhen: TypeAlias = Collection[str] | Callable[[JsonObject], bool]
"""Error codes after which it is not known whether a call had its effect; or a function of the result that says so."""

_LONGEST = 8_000
"""Characters of an error that a server answers with that are told."""
_BINARY = {"image": "data", "audio": "data"}


def output_of(result: Mapping[str, Any], *, is_promised: bool) -> tuple[JSON, list[JsonObject] | None]:
    """Give the output of a call that went well.

    Args:
        result: The server's result, as JSON.
        is_promised: Whether the tool has an output schema, so that its result has to be structured.

    Returns:
        The output: what is structured where there is such a thing; else the text, or the list of content blocks, binary ones by their
        size and digest. And the blocks whole where something binary is among them, for the application.
    """
    content = [dict(block) for block in result.get("content") or []]
    whole = content if any(_is_binary(block) for block in content) else None
    if "structuredContent" in result:
        return result["structuredContent"], whole
    if not is_promised and len(content) == 1 and content[0].get("type") == "text":
        return str(content[0]["text"]), whole
    return [_kept(block) for block in content], whole


def refusal_of(tool: str, result: Mapping[str, Any]) -> Refused:
    """Give the tool's own no.

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
    """Give the error code of a result, where its structured content has one as ``code`` or ``error.code``."""
    structured = result.get("structuredContent")
    if not isinstance(structured, Mapping):
        return None
    error = structured.get("error")
    found = structured.get("code", error.get("code") if isinstance(error, Mapping) else None)
    return str(found)[:100] if isinstance(found, str | int) and not isinstance(found, bool) else None


def is_unknown(result: JsonObject, unknown_when: UnknownWhen) -> bool:
    """Whether it is not known after this error that nothing happened.

    Args:
        result: The server's result, whose ``isError`` is true.
        unknown_when: What the application says of errors.
    """
    if callable(unknown_when):
        return unknown_when(result) is not False  # a rule that does not answer plainly leaves it open
    return code_of(result) in unknown_when


def input_required(tool: str) -> Refused:
    """Give the answer to a server that asks for input in the middle of a call: nobody is there to give it."""
    return Refused(
        f"{tool} asks for further input in the middle of the call, and this workflow gives none. The call was not completed. "
        "Give all that is needed as arguments, or take another tool.",
        code="input_required",
    )


def no_result(server: str, tool: str) -> AnswerLost:
    """Give the error for an answer that is none."""
    return AnswerLost(
        f"The MCP server {server} answered the call of {tool} with something that is not a result of the "
        "protocol. It is unknown whether the call was executed. Check the server before you call it "
        "again."
    )


def _is_binary(block: Mapping[str, Any]) -> bool:
    resource = block.get("resource")
    return block.get("type") in _BINARY or (isinstance(resource, Mapping) and "blob" in resource)


def _kept(block: dict[str, Any]) -> JsonObject:
    """A content block as it is recorded: what is binary by its size and digest."""
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
