"""The retention policy: how long, and how many, threads and checkpoints are kept."""

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
    """Which threads and checkpoints are kept, by age and by count. The newest checkpoint of a kept thread is always kept.

    Durations are `timedelta` or texts such as `"90d"` and `"12h"`.

    Raises:
        InputError: A duration or a count is invalid, or no limit is given.
    """

    threads_newer_than: timedelta | str | None = None
    """Keep threads whose newest checkpoint is younger than this; the others are deleted completely."""
    last_threads: int | None = None
    """Keep this many threads, the most recently used ones."""
    checkpoints_newer_than: timedelta | str | None = None
    """In kept threads, keep checkpoints that are younger than this."""
    last_checkpoints: int | None = None
    """In each kept thread, keep this many of the newest checkpoints."""
    instances: bool = False
    """Whether to erase the workflow instances of deleted threads; see `delete_thread`."""

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
    """What a retention run deleted, or would delete."""

    threads: int
    """How many threads were checked."""
    deleted_threads: int
    deleted_checkpoints: int
    """Of threads that stayed."""
    dry_run: bool
    """Whether nothing was deleted."""


def given(policy: Retention | None) -> Retention:
    """Validate the requested policy.

    Raises:
        InputError: There is no policy.
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
