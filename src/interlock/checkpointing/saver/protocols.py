"""Protocols between jobs, the line and the statements of a dialect: the waiter of a job, and its storage.

`storage` depends on all of them, so they refer to it only by these protocols. And what LangGraph asks of a checkpointer's methods.
"""

import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Protocol, TypeVar

from .keys import Place

Method = TypeVar("Method", bound=Callable[..., Any])


class Told(Enum):
    """A message to the waiter of a job."""

    DONE = 1
    """The job is committed or failed."""
    APART = 2
    """The waiter has to execute the job separately."""
    LEAD = 3
    """The previous leader stops, and the waiter has to lead."""


class Waiter(Protocol):
    """The waiter of a job: a thread or a task."""

    def tell(self, what: Told) -> None:
        """Called from any thread, and not again before the last message was received."""


class Home(Protocol):
    """The storage of jobs: databases, statements, and cached thread numbers."""

    database: Any
    """The database of checkpoints."""
    statements: Any
    """The statements of that database."""
    conversation_statements: Any
    """The statements of the conversation database."""
    conversation_integrity_error: Any
    """The duplicate-key error of the conversation database's driver."""
    schema_name: str | None
    metadata_keys: Sequence[str]
    """The indexed keys of the metadata."""

    def stored_values(self, place: Place, sealing: Any) -> dict[str, tuple[Any, Any]]:
        """The version and the stored value of each channel in the checkpoint at a place."""

    def advance(self, cursor: Any, place: Place, checkpoint_id: str, *, fenced: bool) -> int:
        """Move the head of a thread to a new checkpoint; returns the thread's number."""

    def thread_for_writes(self, cursor: Any, place: Place) -> int:
        """The number of a thread for pending writes; locks its row."""

    def remembered_thread(self, key: tuple[str, str]) -> int | None:
        """The cached number of a thread and namespace, if any."""

    def remember_thread(self, key: tuple[str, str], thread: int) -> None:
        """Cache the number of a thread and namespace."""


__all__ = ["Home", "Told", "Waiter"]


def inspected_once(method: Method) -> Method:
    """A method whose signature Python computes now: LangGraph asks for it in every run, which costs as much as encoding a checkpoint."""
    method.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]  # of functions, `inspect` reads it
    return method
