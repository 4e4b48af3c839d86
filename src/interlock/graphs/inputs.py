"""Inputs that are taken once: a run that is repeated with the same input key continues from where the first one came.

A program that does not know whether its input was taken (the process died, the answer was lost) gives it again under the same key:

    graph.invoke({"messages": [...]}, {"configurable": {"thread_id": "t-1", "input_key": "order-77"}})

LangGraph keeps the key in the metadata of every checkpoint of the run, that of the input first of all, so that the two cannot differ.
It is known for as long as the thread keeps such a checkpoint.
"""

from collections.abc import Mapping
from typing import Any

from ..checkpointing.identifiers import named
from ..commands.running.checkpoint_lookup import FromThreads
from ..commands.running.scope import CHECKPOINT_NS, INPUT_KEY, THREAD_ID, is_nested


def is_taken(saver: Any, configurable: Mapping[str, Any]) -> bool:
    """Whether the thread of a config took an input under the config's key before.

    Args:
        saver: The run's checkpointer; None where it can have nothing of the thread yet.
        configurable: Where it runs. A graph inside another one takes its input from that one, whose key it is.

    Raises:
        InputError: The key is empty, too long, or a database could confuse it with another one.
    """
    key = configurable.get(INPUT_KEY)
    if key is None or is_nested(configurable):
        return False
    key = named(INPUT_KEY, key, 128)
    if not saver:
        return False
    thread = {THREAD_ID: str(configurable.get(THREAD_ID)), CHECKPOINT_NS: ""}
    if isinstance(saver, FromThreads):
        return saver.has({"configurable": thread}, {INPUT_KEY: key})
    return next(iter(saver.list({"configurable": thread}, filter={INPUT_KEY: key}, limit=1)), None) is not None


__all__ = ["is_taken"]
