"""The keys of stored data: thread, namespace and checkpoint, validated before they reach a database."""

import functools
from hashlib import blake2b
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from ...tools.errors import MissingThreadId
from ..identifiers import checked, unusable_nul
from ..tables.checkpoints import CHECKPOINT_ID_LENGTH, NAMESPACE_KEY_LENGTH, THREAD_ID_LENGTH


class Place(NamedTuple):
    """A thread and namespace, and perhaps a checkpoint in it."""

    thread_id: str
    namespace: str
    checkpoint_id: str | None

    @property
    def namespace_key(self) -> str:
        """The namespace, or its digest where it is too long for an index."""
        namespace = self.namespace
        return namespace if not namespace or len(namespace) < NAMESPACE_KEY_LENGTH else namespace_key(namespace)

    @property
    def short(self) -> tuple[str, str, str | None]:
        """The place by its keys, because a namespace may have any length and many places are cached."""
        return self.thread_id, self.namespace_key, self.checkpoint_id

    @property
    def long_namespace(self) -> str | None:
        """The namespace, if the key is only its digest."""
        return self.namespace if len(self.namespace) >= NAMESPACE_KEY_LENGTH else None

    def at(self, checkpoint_id: str) -> "Place":
        """The place of a checkpoint here.

        Raises:
            InputError: Its id is too long or holds a NUL character.
        """
        return _checked_place(self.thread_id, self.namespace, checkpoint_id)

    def config(self, checkpoint_id: str) -> RunnableConfig:
        """LangGraph's config for a checkpoint here."""
        return {
            "configurable": {
                "thread_id": self.thread_id,
                "checkpoint_ns": self.namespace,
                "checkpoint_id": checkpoint_id,
            }
        }


def place_of(config: RunnableConfig) -> Place:
    """Read the place out of a config.

    Raises:
        MissingThreadId: The config names no thread.
        InputError: An id is too long or holds a NUL character.
    """
    configurable: dict[str, Any] = config.get("configurable") or {}
    thread_id = configurable.get("thread_id")
    if thread_id is None:
        raise MissingThreadId(
            'The config names no thread. Nothing was read or written. Give one: {"configurable": {"thread_id": "…"}}.'
        )
    namespace = configurable.get("checkpoint_ns") or ""
    checkpoint_id = configurable.get("checkpoint_id") or None
    if type(thread_id) is not str:
        thread_id = str(thread_id)
    if checkpoint_id is not None and type(checkpoint_id) is not str:
        checkpoint_id = str(checkpoint_id)
    return _checked_place(thread_id, namespace, checkpoint_id)


@functools.lru_cache(maxsize=1024)
def _checked_place(thread_id: str, namespace: str, checkpoint_id: str | None) -> Place:
    """The checked place; cached, because a step uses each several times."""
    if "\0" in namespace:
        raise unusable_nul("checkpoint_ns")
    if checkpoint_id is not None:
        checkpoint_id = checked("checkpoint_id", checkpoint_id, CHECKPOINT_ID_LENGTH)
    return Place(_checked_thread(thread_id), namespace, checkpoint_id)


@functools.lru_cache(maxsize=1024)
def _checked_thread(thread_id: str) -> str:
    """The checked id of a thread; cached separately, because each step has new checkpoints on the same one."""
    return checked("thread_id", thread_id, THREAD_ID_LENGTH)


def namespace_key(namespace: str) -> str:
    """The namespace, or its digest where it is too long for an index."""
    if len(namespace) < NAMESPACE_KEY_LENGTH:
        return namespace
    return "#" + blake2b(namespace.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
