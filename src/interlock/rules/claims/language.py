"""The sentences that can be claimed of a workflow, and what each means for a path.

A path is a sequence of steps from the start of an instance (`paths`). Safety claims (`never`, `before`, `at_most`,
`never_after`, `only`, `every`) hold when no path breaks them: each has a monitor, which reads a path step by step and says where
it is broken. Possibility claims (`always_possible`, `possible_after`) hold when, wherever a path has led, some path from there
gets to what is claimed. The terms are those of Dwyer, Avrunin and Corbett, "Patterns in property specifications for
finite-state verification" (ICSE 1999): absence, precedence, bounded existence, response.
"""

import abc
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ...tools.errors import ClaimError
from ..assumptions import Assumption, Assumptions
from ..definition import Definition
from .paths import Step
from .requirements import Requirement
from .selectors import Selector, Steps, selector

BROKEN = object()
"""What a monitor answers when a step breaks the claim."""


@dataclass(frozen=True, kw_only=True)
class Claim(abc.ABC):
    """A sentence about all paths of a workflow."""

    assumptions: tuple[Assumption, ...] = ()
    name: str = ""

    @property
    @abc.abstractmethod
    def sentence(self) -> str:
        """The claim in words."""

    @property
    @abc.abstractmethod
    def selectors(self) -> tuple[Selector, ...]:
        """What it is about."""

    def assuming(self, *assumptions: Assumption) -> Self:
        """The same claim, proved only under these assumptions, which are tested when the workflow runs."""
        Assumptions(assumptions)
        return replace(self, assumptions=(*self.assumptions, *assumptions))

    def named(self, name: str) -> Self:
        """The same claim under a name, for reports."""
        return replace(self, name=name)

    def check_names(self, definition: Definition) -> None:
        """Refuse a claim about what the workflow does not have.

        Raises:
            ClaimError: It names a tool or state that is not there.
        """
        for one in self.selectors:
            one.check(definition)

    def __str__(self) -> str:
        return self.name or self.sentence


class Safety(Claim):
    """A claim that some path breaks at a certain step, or no path does."""

    def start(self) -> Hashable:
        """What the monitor knows before the first step."""
        return None

    def unknown_past(self) -> Hashable:
        """What the monitor has to fear of an instance whose past this version does not know."""
        return self.start()

    @abc.abstractmethod
    def advance(self, known: Any, step: Step) -> Hashable:
        """What the monitor knows after a step, or `BROKEN`."""


@dataclass(frozen=True, kw_only=True)
class Never(Safety):
    """Absence: some steps never happen, or never without certain decisions."""

    what: Selector
    unless: Requirement | None = None
    every: bool = False

    def without(self, requirement: Requirement) -> "Never":
        """Never, unless this was decided on the call."""
        if self.unless is not None:
            raise ClaimError(f"{self.sentence}: say the decisions once, combined with & or |.")
        return replace(self, unless=_requirement(requirement))

    @property
    def sentence(self) -> str:
        """The claim in words."""
        if self.every:
            return f"every call of {self.what} needs {self.unless}"
        return f"{self.what} never happens" + ("" if self.unless is None else f" without {self.unless}")

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it is about."""
        return (self.what,)

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by such a step without the decisions."""
        if self.what.matches(step) and (self.unless is None or not self.unless.is_met(step.granted)):
            return BROKEN
        return known  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Before(Safety):
    """Precedence: some steps happen only after another one."""

    what: Selector
    first: Selector

    @property
    def sentence(self) -> str:
        """The claim in words."""
        return f"before {self.what} there is always {self.first}"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it is about."""
        return (self.what, self.first)

    def start(self) -> Hashable:
        """The first one has not happened."""
        return False

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by what comes too early; a step is no precedent of itself."""
        if self.what.matches(step) and not known:
            return BROKEN
        return known or self.first.matches(step)


@dataclass(frozen=True, kw_only=True)
class AtMost(Safety):
    """Bounded existence: some steps happen at most so many times in one instance and its forks' past."""

    what: Selector
    times: int

    @property
    def sentence(self) -> str:
        """The claim in words."""
        return f"{self.what} happens at most {self.times} time{'' if self.times == 1 else 's'}"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it is about."""
        return (self.what,)

    def start(self) -> Hashable:
        """It has not happened."""
        return 0

    def unknown_past(self) -> Hashable:
        """It may have happened as often as it may."""
        return self.times

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by one too many."""
        count = known + self.what.matches(step)
        return BROKEN if count > self.times else count


@dataclass(frozen=True, kw_only=True)
class NeverAfter(Safety):
    """Absence after: once something happened, something else never does."""

    first: Selector
    what: Selector

    @property
    def sentence(self) -> str:
        """The claim in words."""
        return f"after {self.first}, {self.what} never happens"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it is about."""
        return (self.first, self.what)

    def start(self) -> Hashable:
        """The first one has not happened."""
        return False

    def unknown_past(self) -> Hashable:
        """It may have happened."""
        return True

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by what comes after."""
        if known and self.what.matches(step):
            return BROKEN
        return known or self.first.matches(step)


@dataclass(frozen=True, kw_only=True)
class Only(Safety):
    """Authorization: some steps are proposed only by principals with a role."""

    role: str
    what: Selector | None = None

    def reaches(self, what: Steps) -> "Only":
        """What only they reach."""
        return replace(self, what=selector(what))

    @property
    def sentence(self) -> str:
        """The claim in words."""
        return f"only who has the role {self.role!r} reaches {self.what}"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it is about.

        Raises:
            ClaimError: It does not say.
        """
        if self.what is None:
            raise ClaimError(f"only(role={self.role!r}) claims nothing yet; complete it with .reaches(tool).")
        return (self.what,)

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by such a step whose proposer need not have the role."""
        (what,) = self.selectors
        if what.matches(step) and self.role not in step.proposer_roles:
            return BROKEN
        return known  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Possible(Claim):
    """Possibility (and response, as far as an application's own rules say yes): wherever a path led, what is claimed can come."""

    what: Selector
    after: Selector | None = None
    """Claimed only once this has happened; from the start, without one."""

    @property
    def sentence(self) -> str:
        """The claim in words."""
        return f"{self.what} is always possible" + ("" if self.after is None else f" after {self.after}")

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it is about."""
        return (self.what,) if self.after is None else (self.what, self.after)

    def awaits(self, awaited: bool, step: Step) -> bool:
        """Whether what is claimed must still be possible after a step: always, or from `after` until it happens."""
        if self.after is None:
            return True
        return (awaited and not self.what.matches(step)) or self.after.matches(step)


@dataclass(frozen=True)
class Every:
    """The first half of `every(...).needs(...)`."""

    what: Selector = field()

    def needs(self, requirement: Requirement) -> Never:
        """Every call of these needs such decisions."""
        return Never(what=self.what, unless=_requirement(requirement), every=True)


def never(what: Steps) -> Never:
    """These steps never happen; continue with `.without(approval(...))` for never without a decision."""
    return Never(what=selector(what))


def every(what: Steps) -> Every:
    """Begin a claim about every call of these: `every(destructive).needs(approval() | confirmation())`."""
    return Every(selector(what))


def before(what: Steps, first: Steps) -> Before:
    """Before any of these steps, `first` has happened: `before(any_write, identify)`."""
    return Before(what=selector(what), first=selector(first))


def at_most(what: Steps, times: int) -> AtMost:
    """These steps happen at most so many times, together."""
    if isinstance(times, bool) or not isinstance(times, int) or times < 0:
        raise ClaimError(f"at_most(..., {times!r}): give a whole number from 0.")
    return AtMost(what=selector(what), times=times)


def never_after(first: Steps, what: Steps) -> NeverAfter:
    """Once `first` has happened, `what` never does."""
    return NeverAfter(first=selector(first), what=selector(what))


def only(*, role: str) -> Only:
    """Begin a claim about a role: `only(role="agent").reaches(refund)`."""
    if not isinstance(role, str) or not role:
        raise ClaimError(f"only(role={role!r}): give the name of a role.")
    return Only(role=role)


def always_possible(what: Steps) -> Possible:
    """Wherever an instance stands, some path leads to this: `always_possible(final)`."""
    return Possible(what=selector(what))


def possible_after(first: Steps, what: Steps) -> Possible:
    """From when `first` has happened until `what` does, some path leads to `what`, wherever the instance stands."""
    return Possible(what=selector(what), after=selector(first))


def _requirement(given: Requirement) -> Requirement:
    if not isinstance(given, Requirement):
        raise ClaimError(f"{given!r} is not a decision; pass approval(...), confirmation(), or a combination of them.")
    return given


__all__ = [
    "BROKEN",
    "Claim",
    "Possible",
    "Safety",
    "always_possible",
    "at_most",
    "before",
    "every",
    "never",
    "never_after",
    "only",
    "possible_after",
]
