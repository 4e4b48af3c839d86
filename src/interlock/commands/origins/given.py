"""What anyone who runs a graph said in this run: read off the input that the run began with, and not off any state.

An agent with the middleware and a graph inside another one have no door of their own where a turn begins. The messages in their state
may be a summary that a model wrote, or what somebody put there before. LangGraph keeps the input of a run in the checkpoint that it
makes of it, which no later step changes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import HumanMessage, convert_to_messages
from langgraph.graph import START
from pydantic import BaseModel

from ..running.checkpoint_lookup import Saved, looking_at
from ..running.scope import CHECKPOINT_MAP, RESUMING, THREAD_ID

INTERRUPT = "__interrupt__"
"""Under which LangGraph notes what versions the channels had when a run was continued with."""
MOST_STEPS = 50
"""How many steps of the outermost graph are gone back to its input; what was said longer ago is not known."""
_PEOPLE = frozenset({"user", "human"})


def said_in_this_run(saver: Saved | None, configurable: Mapping[str, Any]) -> list[str]:
    """The messages of the user in the input of the outermost run, which anyone who runs it gave.

    Nothing is known of a run that continues after an interrupt, for somebody else may have begun it, nor without a checkpointer.

    Args:
        saver: The run's checkpointer.
        configurable: Where a graph inside the run, or a node of it, runs.
    """
    thread, checkpoint = configurable.get(THREAD_ID), (configurable.get(CHECKPOINT_MAP) or {}).get("")
    if saver is None or thread is None or checkpoint is None or configurable.get(RESUMING):
        return []
    resumed_at: Any = None
    for step in range(MOST_STEPS):
        saved = saver.get_tuple(looking_at(str(thread), "", checkpoint))
        source = None if saved is None else saved.metadata.get("source")
        if saved is None or source not in {"loop", "input"}:
            return []  # somebody changed the state in between, and what is further up may be another person's
        if step == 0:
            resumed_at = saved.checkpoint["versions_seen"].get(INTERRUPT, {}).get(START)
        if source == "input":
            given_at: Any = saved.checkpoint["channel_versions"].get(START)
            if given_at is None or (resumed_at is not None and resumed_at >= given_at):
                return []  # the run was continued with since
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
            text = _of_a_person(one)
            if text.strip():
                yield text


def _of_a_person(one: Any) -> str:
    """The text of a message of the user, in each form that LangChain takes; nothing for anything else, such as a plain text."""
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


__all__ = ["said_in_this_run"]
