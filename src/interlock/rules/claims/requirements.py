"""Decisions that a claim can require on a call: an approval by a role, a confirmation, and combinations."""

import abc
from collections.abc import Iterable
from dataclasses import dataclass

from ...tools.approvals import Approval


class Requirement(abc.ABC):
    """The decisions on a call that must precede its execution; combine with `|` and `&`."""

    @abc.abstractmethod
    def is_met(self, granted: Iterable[Approval]) -> bool:
        """Whether the granted stages satisfy it."""

    def __or__(self, other: "Requirement") -> "Requirement":
        return AnyOf((self, other))

    def __and__(self, other: "Requirement") -> "Requirement":
        return AllOf((self, other))


@dataclass(frozen=True)
class ApprovedBy(Requirement):
    """Another person approved; if a role is given, a person with that role."""

    role: str | None
    count: int

    def is_met(self, granted: Iterable[Approval]) -> bool:
        """Whether one stage required the role, and at least as many people."""
        return any(
            not stage.confirmation and self.role in {None, stage.role} and stage.count >= self.count
            for stage in granted
        )

    def __str__(self) -> str:
        who = "an approval" if self.role is None else f"an approval by the role {self.role!r}"
        return who if self.count == 1 else f"{who} of {self.count} people"


@dataclass(frozen=True)
class Confirmed(Requirement):
    """The person served confirmed."""

    def is_met(self, granted: Iterable[Approval]) -> bool:
        """Whether one stage was a confirmation."""
        return any(stage.confirmation for stage in granted)

    def __str__(self) -> str:
        return "a confirmation by the person served"


@dataclass(frozen=True)
class AnyOf(Requirement):
    """At least one of several requirements."""

    parts: tuple[Requirement, ...]

    def is_met(self, granted: Iterable[Approval]) -> bool:
        """Whether one of them is satisfied."""
        stages = tuple(granted)
        return any(part.is_met(stages) for part in self.parts)

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


@dataclass(frozen=True)
class AllOf(Requirement):
    """All of several requirements."""

    parts: tuple[Requirement, ...]

    def is_met(self, granted: Iterable[Approval]) -> bool:
        """Whether all of them are satisfied."""
        stages = tuple(granted)
        return all(part.is_met(stages) for part in self.parts)

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, AnyOf) else str(part) for part in self.parts)


def approval(role: str | None = None, *, count: int = 1) -> Requirement:
    """Require an approval by at least `count` other people; if a role is given, people with that role."""
    return ApprovedBy(role, count)


def confirmation() -> Requirement:
    """Require a confirmation by the person whom the instance serves."""
    return Confirmed()


__all__ = ["Requirement", "approval", "confirmation"]
