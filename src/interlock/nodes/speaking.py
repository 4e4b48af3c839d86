"""The model's own words, checked before the conversation has them, where a state has a check (`speech=`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from sqlalchemy.engine import Connection

from ..checkpointing.store import AuditKind
from ..commands.running.broken_rules import tell
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
    """The config to ask a model with: where its words are checked, LangGraph's mode `messages` streams none before that."""
    if state.speech is None:
        return config
    # What runs in a node under the node's own name counts as the node there, and what it returns would be streamed.
    named = {} if state.node is None else {"run_name": f"{state.name}.node"}
    return cast("RunnableConfig", {**config, **named, "tags": [*(config.get("tags") or ()), TAG_NOSTREAM]})


def checked(
    engine: Engine,
    state: State,
    view: GuardView,
    scope: Scope,
    messages: Sequence[BaseMessage],
) -> Steps[list[BaseMessage]]:
    """New messages as the conversation keeps them: the model's words checked, each of its messages by itself.

    What was replaced or stopped is recorded, without the words. Where the check raises or gives no answer, the words are stopped.

    Args:
        engine: The workflow.
        state: Where it was said.
        view: Of the instance.
        scope: Of the run.
        messages: What is new.
    """
    speech = state.speech
    spoken = [one for one in messages if isinstance(one, AIMessage) and text_of(one).strip()]
    if speech is None or not spoken:
        return [*messages]
    asks: Speech = speech
    # What was carried out meanwhile counts: the view that the model was asked with may have looked before.
    fresh = replace(view, facts=StoredFacts(engine.store, engine.definition, view.workflow_id, None))
    heard: list[Heard] = yield Look(lambda: [hear(asks, one, fresh, state.name) for one in spoken])
    changed = [one for one in heard if one.said is not Said.PASSED]
    for one in changed:
        if one.error is not None:
            tell(one.error, view)
    if changed:
        by, name = view.principal, state.name
        yield InStore(lambda connection: _record(engine, connection, scope, by=by, state=name, changed=changed))
    kept: Mapping[int, Any] = {id(one.before): one.message for one in heard}
    return [kept.get(id(one), one) for one in messages]


def checked_words(
    engine: Engine, state: State, view: GuardView, scope: Scope, before: list[BaseMessage], *, message: AIMessage | None
) -> Steps[tuple[list[BaseMessage], AIMessage | None]]:
    """As `checked`, of the message that may propose, and of those before it."""
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
