"""The retention of finished instances, and the report of a retirement. Plain data and pure decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ...tools.errors import InputError
from ..saver.keeping.policy import seconds

Age = timedelta | str | None
"""A duration, such as `timedelta(days=90)` or `"90d"`; None keeps it forever."""


@dataclass(frozen=True)
class Retirement:
    """How long finished instances are kept, counted from their last change. Those that are not finished are always kept.

    Raises:
        InputError: A duration is invalid, or nothing would ever be deleted.
    """

    newer_than: Age = None
    """How long to keep instances of every workflow that `workflows` does not name."""
    workflows: Mapping[str, Age] = field(default_factory=dict)
    """How long to keep instances, by the name of their workflow; None keeps them forever."""
    unpublished: bool = False
    """Whether to delete instances with unsent events, webhooks or trace feedback as well. Set it if no process sends these."""

    def __post_init__(self) -> None:
        if not self.ages():
            raise InputError(
                "This retirement keeps every instance forever. Nothing was deleted. Say how long finished instances are kept."
            )

    def ages(self) -> dict[str | None, float]:
        """Seconds for which instances are kept, by workflow, and by None for the other ones; workflows that are kept forever are left out."""
        kept: dict[str | None, float | None] = {None: seconds("newer_than", self.newer_than)}
        kept |= {name: seconds(f"workflows[{name!r}]", age) for name, age in self.workflows.items()}
        return {name: age for name, age in kept.items() if age is not None}

    def cutoff(self, workflow: str, now: int) -> int | None:
        """Finished instances of a workflow that changed last before this go.

        Args:
            workflow: Its name.
            now: Microseconds since 1970 UTC.

        Returns:
            Microseconds since 1970 UTC; None where all are kept.
        """
        age = self.ages().get(workflow if workflow in self.workflows else None)
        return None if age is None else now - int(age * 1e6)


@dataclass(frozen=True)
class RetirementReport:
    """What a retirement run deleted, or would delete."""

    instances: int
    """How many finished instances were old enough."""
    retired: int
    kept: Mapping[str, int]
    """How many of them were kept for now, by reason."""
    broken: tuple[str, ...]
    """The first 100 instances whose audit trail does not verify. They are kept for a person to inspect."""
    dry_run: bool
    """Whether nothing was deleted."""


__all__ = ["Age", "Retirement", "RetirementReport"]
