"""How long threads and checkpoints are kept, and how many of them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ....tools.approvals import duration
from ....tools.errors import ContractError, InputError

Progress = Callable[[int, int, str], None]
"""Told after each thread: how many were checked, of how many, and which it was."""


@dataclass(frozen=True)
class Retention:
    """What is kept. What is too old goes, and what is beyond the count; the newest checkpoint of a thread that stays always stays.

    Durations are `timedelta` or texts such as `"90d"` and `"12h"`.

    Raises:
        InputError: A duration or a count is none, or nothing is said at all.
    """

    threads_newer_than: timedelta | str | None = None
    """Threads whose newest checkpoint is within this time stay; the others go, whole."""
    last_threads: int | None = None
    """So many threads stay, the latest used."""
    checkpoints_newer_than: timedelta | str | None = None
    """Of the threads that stay: checkpoints within this time."""
    last_checkpoints: int | None = None
    """Of the threads that stay: so many checkpoints of each, the newest."""
    instances: bool = False
    """Whether the workflow instances of threads that go are erased with them; see `delete_thread`."""

    def __post_init__(self) -> None:
        for name in ("threads_newer_than", "checkpoints_newer_than"):
            seconds(name, getattr(self, name))
        for name in ("last_threads", "last_checkpoints"):
            count: Any = getattr(self, name)
            if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
                raise InputError(f"{name}={count!r} is not a number of at least 1. Nothing was deleted.")
        if self.keeps_threads and self.keeps_checkpoints:
            raise InputError(
                "This retention says nothing about threads or checkpoints. Nothing was deleted. Say how many or how long."
            )

    @property
    def keeps_threads(self) -> bool:
        """Whether no thread goes."""
        return self.threads_newer_than is None and self.last_threads is None

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether no checkpoint of a thread that stays goes."""
        return self.checkpoints_newer_than is None and self.last_checkpoints is None


@dataclass(frozen=True)
class RetentionReport:
    """What a retention did, or would do."""

    threads: int
    """How many threads were checked."""
    deleted_threads: int
    deleted_checkpoints: int
    """Of threads that stayed."""
    dry_run: bool
    """Whether nothing was deleted."""


def given(policy: Retention | None) -> Retention:
    """The policy that is to be carried out.

    Raises:
        InputError: There is none.
    """
    if policy is None:
        raise InputError(
            "There is no retention to apply, so nothing was deleted. Give one, here or to the checkpointer: retention=Retention(…)."
        )
    return policy


def seconds(name: str, value: timedelta | str | None) -> float | None:
    """A duration in seconds."""
    if value is None:
        return None
    if isinstance(value, timedelta) and value.total_seconds() >= 0:
        return value.total_seconds()
    try:
        return duration(value)
    except ContractError as error:
        raise InputError(f"{name}: {error.message} Nothing was deleted.") from None


__all__ = ["Progress", "Retention", "RetentionReport", "given", "seconds"]
