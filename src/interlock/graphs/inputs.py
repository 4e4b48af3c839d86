"""Idempotent inputs: a repeated run with the same input key resumes the first one.

A program that does not know whether its input was taken (the process died, the answer was lost) repeats it with the same key:

    graph.invoke({"messages": [...]}, {"configurable": {"thread_id": "t-1", "input_key": "order-77"}})

LangGraph stores the key in the metadata of every checkpoint of the run, including the one of the input, so that the input and its key are
stored together. The key is known as long as the thread has such a checkpoint.
"""

from collections.abc import Mapping
from typing import Any

from ..checkpointing.identifiers import named
from ..commands.running.checkpoint_lookup import FromThreads
from ..commands.running.scope import CHECKPOINT_NS, INPUT_KEY, THREAD_ID, is_nested


def is_taken(saver: Any, configurable: Mapping[str, Any]) -> bool:
    """Whether the thread of a config has already taken an input with the config's key.

    Args:
        saver: The run's checkpointer; None if it cannot have the thread yet.
        configurable: The `configurable` of the run. The key belongs to the outermost graph, which passes input on to graphs inside it.

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
