"""Calls a workflow's check of the model's text, and applies its answer to the message."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from langchain_core.messages import AIMessage

from ...tools.contracts.yes_or_no import asked, odd_answer
from ...tools.errors import RuleError
from ...tools.storable import why_not_storable
from ..calls import MESSAGE_KEY
from ..view import GuardView

Speech = Callable[[str, GuardView[Any]], bool | str]
"""Given a model's words and the view: True lets them pass, a text replaces them, False stops them."""
_CALLS = frozenset({"tool_calls", "function_call"})
WITHHELD = "This answer was withheld."
"""The text that replaces stopped text in the conversation."""


class Said(StrEnum):
    """The result for a model's text."""

    PASSED = "passed"
    REPLACED = "replaced"
    STOPPED = "stopped"
    BROKEN = "broken"
    """The check raised or returned no valid answer, so the text was stopped."""


@dataclass(frozen=True)
class Heard:
    """A message after the check."""

    said: Said
    message: AIMessage
    """The message for the conversation."""
    before: AIMessage
    """The original message of the model."""
    error: RuleError | None = None


def hear(speech: Speech, message: AIMessage, view: GuardView[Any], state: str) -> Heard:
    """Check the text of one message.

    Args:
        speech: The check.
        message: The message of the model. Only its text is checked, not calls, reasoning or images.
        view: The view of the instance.
        state: The current state, for error messages.
    """
    rule = f"the check of speech in {state!r}"
    words = text_of(message)
    try:
        answer = asked(rule, lambda: speech(words, view.apart()))
        if answer is True:
            return Heard(Said.PASSED, message, message)
        if answer is False:
            return Heard(Said.STOPPED, stopped(message), message)
        if isinstance(answer, str) and answer.strip() and why_not_storable(answer) is None:
            return Heard(Said.REPLACED, with_words(message, words, str(answer)), message)
        raise odd_answer(
            rule,
            answer,
            "return True to let the words pass, a text that can be kept to replace them, or False to stop them",
        )
    except RuleError as error:
        return Heard(Said.BROKEN, stopped(message), message, error)


def text_of(message: AIMessage) -> str:
    """The text of all blocks of a message."""
    content = message.content
    if isinstance(content, str):
        return content
    return "".join(
        block if isinstance(block, str) else str(block.get("text") or "") for block in content if _is_text(block)
    )


def with_words(message: AIMessage, words: str, instead: str) -> AIMessage:
    """Replace the text of a message; its calls stay, and no other part repeats the old text."""
    content: Any = instead
    if not isinstance(message.content, str):
        others = [block for block in message.content if not _is_text(block)]
        content = [{"type": "text", "text": instead}, *others]
    return message.model_copy(
        update={
            "content": content,
            "additional_kwargs": _unquoted(message.additional_kwargs, words, keep=_CALLS),
            "response_metadata": _unquoted(message.response_metadata, words, keep={MESSAGE_KEY}),
        }
    )


def stopped(message: AIMessage) -> AIMessage:
    """Remove the text and the calls of a message."""
    return message.model_copy(
        update={
            "content": WITHHELD,
            "tool_calls": [],
            "invalid_tool_calls": [],
            "additional_kwargs": {},
            "response_metadata": _unquoted(message.response_metadata, text_of(message), keep={MESSAGE_KEY}),
        }
    )


def _is_text(block: Any) -> bool:
    return isinstance(block, str) or block.get("type") in {"text", "output_text", "refusal"}


def _unquoted(values: dict[str, Any], words: str, *, keep: Collection[str]) -> dict[str, Any]:
    """Remove values that quote the text, at any depth, because some providers repeat it there."""
    quoted = words.strip()
    return {name: value for name, value in values.items() if name in keep or not _quotes(value, quoted)}


def _quotes(value: Any, words: str) -> bool:
    match value:
        case str():
            return words in value
        case Mapping():
            return any(_quotes(inner, words) for inner in value.values())
        case list() | tuple():
            return any(_quotes(inner, words) for inner in value)
        case _:
            return False


__all__ = ["WITHHELD", "Heard", "Said", "Speech", "hear", "stopped", "text_of", "with_words"]
