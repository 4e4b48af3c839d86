"""The content of a result message for the model: the whole result, or only the tool's output, as in a plain agent."""

import json
from enum import StrEnum
from typing import Any, Literal, cast

from .canonical import JSON, JsonObject
from .codes import ErrorCode
from .errors import ContractError


class Answers(StrEnum):
    """The part of a result that a model receives. Denials and moves to another state are always sent whole."""

    ENVELOPE = "envelope"
    """The result with its state, its next allowed tools and its audit reference."""
    PLAIN = "plain"
    """The output alone, as LangChain would write it."""


AnswersName = Literal["envelope", "plain"]
"""`Answers` by their name."""


def answers_of(given: Answers | str, place: str) -> Answers:
    """Read the value of `answers=`.

    Raises:
        ContractError: It is not a valid value.
    """
    try:
        return Answers(given)
    except ValueError:
        raise ContractError(
            f"{place} is given answers={given!r}; give {' or '.join(repr(str(one)) for one in Answers)}"
        ) from None


def is_plain(result: JsonObject) -> bool:
    """Whether a result concerns only the tool: its output or its refusal, not a denial or a move to another state."""
    if not result.get("ok"):
        error = result.get("error")
        return isinstance(error, dict) and error.get("code") == ErrorCode.REFUSED.value
    return result.get("previousState", result["currentState"]) == result["currentState"]


def plain_content(result: JsonObject) -> Any:
    """The output as the content of a message: text and content blocks unchanged, everything else as JSON text.

    For a refusal, it is the tool's message.
    """
    from langchain_core.tools.base import TOOL_MESSAGE_BLOCK_TYPES  # noqa: PLC0415 -- heavy, and not everybody's

    if not result.get("ok"):
        return cast("JsonObject", result["error"])["message"]
    output = result.get("output")
    if isinstance(output, str):
        return output
    blocks = [isinstance(item, dict) and item.get("type") in TOOL_MESSAGE_BLOCK_TYPES for item in _list(output)]
    if blocks and all(blocks):
        return output
    return json.dumps(output, ensure_ascii=False)


def _list(output: JSON) -> list[JSON]:
    return output if isinstance(output, list) else []


def read_once(output: JSON) -> JSON:
    """Decode the JSON text that LangChain wraps around a tool's output, so that the output is encoded only once."""
    if isinstance(output, str) and output[:1] in {"{", "["}:
        try:
            read: JSON = json.loads(output)
        except ValueError:
            return output
        return read
    return output


__all__ = ["Answers", "answers_of", "is_plain", "plain_content", "read_once"]
