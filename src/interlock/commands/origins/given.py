"""Reads the messages of the person who runs a graph from the input of the run, and not from any state.

An agent with the middleware and an embedded graph have no entry point of their own for a turn. The messages in their state may be a
model's summary, or somebody's earlier messages. LangGraph stores the input of a run in a checkpoint that no later step changes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import HumanMessage, convert_to_messages
from langgraph.graph import START
from pydantic import BaseModel

from ..running.checkpoint_lookup import Saved, looking_at
from ..running.scope import CHECKPOINT_MAP, RESUMING, THREAD_ID

INTERRUPT = "__interrupt__"
"""LangGraph's key for the channel versions at the resume of a run."""
MOST_STEPS = 50
"""The maximum number of steps from the outermost graph back to its input; an earlier input is unknown."""
_PEOPLE = frozenset({"user", "human"})


def is_checkpointed(saver: Saved | None, configurable: Mapping[str, Any]) -> bool:
    """Whether the outermost graph's checkpoint of this moment is stored, or there is none to be stored.

    Under LangGraph's durability `async`, the default of other graphs, it may be written later than a graph inside it starts.
    """
    thread, checkpoint = configurable.get(THREAD_ID), (configurable.get(CHECKPOINT_MAP) or {}).get("")
    if saver is None or thread is None or checkpoint is None:
        return True
    return saver.get_tuple(looking_at(str(thread), "", checkpoint)) is not None


def said_in_this_run(saver: Saved | None, configurable: Mapping[str, Any]) -> list[str]:
    """The user's messages in the input of the outermost run, by the principal of the run.

    Empty for a run that resumes after an interrupt, because another person may have started it, and without a checkpointer.

    Args:
        saver: The run's checkpointer.
        configurable: The `configurable` of a graph or node inside the run.
    """
    thread, checkpoint = configurable.get(THREAD_ID), (configurable.get(CHECKPOINT_MAP) or {}).get("")
    if saver is None or thread is None or checkpoint is None or configurable.get(RESUMING):
        return []
    resumed_at: Any = None
    for step in range(MOST_STEPS):
        saved = saver.get_tuple(looking_at(str(thread), "", checkpoint))
        source = None if saved is None else saved.metadata.get("source")
        if saved is None or source not in {"loop", "input"}:
            return []  # the state was changed in between, and earlier inputs may be another person's
        if step == 0:
            resumed_at = saved.checkpoint["versions_seen"].get(INTERRUPT, {}).get(START)
        if source == "input":
            given_at: Any = saved.checkpoint["channel_versions"].get(START)
            if given_at is None or (resumed_at is not None and resumed_at >= given_at):
                return []  # the run was resumed since
            return [*_texts(saved.checkpoint["channel_values"].get(START))]
        checkpoint = (saved.parent_config or {}).get("configurable", {}).get("checkpoint_id")
        if checkpoint is None:
            return []
    return []


def _texts(given: Any) -> Iterator[str]:
    if isinstance(given, BaseModel):
        given = {name: getattr(given, name) for name in type(given).model_fields}
    for value in given.values() if isinstance(given, Mapping) else ():
        for one in value if isinstance(value, list) and not _is_pair(value) else [value]:
            text = _user_text(one)
            if text.strip():
                yield text


def _user_text(one: Any) -> str:
    """The text of a user's message, in each form that LangChain accepts; empty for anything else, such as a plain string."""
    if isinstance(one, HumanMessage):
        return str(one.text)
    if _is_pair(one) or (isinstance(one, Mapping) and {one.get("role"), one.get("type")} & _PEOPLE):
        try:
            (message,) = convert_to_messages([tuple(one) if isinstance(one, list) else one])
        except (ValueError, TypeError, NotImplementedError, KeyError):
            return ""
        return str(message.text) if isinstance(message, HumanMessage) else ""
    return ""


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and value[0] in _PEOPLE and isinstance(value[1], str)


__all__ = ["is_checkpointed", "said_in_this_run"]
