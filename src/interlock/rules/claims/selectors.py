"""Select the steps of a path for a claim: calls of some tools or kinds of tools, or arrivals in a state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ...tools.contracts import ToolContract
from ...tools.errors import ClaimError
from ...tools.kinds import ToolKind
from ..definition import Definition
from .paths import Step


@dataclass(frozen=True)
class Selector:
    """A named predicate over the steps of a path; combine with `|`, `&` and `~`."""

    words: str
    matches: Callable[[Step], bool]
    tools: frozenset[str] = frozenset()
    """The tools that it names; the workflow must have them."""
    states: frozenset[str] = frozenset()
    """The states that it names; the workflow must have them."""
    is_end: bool = False
    """Whether being in a final state satisfies it, and not only the step that leads there."""

    def check(self, definition: Definition) -> None:
        """Refuse a selector with a tool or state that the workflow does not have; a claim about it would always hold.

        Raises:
            ClaimError: There is such a tool or state.
        """
        for kind, named, known in (
            ("tool", self.tools, definition.contracts),
            ("state", self.states, definition.states),
        ):
            missing = sorted(named - known.keys())
            if missing:
                raise ClaimError(
                    f"A claim about the workflow {definition.name!r} names the {kind} {missing[0]!r}, which it does not have; it has "
                    f"{', '.join(known)}. Nothing was proved; correct the name, or drop the claim."
                )

    def __or__(self, other: "Steps") -> "Selector":
        more = selector(other)
        return Selector(
            f"{self.words} or {more.words}",
            lambda step: self.matches(step) or more.matches(step),
            self.tools | more.tools,
            self.states | more.states,
        )

    def __and__(self, other: "Steps") -> "Selector":
        more = selector(other)
        return Selector(
            f"{self.words} that is {more.words}",
            lambda step: self.matches(step) and more.matches(step),
            self.tools | more.tools,
            self.states | more.states,
        )

    def __invert__(self) -> "Selector":
        return Selector(f"anything but {self.words}", lambda step: not self.matches(step), self.tools, self.states)

    def __str__(self) -> str:
        return self.words


Steps: TypeAlias = Selector | ToolContract | str
"""The ways to select steps in a claim: a tool, its canonical name, or a selector."""


def selector(steps: Steps) -> Selector:
    """Convert a tool or its name to a selector.

    Raises:
        ClaimError: The value is neither a tool, nor a name, nor a selector.
    """
    match steps:
        case Selector():
            return steps
        case ToolContract() | str():
            name = steps if isinstance(steps, str) else steps.name
            return Selector(name, lambda step: step.tool == name, frozenset({name}))
    raise ClaimError(f"A claim cannot be about {steps!r}; give a tool, its name, or a selector such as any_write.")


def calls(*tools: ToolContract | str) -> Selector:
    """Calls of any of these tools."""
    first, *rest = map(selector, tools)
    for one in rest:
        first = first | one
    return first


def state(name: str) -> Selector:
    """Arrivals in a state."""
    return Selector(f"an arrival in {name!r}", lambda step: step.target == name, states=frozenset({name}))


any_write = Selector("any command or event", lambda step: step.is_call and step.tool_kind is not ToolKind.READ)
any_read = Selector("any read", lambda step: step.is_call and step.tool_kind is ToolKind.READ)
destructive = Selector("any destructive tool", lambda step: step.is_call and step.is_destructive)
"""Tools whose annotations say `destructiveHint`."""
final = Selector("a final state", lambda step: step.is_last, is_end=True)

__all__ = [
    "Selector",
    "Steps",
    "any_read",
    "any_write",
    "calls",
    "destructive",
    "final",
    "selector",
    "state",
]
