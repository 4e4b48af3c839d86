"""The limits of a workflow in an agent: the number of calls in one message, and of model calls and denials in one turn."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents.middleware.types import ExtendedModelResponse, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, InvalidToolCall, ToolMessage

from ...commands.budgets.spending import Reserved, Spent, reserve
from ...commands.execution.commands import Commands
from ...commands.running.engine import Engine
from ...commands.running.operations import InStore, Steps
from ...commands.running.scope import Scope
from ...nodes.speaking import checked
from ...nodes.stopping import stop, why_stopped
from ...rules.calls import all_calls
from ...rules.denials import Denial, too_many
from ...rules.proposals import Proposal
from ...tools.ids import derive
from .calls import Offer
from .messages import key_of

AFTER_STOP = "interlock_after_stop"
"""In the response metadata of the first message after a stopped run was resumed: the counts of the turn restart with this message."""

Foreign = Callable[[str], bool]
"""Whether a tool does not belong to the workflow, and is allowed without the gate."""


@dataclass(frozen=True)
class Turn:
    """What happened so far in a turn."""

    calls: int
    """The number of model calls."""
    denials: int
    """The number of consecutive calls, up to now, that were denied or refused."""


def turn_of(messages: Sequence[BaseMessage], foreign: Foreign) -> Turn:
    """Count what happened since the user's last message, or since a stopped run was resumed."""
    calls = denials = 0
    unbroken = True
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        if isinstance(message, ToolMessage) and not foreign(message.name or ""):
            unbroken = unbroken and message.status == "error"
            denials += unbroken
        elif isinstance(message, AIMessage):
            calls += 1
            if message.response_metadata.get(AFTER_STOP) is True:
                break
    return Turn(calls, denials)


def within_limits(
    engine: Engine, request: ModelRequest[Any], offer: Offer, scope: Scope, foreign: Foreign
) -> Steps[str | None]:
    """Stop a turn that exceeds a limit or has spent a budget; reserve what the model call may use.

    Returns:
        The value that resumed a stopped run; None if the run did not stop.
    """
    messages = request.state.get("messages", [])
    turn = turn_of(messages, foreign)
    told: str | None = None
    why: str | Spent | None = why_stopped(engine.definition.limits, denials=turn.denials, calls=turn.calls)
    while True:
        if why is not None:
            told = yield from stop(engine, offer.instance, scope, why, denials=turn.denials, calls=turn.calls)
        reserved = yield from reserve(engine, offer.instance, offer.requester, messages)
        if isinstance(reserved, Reserved):
            offer.reserved = reserved
            return told
        why = reserved


def messages_of(response: Any) -> Sequence[Any]:
    """The messages in the response of a model call."""
    made = response.model_response if isinstance(response, ExtendedModelResponse) else response
    return made.result if isinstance(made, ModelResponse) else [made]


def with_resume_text(request: ModelRequest[Any], told: str | None) -> ModelRequest[Any]:
    """The request with the text that resumed a stopped run."""
    return request.override(messages=[*request.messages, HumanMessage(told)]) if told else request


def answer_excess(engine: Engine, scope: Scope, offer: Offer, made: Any, foreign: Foreign) -> Steps[Any]:
    """Answer the calls beyond the limit of one message, all in one step, and add the answers next to the message.

    The message keeps them as invalid calls. For each ordinary call, an agent searches all answers, which takes quadratic time.
    """
    response = made.model_response if isinstance(made, ExtendedModelResponse) else made
    limit = engine.definition.limits.proposals
    answered = {message.tool_call_id for message in response.result if isinstance(message, ToolMessage)}
    beyond: list[Proposal] = []
    kept: dict[int, AIMessage] = {}
    number_of_calls = 0
    for message in response.result:
        if not isinstance(message, AIMessage) or len(calls := all_calls(message)) <= limit:
            continue
        number_of_calls = len(calls)
        message_key = key_of(message) or derive("msg", scope.task_key)
        turned_away = [
            (number, call)
            for number, call in enumerate(calls[limit:], start=limit)
            if not foreign(str(call.get("name") or "")) and str(call["id"]) not in answered
        ]
        kept[id(message)] = _without(message, {number for number, _ in turned_away}, too_many(limit, number_of_calls))
        beyond += [
            Proposal(
                key=derive("key", message_key, number),
                message_key=message_key,
                tool=engine.definition.wire_names.to_canonical(name := str(call.get("name") or "")) or name,
                arguments=arguments if isinstance(arguments := call.get("args"), dict) else {},
                call_id=str(call["id"]),
                requester=offer.requester,
                offered=True,
                state=offer.instance.state,
                revision=offer.instance.revision,
            )
            for number, call in turned_away
        ]
    if not beyond:
        return made
    commands = Commands(engine, scope, node=None, head=None)
    denial = too_many(limit, number_of_calls)
    outcomes = yield InStore(lambda connection: commands.outcomes.deny_all(commands.unit(connection), beyond, denial))
    answers = [engine.answer(proposal, outcome.result) for proposal, outcome in zip(beyond, outcomes, strict=True)]
    return _with(made, kept, answers)


def _without(message: AIMessage, turned_away: set[int], denial: Denial) -> AIMessage:
    """The message with the calls at these positions as invalid calls, so that the agent does not execute them."""
    ordinary = [call for place, call in enumerate(message.tool_calls) if place not in turned_away]
    invalid: list[InvalidToolCall] = [
        {
            "type": "invalid_tool_call",
            "name": call["name"],
            "args": json.dumps(call["args"]),
            "id": call["id"],
            "error": denial.message,
        }
        for place, call in enumerate(message.tool_calls)
        if place in turned_away
    ]
    changed = {"tool_calls": ordinary, "invalid_tool_calls": [*invalid, *message.invalid_tool_calls]}
    return message.model_copy(update=changed) if invalid else message


def checked_response(engine: Engine, scope: Scope, offer: Offer, made: Any) -> Steps[Any]:
    """The model's response, after the state's check of its words, if it has one."""
    response = made.model_response if isinstance(made, ExtendedModelResponse) else made
    state, view = engine.definition.state(offer.instance.state), engine.view(offer.instance, offer.requester)
    kept = yield from checked(engine, state, view, scope, response.result)
    pairs = zip(response.result, kept, strict=True)
    changed = {id(old): new for old, new in pairs if new is not old and isinstance(new, AIMessage)}
    return _with(made, changed, ()) if changed else made


def _with(made: Any, kept: Mapping[int, AIMessage], answers: Sequence[ToolMessage]) -> Any:
    """The model's response with the stored form of its messages, followed by the answers."""

    def whole(messages: Sequence[Any]) -> list[Any]:
        return [*(kept.get(id(message), message) for message in messages), *answers]

    if not isinstance(made, ExtendedModelResponse):
        return ModelResponse(result=whole(made.result), structured_response=made.structured_response)
    inner = made.model_response
    response = ModelResponse(result=whole(inner.result), structured_response=inner.structured_response)
    command = made.command
    if command is not None and isinstance(command.update, dict) and "messages" in command.update:
        command = type(command)(update={**command.update, "messages": whole(command.update["messages"])})
    return ExtendedModelResponse(model_response=response, command=command)


__all__ = [
    "AFTER_STOP",
    "Turn",
    "answer_excess",
    "checked_response",
    "messages_of",
    "turn_of",
    "with_resume_text",
    "within_limits",
]
