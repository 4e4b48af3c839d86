"""Checks the model's text before it enters the conversation, in states that have a check (`speech=`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from sqlalchemy.engine import Connection

from ..checkpointing.store import AuditKind
from ..commands.running.broken_rules import report
from ..commands.running.engine import Engine
from ..commands.running.facts import StoredFacts
from ..commands.running.operations import InStore, Look, Steps
from ..commands.running.scope import Scope
from ..rules.definition import State
from ..rules.speech.checking import Heard, Said, Speech, hear, text_of
from ..rules.view import GuardView
from ..tools.canonical import digest
from ..tools.codes import ErrorCode
from ..tools.principal import Principal


def quietly(state: State, config: RunnableConfig) -> RunnableConfig:
    """The config for a model call: if the state checks the text, LangGraph's stream mode `messages` gets none of it before the check."""
    if state.speech is None:
        return config
    # LangGraph would stream the result of a runnable that has the node's own name, so it gets another name.
    named = {} if state.node is None else {"run_name": f"{state.name}.node"}
    return cast("RunnableConfig", {**config, **named, "tags": [*(config.get("tags") or ()), TAG_NOSTREAM]})


def checked(
    engine: Engine,
    state: State,
    view: GuardView,
    scope: Scope,
    messages: Sequence[BaseMessage],
) -> Steps[list[BaseMessage]]:
    """New messages in the form for the conversation: the text of each message of the model is checked separately.

    A replaced or stopped text is recorded, without the text. If the check raises or gives no valid answer, the text is stopped.

    Args:
        engine: The workflow.
        state: The state in which the model was called.
        view: The view of the instance.
        scope: The scope of the run.
        messages: The new messages.
    """
    speech = state.speech
    spoken = [one for one in messages if isinstance(one, AIMessage) and text_of(one).strip()]
    if speech is None or not spoken:
        return [*messages]
    asks: Speech = speech
    # The view for the check is new, so that it counts calls that were executed since the view for the model was used.
    fresh = replace(view, facts=StoredFacts(engine.store, engine.definition, view.workflow_id, None))
    heard: list[Heard] = yield Look(lambda: [hear(asks, one, fresh, state.name) for one in spoken])
    changed = [one for one in heard if one.said is not Said.PASSED]
    for one in changed:
        if one.error is not None:
            report(one.error, view)
    if changed:
        by, name = view.principal, state.name
        yield InStore(lambda connection: _record(engine, connection, scope, by=by, state=name, changed=changed))
    kept: Mapping[int, Any] = {id(one.before): one.message for one in heard}
    return [kept.get(id(one), one) for one in messages]


def checked_words(
    engine: Engine, state: State, view: GuardView, scope: Scope, before: list[BaseMessage], *, message: AIMessage | None
) -> Steps[tuple[list[BaseMessage], AIMessage | None]]:
    """As `checked`, for the message that may propose, and for those before it."""
    if state.speech is None:
        return before, message
    new = yield from checked(engine, state, view, scope, [*before, *([] if message is None else [message])])
    return (new, None) if message is None else (new[:-1], cast("AIMessage", new[-1]))


def _record(
    engine: Engine, connection: Connection, scope: Scope, *, by: Principal, state: str, changed: Sequence[Heard]
) -> None:
    unit = engine.store.unit(connection, scope.workflow_id)
    if unit is None:
        return
    for one in changed:
        words, calls = text_of(one.before), len(one.before.tool_calls) + len(one.before.invalid_tool_calls)
        unit.record(
            AuditKind.SPEECH,
            by,
            {
                "state": state,
                "outcome": one.said.value,
                "characters": len(words),
                "digest": digest(words),
                "callsDropped": 0 if one.said is Said.REPLACED else calls,
                **({} if one.error is None else {"problem": one.error.message}),
            },
            code=None if one.error is None else ErrorCode.RULE_ERROR.value,
        )
    unit.flush()


__all__ = ["checked", "checked_words", "quietly"]
