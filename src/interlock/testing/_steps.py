"""The steps of a script, and their conversion to messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall

from ._calls import Call
from ._errors import InvalidStep

Answer: TypeAlias = AIMessage | str | Call | Sequence[Call | str] | Exception
"""What a model does once: a message, a text, a tool call, several calls (texts among them), or a failure to raise."""

Step: TypeAlias = Answer | Callable[[list[BaseMessage], list[str]], Answer]
"""An answer, or a function of the conversation and the names of the offered tools that decides on one."""

MintId: TypeAlias = Callable[[], str]


def decide(step: Step, messages: list[BaseMessage], offered: list[str]) -> Answer:
    """Evaluate a step in this conversation."""
    if isinstance(step, (AIMessage, str, Call, Exception, Sequence)):
        return step
    if callable(step):
        return step(messages, offered)
    raise _not_a_step(step)


def to_message(answer: Answer, mint_id: MintId) -> AIMessage:
    """Convert an answer to a new message, with an id on every tool call.

    Raises:
        InvalidStep: A model could not send the answer.
        Exception: The answer is an exception, which is raised unchanged.
    """
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, AIMessage):
        return answer.model_copy(deep=True)  # copied, because a step may be used again, and LangChain modifies messages
    if isinstance(answer, str):
        return AIMessage(answer)
    if isinstance(answer, Call):
        return _proposals([answer], mint_id)
    if isinstance(answer, Sequence):
        return _proposals(answer, mint_id)
    raise _not_a_step(answer)


def check(step: Step) -> Step:
    """Validate a step when the script is created, not when it runs; returns the step."""
    if isinstance(step, (AIMessage, str, Call, Sequence)):
        to_message(step, lambda: "")
    elif not isinstance(step, Exception) and not callable(step):
        raise _not_a_step(step)
    return step


def describe(step: Step) -> str:
    """Describe a step in a few words, for error messages."""
    text = f"call({step.name!r})" if isinstance(step, Call) else repr(step)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _proposals(parts: Sequence[Call | str], mint_id: MintId) -> AIMessage:
    texts: list[str] = []
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, Call):
            raise _not_a_step(part)
        sent = _sendable(part).to_tool_call(part.id if part.id is not None else mint_id())
        if sent["type"] == "tool_call":
            calls.append(sent)
        else:
            invalid.append(sent)
    if not parts:
        raise InvalidStep(
            "An empty list is not a step: it neither proposes nor says anything. "
            'Write "" for a model that answers with silence.'
        )
    return AIMessage("\n".join(texts), tool_calls=calls, invalid_tool_calls=invalid)


def _sendable(proposal: Call) -> Call:
    try:
        json.dumps(proposal.arguments if isinstance(proposal.arguments, str) else dict(proposal.arguments))
    except (TypeError, ValueError) as error:
        raise InvalidStep(
            f"The arguments of {describe(proposal)} cannot travel as JSON ({error}). "
            "Give JSON values, as a model would send them: a date or a Decimal as a string, for instance."
        ) from error
    return proposal


def _not_a_step(thing: object) -> InvalidStep:
    return InvalidStep(
        f"{thing!r} is not a step of a script. A step is an AIMessage, a str, call(...), a list of calls, an exception "
        "to raise, or a function (messages, offered) that returns one of these."
    )
