"""The messages of an agent with a workflow: the request to its model, the response, and unanswered calls."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from langchain.agents.middleware.types import ExtendedModelResponse, ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, RemoveMessage, ToolCall, ToolMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.types import Command

from ...checkpointing.store import ApprovalRequest
from ...nodes.conversation import for_model, put_in_order
from ...rules.calls import (
    INVALID_JSON,
    MESSAGE_KEY,
    all_calls,
    cut_off,
    problem_of,
    readable,
    repaired,
    used_of_the_providers,
)
from ...rules.proposals import Proposal
from ...tools.contracts import ToolContract
from ...tools.errors import InvalidArguments
from ...tools.ids import derive

BROKEN_OFF = (
    "The conversation continued before this call was "
    "answered, and it is unknown whether it had any effect. Check, then call it again if it is still "
    "wanted."
)
"""The answer to an unrecorded call if the user sent a new message before it was answered."""


def sent(request: ModelRequest[Any]) -> ModelRequest[Any]:
    """Make the messages of a request acceptable to providers; returns the same request if they already are."""
    messages = cast("list[AnyMessage]", for_model(request.messages))
    if len(messages) == len(request.messages) and all(map(_is, messages, request.messages)):
        return request
    return request.override(messages=messages)


def _is(one: object, other: object) -> bool:
    return one is other


def said(
    response: ModelResponse[Any] | AIMessage,
    message_key: str,
    known: Sequence[BaseMessage],
    sign: Callable[[AIMessage], AIMessage],
    keep: Callable[[AIMessage], AIMessage],
) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
    """The model's messages with unique ids for messages and calls, and with invalid calls among the ordinary ones.

    An agent answers only ordinary calls; the execution denies unreadable ones. If answers in the agent's state do not follow their
    calls, or are missing, the conversation is put in order too.

    Args:
        response: The response of the model and inner middlewares.
        message_key: The base of new ids and of the idempotency keys of the calls.
        known: The messages before it.
        sign: Signs the current calls of a message.
        keep: Rejects unfinished calls, and makes the message storable.
    """
    response = ModelResponse(result=[response]) if isinstance(response, AIMessage) else response
    new: list[BaseMessage] = []
    renamed: dict[str, list[str]] = defaultdict(list)
    for message in response.result:
        if isinstance(message, AIMessage):
            given = keep(message)
            done = readable(repaired(given, message_key, [*known, *new]))
            for before, after in zip(all_calls(given), done.tool_calls, strict=True):
                renamed[str(before.get("id"))].append(str(after["id"]))
            new.append(sign(done))
        elif isinstance(message, ToolMessage) and (left := renamed.get(message.tool_call_id)):
            # LangChain answers a structured output call itself.
            new.append(message.model_copy(update={"tool_call_id": left.pop(0)}))
        else:
            new.append(message)
    response = ModelResponse(result=new, structured_response=response.structured_response)
    ordered = put_in_order(known)
    if ordered is None:
        return response
    whole = [RemoveMessage(id=REMOVE_ALL_MESSAGES), *ordered, *new]
    return ExtendedModelResponse(model_response=response, command=Command(update={"messages": whole}))


def ungated(made: ModelResponse[Any] | ExtendedModelResponse[Any]) -> list[dict[str, Any]]:
    """The tools that the model's provider ran itself for a response."""
    response = made.model_response if isinstance(made, ExtendedModelResponse) else made
    return [used for one in response.result if isinstance(one, AIMessage) for used in used_of_the_providers(one)]


def repeated_message(message: AIMessage, broken_off: Sequence[ToolCall]) -> ModelResponse[Any]:
    """Return a message again, in its old place, so that the agent executes its open calls instead of calling its model.

    Args:
        message: The last message of the model.
        broken_off: Its calls that are not taken up, and are answered accordingly.
    """
    told = [
        ToolMessage(BROKEN_OFF, tool_call_id=str(call["id"]), name=call["name"], status="error") for call in broken_off
    ]
    return ModelResponse(result=[readable(message), *told])


def message_of(request: ToolCallRequest) -> tuple[AIMessage, int] | None:
    """The message of a call, and the call's index in it; None for a call that another middleware made."""
    message = _last_model_message(request)
    if message is None:
        return None
    wanted = request.tool_call["id"]
    # Calls with the same id are all treated as the last one, so that none passes for the first.
    place = len(message.tool_calls) + len(message.invalid_tool_calls)
    for calls in (message.invalid_tool_calls, message.tool_calls):
        for call in reversed(calls):
            place -= 1
            if call["id"] == wanted:
                return message, place
    return None


def _last_model_message(request: ToolCallRequest) -> AIMessage | None:
    return next((one for one in reversed(request.state.get("messages", [])) if isinstance(one, AIMessage)), None)


def keys_of(request: ToolCallRequest, task_key: str) -> tuple[str, str]:
    """The key of a call's message, and the call's own key; stable when the call is taken up again."""
    found = message_of(request)
    message_key = None if found is None else key_of(found[0])
    if found is None or message_key is None:
        return derive("msg", task_key), derive("key", task_key)
    return message_key, derive("key", message_key, found[1])


def key_of(message: AIMessage) -> str | None:
    """The base of the keys of a message's calls, if this library processed the message."""
    key = message.response_metadata.get(MESSAGE_KEY)
    return key if isinstance(key, str) else None


def as_asked(proposal: Proposal, approval: ApprovalRequest, contract: ToolContract, interrupt_id: str) -> Proposal:
    """A proposal with a recorded request, with the requester and the arguments of that request.

    A writer of the agent's state can change the arguments in a waiting message: its call is then another proposal with another key.
    In the requesting task itself it is the same proposal, and its approval becomes void. Defaults that differ each time do not count.
    """
    given = proposal.arguments
    for arguments in (given, {**approval.arguments, **given}) if approval.tool == proposal.tool else ():
        try:
            same = contract.bind_again(arguments, approval.arguments).canonical == approval.arguments
        except InvalidArguments:
            continue
        if same:
            return replace(
                proposal, arguments=contract.without_supplied(approval.arguments), requester=approval.requester
            )
    if approval.interrupt_id == interrupt_id:
        return proposal.changed(requester=approval.requester)
    return proposal.changed(key=derive("key", proposal.key, json.dumps(given, sort_keys=True, default=repr)))


def unreadable(request: ToolCallRequest) -> str | None:
    """The problem of a call with unreadable arguments, or of a truncated message."""
    arguments: Any = request.tool_call["args"]
    if not isinstance(arguments, dict):
        return f"the arguments are a {type(arguments).__name__} and not an object"
    message = _last_model_message(request)
    reason = None if message is None else cut_off(message)
    if reason is not None and message_of(request) is not None:
        return f"the message was cut off ({reason}) before this call was whole; make it again, and with less in one message"
    if set(arguments) != {INVALID_JSON}:
        return None
    text = str(arguments[INVALID_JSON])
    return problem_of({"type": "invalid_tool_call", "name": None, "id": None, "args": text, "error": None})


__all__ = ["as_asked", "key_of", "keys_of", "message_of", "repeated_message", "said", "sent", "ungated", "unreadable"]
