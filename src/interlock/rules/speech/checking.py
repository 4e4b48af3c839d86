"""A workflow's check of the model's own words: what it says of them, and a message with other words."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from langchain_core.messages import AIMessage

from ...tools.contracts.yes_or_no import asked, odd_answer
from ...tools.errors import RuleError
from ..calls import MESSAGE_KEY
from ..view import GuardView

Speech = Callable[[str, GuardView[Any]], bool | str]
"""Given a model's words and the view: True lets them pass, a text replaces them, False stops them."""
_CALLS = frozenset({"tool_calls", "function_call"})
WITHHELD = "This answer was withheld."
"""What the conversation has in place of words that were stopped."""


class Said(StrEnum):
    """What became of a model's words."""

    PASSED = "passed"
    REPLACED = "replaced"
    STOPPED = "stopped"
    BROKEN = "broken"
    """The check raised, or gave no answer: the words were stopped."""


@dataclass(frozen=True)
class Heard:
    """A message after its words were checked."""

    said: Said
    message: AIMessage
    """As the conversation keeps it."""
    before: AIMessage
    """As the model gave it."""
    error: RuleError | None = None


def hear(speech: Speech, message: AIMessage, view: GuardView[Any], state: str) -> Heard:
    """Ask a check about the words of one message.

    Args:
        speech: The check.
        message: What the model said. Its words are its text; calls, reasoning and images are no words.
        view: Of the instance.
        state: Where it was said, for messages.
    """
    rule = f"the check of speech in {state!r}"
    words = text_of(message)
    try:
        answer = asked(rule, lambda: speech(words, view.apart()))
        if answer is True:
            return Heard(Said.PASSED, message, message)
        if answer is False:
            return Heard(Said.STOPPED, stopped(message), message)
        if isinstance(answer, str) and answer.strip():
            return Heard(Said.REPLACED, with_words(message, words, str(answer)), message)
        raise odd_answer(
            rule, answer, "return True to let the words pass, a text to replace them, or False to stop them"
        )
    except RuleError as error:
        return Heard(Said.BROKEN, stopped(message), message, error)


def text_of(message: AIMessage) -> str:
    """The words of a message: its text, of all its blocks."""
    content = message.content
    if isinstance(content, str):
        return content
    return "".join(
        block if isinstance(block, str) else str(block.get("text") or "") for block in content if _is_text(block)
    )


def with_words(message: AIMessage, words: str, instead: str) -> AIMessage:
    """The message with other words; its calls stay, and nothing of it repeats the words that were there."""
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
    """The message with nothing of what the model said: neither words nor calls."""
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
    """The values without those that quote the words, at any depth: some providers repeat them there."""
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
