"""Tallies of outcomes: their numbers, edited arguments, reasons, and the times to decide."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...tools.approvals import DecisionKind
from ...tools.canonical import JsonObject
from ..store.approvals import ApprovalStatus

Row = dict[str, Any]
MOST_REASONS = 1_000
"""The maximum number of reasons in a stored tally; the rarest are dropped."""


_UNDECIDED = (ApprovalStatus.EXPIRED, ApprovalStatus.WITHDRAWN, ApprovalStatus.VOID)


@dataclass(frozen=True)
class Decided:
    """One decision on one approval, or an approval without a decision."""

    approval: Row
    decision: Row | None

    @property
    def approver(self) -> str | None:
        """The decider."""
        return None if self.decision is None else self.decision["principal_id"]

    @property
    def outcome(self) -> str:
        """The outcome of the proposal: `accepted`, `edited`, `rejected`, `responded`, `expired`, `withdrawn`, `void` or
        `pending`.
        """
        if self.decision is not None:
            kind = DecisionKind(self.decision["kind"])
            if kind is DecisionKind.APPROVE:
                return "accepted" if self.approval["edited_arguments"] is None else "edited"
            return {DecisionKind.EDIT: "edited", DecisionKind.REJECT: "rejected"}.get(kind, "responded")
        status = ApprovalStatus(self.approval["status"])
        return status.value if status in _UNDECIDED else "pending"

    @property
    def origins(self) -> list[str]:
        """The origins of the arguments that required the approval; empty if something else required it."""
        shown: JsonObject = json.loads(self.approval["shown"])
        found = shown.get("origins")
        return sorted({str(one) for one in found.values()}) if isinstance(found, dict) else []

    @property
    def proposed(self) -> JsonObject:
        """The proposed arguments."""
        found: JsonObject = json.loads(self.approval["arguments"])
        return found

    @property
    def edited(self) -> JsonObject | None:
        """The edited arguments."""
        text = (self.decision or {}).get("arguments") or self.approval["edited_arguments"]
        return None if text is None else json.loads(text)

    @property
    def changed(self) -> list[str]:
        """The arguments that an edit changed."""
        before, after = self.proposed, self.edited
        if after is None:
            return []
        return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


@dataclass
class Tally:
    """The outcomes of some proposals."""

    outcomes: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: Counter[float] = field(default_factory=Counter)
    """The number of decisions by their duration."""
    longest: float | None = None

    def count(self, one: Decided) -> None:
        """Count a decision, or a request without one."""
        self.outcomes[one.outcome] += 1
        if one.outcome == "edited":
            self.fields.update(one.changed)
        if one.decision is not None:
            seconds = (one.decision["decided_at"] - one.approval["requested_at"]) / 1_000_000
            self.seconds[seconds] += 1
            self.longest = seconds if self.longest is None else max(self.longest, seconds)
            if one.outcome in {"rejected", "responded"} and one.decision["message"]:
                self.reasons[one.decision["message"]] += 1

    def add(self, other: "Tally") -> None:
        """Add another tally."""
        self.outcomes.update(other.outcomes)
        self.fields.update(other.fields)
        self.reasons.update(other.reasons)
        self.seconds.update(other.seconds)
        if other.longest is not None:
            self.longest = other.longest if self.longest is None else max(self.longest, other.longest)

    @property
    def median(self) -> float | None:
        """The median of the seconds."""
        total = self.seconds.total()
        if not total:
            return None
        return (self._at((total - 1) // 2) + self._at(total // 2)) / 2

    def _at(self, place: int) -> float:
        for seconds in sorted(self.seconds):
            place -= self.seconds[seconds]
            if place < 0:
                return seconds
        raise AssertionError("unreachable")

    def kept(self) -> list[Any]:
        """The tally as JSON of bounded size: times with three digits, and the most frequent reasons."""
        rounded: Counter[float] = Counter()
        for seconds, number in self.seconds.items():
            rounded[float(f"{seconds:.3g}")] += number
        reasons = dict(self.reasons.most_common(MOST_REASONS))
        return [self.outcomes, self.fields, reasons, [*rounded.items()], self.longest]

    @classmethod
    def of(cls, kept: Iterable[Any]) -> "Tally":
        """Parse a stored tally."""
        outcomes, fields, reasons, seconds, longest = kept
        times = Counter({float(one): int(number) for one, number in seconds})
        return cls(Counter(outcomes), Counter(fields), Counter(reasons), times, longest)


__all__ = ["MOST_REASONS", "Decided", "Row", "Tally"]
