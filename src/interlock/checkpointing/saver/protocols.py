"""What jobs, the line and the statements of a dialect need of each other, as protocols: who waits for a job, and where it is stored.

`storage` is the home of jobs and builds on all of them, so they know it only by this.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

from .keys import Place


class Told(Enum):
    """What anyone who waits for a job is told."""

    DONE = 1
    """It is committed, or has failed."""
    APART = 2
    """It is to be done by itself, by its own waiter."""
    LEAD = 3
    """Whoever led has other things to do: its waiter is to lead."""


class Waiter(Protocol):
    """Who waits for a job: a thread or a task."""

    def tell(self, what: Told) -> None:
        """From any thread, and never again before the last was heard."""


class Home(Protocol):
    """Where jobs are stored: the databases, their statements, and the numbers of threads that are remembered."""

    database: Any
    """The database of checkpoints."""
    statements: Any
    """Its statements."""
    conversation_statements: Any
    """Those of the conversations' database."""
    conversation_integrity_error: Any
    """What the conversations' driver raises where a row is there already."""
    schema_name: str | None
    metadata_keys: Sequence[str]
    """The keys of the metadata that are indexed."""

    def stored_values(self, place: Place, sealing: Any) -> dict[str, tuple[Any, Any]]:
        """The version and the stored value of each channel in the checkpoint at a place."""

    def advance(self, cursor: Any, place: Place, checkpoint_id: str, *, fenced: bool) -> int:
        """Move the head of a thread to a new checkpoint; gives the thread's number."""

    def thread_for_writes(self, cursor: Any, place: Place) -> int:
        """The number of a thread, for pending writes, its row locked."""

    def remembered_thread(self, key: tuple[str, str]) -> int | None:
        """The number of a thread and namespace, if it is remembered."""

    def remember_thread(self, key: tuple[str, str], thread: int) -> None:
        """Remember the number of a thread and namespace."""


__all__ = ["Home", "Told", "Waiter"]
