"""The kinds of claims about a workflow, and the meaning of each for a path.

A path is a sequence of steps from the start of an instance (`paths`). A safety claim (`never`, `before`, `at_most`,
`never_after`, `only`, `every`) holds if no path breaks it: its monitor reads a path step by step, and reports the step that breaks
the claim. A possibility claim (`always_possible`, `possible_after`) holds if every path can be continued to the claimed step.
The terms are those of Dwyer, Avrunin and Corbett, "Patterns in property specifications for finite-state verification"
(ICSE 1999): absence, precedence, bounded existence, response.
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
"""The result of a monitor whose claim a step breaks."""


@dataclass(frozen=True, kw_only=True)
class Claim(abc.ABC):
    """A statement about all paths of a workflow."""

    assumptions: tuple[Assumption, ...] = ()
    name: str = ""

    @property
    @abc.abstractmethod
    def sentence(self) -> str:
        """The claim as a sentence."""

    @property
    @abc.abstractmethod
    def selectors(self) -> tuple[Selector, ...]:
        """The steps that the claim names."""

    def assuming(self, *assumptions: Assumption) -> Self:
        """Return the same claim, proved only under these assumptions, which are enforced when the workflow runs."""
        Assumptions(assumptions)
        return replace(self, assumptions=(*self.assumptions, *assumptions))

    def named(self, name: str) -> Self:
        """Return the same claim with a name for reports."""
        return replace(self, name=name)

    def check_names(self, definition: Definition) -> None:
        """Refuse a claim about a tool or state that the workflow does not have.

        Raises:
            ClaimError: It names such a tool or state.
        """
        for one in self.selectors:
            one.check(definition)

    def __str__(self) -> str:
        return self.name or self.sentence


class Safety(Claim):
    """A claim that a path can break at a certain step."""

    def start(self) -> Hashable:
        """The state of the monitor before the first step."""
        return None

    def unknown_past(self) -> Hashable:
        """The state of the monitor for an instance with an unknown past, by the worst case."""
        return self.start()

    @abc.abstractmethod
    def advance(self, known: Any, step: Step) -> Hashable:
        """The state of the monitor after a step, or `BROKEN`."""


@dataclass(frozen=True, kw_only=True)
class Never(Safety):
    """Absence: some steps never happen, or never without certain decisions."""

    what: Selector
    unless: Requirement | None = None
    every: bool = False

    def without(self, requirement: Requirement) -> "Never":
        """Return the claim that the steps never happen without these decisions on the call."""
        if self.unless is not None:
            raise ClaimError(f"{self.sentence}: say the decisions once, combined with & or |.")
        return replace(self, unless=_requirement(requirement))

    @property
    def sentence(self) -> str:
        """The claim as a sentence."""
        if self.every:
            return f"every call of {self.what} needs {self.unless}"
        return f"{self.what} never happens" + ("" if self.unless is None else f" without {self.unless}")

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The steps that the claim names."""
        return (self.what,)

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by such a step without the decisions."""
        if self.what.matches(step) and (self.unless is None or not self.unless.is_met(step.granted)):
            return BROKEN
        return known  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Before(Safety):
    """Precedence: some steps happen only after another step."""

    what: Selector
    first: Selector

    @property
    def sentence(self) -> str:
        """The claim as a sentence."""
        return f"before {self.what} there is always {self.first}"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The steps that the claim names."""
        return (self.what, self.first)

    def start(self) -> Hashable:
        """The required step has not happened."""
        return False

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by a step that comes too early; a step does not precede itself."""
        if self.what.matches(step) and not known:
            return BROKEN
        return known or self.first.matches(step)


@dataclass(frozen=True, kw_only=True)
class AtMost(Safety):
    """Bounded existence: some steps happen at most so many times in one instance, including the past of a fork."""

    what: Selector
    times: int

    @property
    def sentence(self) -> str:
        """The claim as a sentence."""
        return f"{self.what} happens at most {self.times} time{'' if self.times == 1 else 's'}"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The steps that the claim names."""
        return (self.what,)

    def start(self) -> Hashable:
        """The steps have not happened."""
        return 0

    def unknown_past(self) -> Hashable:
        """The steps may have happened as often as allowed."""
        return self.times

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by one step too many."""
        count = known + self.what.matches(step)
        return BROKEN if count > self.times else count


@dataclass(frozen=True, kw_only=True)
class NeverAfter(Safety):
    """Absence after: once one step happened, another never does."""

    first: Selector
    what: Selector

    @property
    def sentence(self) -> str:
        """The claim as a sentence."""
        return f"after {self.first}, {self.what} never happens"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The steps that the claim names."""
        return (self.first, self.what)

    def start(self) -> Hashable:
        """The first step has not happened."""
        return False

    def unknown_past(self) -> Hashable:
        """The first step may have happened."""
        return True

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by the forbidden step after the first one."""
        if known and self.what.matches(step):
            return BROKEN
        return known or self.first.matches(step)


@dataclass(frozen=True, kw_only=True)
class Only(Safety):
    """Authorization: some steps are proposed only by principals with a role."""

    role: str
    what: Selector | None = None

    def reaches(self, what: Steps) -> "Only":
        """Set the steps that only principals with the role may propose."""
        return replace(self, what=selector(what))

    @property
    def sentence(self) -> str:
        """The claim as a sentence."""
        return f"only who has the role {self.role!r} reaches {self.what}"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The steps that the claim names.

        Raises:
            ClaimError: The claim is incomplete.
        """
        if self.what is None:
            raise ClaimError(f"only(role={self.role!r}) claims nothing yet; complete it with .reaches(tool).")
        return (self.what,)

    def advance(self, known: Any, step: Step) -> Hashable:
        """Broken by such a step if its proposer may lack the role."""
        (what,) = self.selectors
        if what.matches(step) and self.role not in step.proposer_roles:
            return BROKEN
        return known  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Possible(Claim):
    """Possibility (and response, as far as the application's own rules allow): every path can be continued to the claimed step."""

    what: Selector
    after: Selector | None = None
    """The step after which the claim applies; None: from the start."""

    @property
    def sentence(self) -> str:
        """The claim as a sentence."""
        return f"{self.what} is always possible" + ("" if self.after is None else f" after {self.after}")

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The steps that the claim names."""
        return (self.what,) if self.after is None else (self.what, self.after)

    def awaits(self, awaited: bool, step: Step) -> bool:
        """Whether the claimed step must still be possible after a step: always, or from `after` until it happens."""
        if self.after is None:
            return True
        return (awaited and not self.what.matches(step)) or self.after.matches(step)


@dataclass(frozen=True)
class Every:
    """The first half of `every(...).needs(...)`."""

    what: Selector = field()

    def needs(self, requirement: Requirement) -> Never:
        """Claim that every such call needs these decisions."""
        return Never(what=self.what, unless=_requirement(requirement), every=True)


def never(what: Steps) -> Never:
    """Claim that these steps never happen; add `.without(approval(...))` to allow them with a decision."""
    return Never(what=selector(what))


def every(what: Steps) -> Every:
    """Start a claim about every such call: `every(destructive).needs(approval() | confirmation())`."""
    return Every(selector(what))


def before(what: Steps, first: Steps) -> Before:
    """Claim that `first` happens before any of these steps: `before(any_write, identify)`."""
    return Before(what=selector(what), first=selector(first))


def at_most(what: Steps, times: int) -> AtMost:
    """Claim that these steps together happen at most so many times."""
    if isinstance(times, bool) or not isinstance(times, int) or times < 0:
        raise ClaimError(f"at_most(..., {times!r}): give a whole number from 0.")
    return AtMost(what=selector(what), times=times)


def never_after(first: Steps, what: Steps) -> NeverAfter:
    """Claim that `what` never happens once `first` has happened."""
    return NeverAfter(first=selector(first), what=selector(what))


def only(*, role: str) -> Only:
    """Start a claim about a role: `only(role="agent").reaches(refund)`."""
    if not isinstance(role, str) or not role:
        raise ClaimError(f"only(role={role!r}): give the name of a role.")
    return Only(role=role)


def always_possible(what: Steps) -> Possible:
    """Claim that a path leads to this step from every situation: `always_possible(final)`."""
    return Possible(what=selector(what))


def possible_after(first: Steps, what: Steps) -> Possible:
    """Claim that, after `first` and until `what` happens, a path leads to `what` from every situation."""
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
