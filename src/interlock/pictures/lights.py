"""The highlights in the picture of a workflow: the position of an instance, or a path."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .picture_data import DrawnEdge, DrawnEnd, DrawnState


@dataclass(frozen=True)
class Light:
    """The style of one line of a picture."""

    is_lit: bool
    is_dim: bool
    note: str | None = None
    """A note in place of the condition."""
    hides_asked: bool = False
    """Whether the note also replaces the deciders."""


@dataclass(frozen=True)
class BoxLight:
    """The style of the box of a state."""

    is_lit: bool
    word: str | None = None
    """A note in place of the state's kind."""
    is_ticked: bool = False
    waits: bool = False
    """Whether the state waits for a person or an event; it looks different from a running state."""


class Lights(abc.ABC):
    """The highlights of a picture."""

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """The title, in a few words."""

    @property
    def caption(self) -> Sequence[str]:
        """The lines below the picture."""
        return ()

    @abc.abstractmethod
    def of_edge(self, state: DrawnState, edge: DrawnEdge) -> Light:
        """The style of an edge."""

    @abc.abstractmethod
    def of_end(self, state: DrawnState, end: DrawnEnd) -> Light:
        """The style of an end of a wait."""

    @abc.abstractmethod
    def of_box(self, state: DrawnState) -> BoxLight:
        """The style of the box of a state."""


@dataclass(frozen=True)
class Standing(Lights):
    """The position of an instance, highlighted in the picture.

    Attributes:
        state: The current state.
        allowed: The tools that may be called now.
        visited: States that were left before.
        why_not: The reason for each other tool of the state that may not be called now.
        taken: The target state of a tool with several edges out of the state.
        waits_for: What it waits for, in words, such as a decision or an event; None if it does not wait.
        told: Lines below the picture; the first is a heading.
    """

    state: str
    allowed: frozenset[str] = frozenset()
    visited: frozenset[str] = frozenset()
    why_not: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)
    waits_for: str | None = None
    told: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The current state."""
        return f"now in {self.state}"

    @property
    def caption(self) -> Sequence[str]:
        """What the instance waits for, and further lines."""
        return (*(() if self.waits_for is None else (f"Waits for {self.waits_for}.",)), *self.told)

    def of_edge(self, state: DrawnState, edge: DrawnEdge) -> Light:
        """Highlighted if it may be called now; otherwise, in the current state, with the reason."""
        is_here = state.name == self.state
        if is_here and edge.tool in self.allowed:
            is_taken = self.taken.get(edge.tool, edge.target) == edge.target
            return Light(is_lit=is_taken, is_dim=not is_taken)
        note = self.why_not.get(edge.tool, "not now") if is_here else None
        return Light(is_lit=False, is_dim=True, note=note, hides_asked=is_here)

    def of_end(self, state: DrawnState, end: DrawnEnd) -> Light:  # noqa: ARG002 -- all ends of a wait alike
        """Lit in the current state."""
        is_here = state.name == self.state
        return Light(is_lit=is_here, is_dim=not is_here)

    def of_box(self, state: DrawnState) -> BoxLight:
        """The current state is lit, and those before it are ticked."""
        is_here = state.name == self.state
        waits = is_here and self.waits_for is not None
        word = "waiting" if waits else "now" if is_here else None
        return BoxLight(is_here, word, state.name in self.visited and not is_here, waits)


@dataclass(frozen=True)
class RouteStep:
    """One step of a route: the edge or the end of a wait that it takes."""

    source: str
    target: str
    tool: str | None = None
    """The tool that it calls."""
    end: str | None = None
    """How it ends a wait: event, failure or deadline."""


@dataclass(frozen=True)
class Route(Lights):
    """A highlighted path through a workflow, with the number of each step.

    Attributes:
        heading: What the path shows, in words.
        begins_in: The state in which it begins.
        steps: The steps, in their order.
        words: The steps in words, which are written below the picture.
    """

    heading: str
    begins_in: str
    steps: tuple[RouteStep, ...]
    words: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The heading of the path."""
        return self.heading

    @property
    def caption(self) -> Sequence[str]:
        """The heading, and the steps in words."""
        return (self.heading, *self.words)

    def of_edge(self, state: DrawnState, edge: DrawnEdge) -> Light:
        """Lit where a step takes it."""
        return self._light(state.name, edge.target, edge.tool, None)

    def of_end(self, state: DrawnState, end: DrawnEnd) -> Light:
        """Lit where a step ends the wait so."""
        return self._light(state.name, end.target, None, end.kind)

    def of_box(self, state: DrawnState) -> BoxLight:
        """The state in which the path ends is lit, and those before it are ticked."""
        ends_in = self.steps[-1].target if self.steps else self.begins_in
        visited = {self.begins_in, *(step.target for step in self.steps)}
        is_last = state.name == ends_in
        return BoxLight(is_last, "the path ends here" if is_last else None, state.name in visited and not is_last)

    def _light(self, source: str, target: str, tool: str | None, end: str | None) -> Light:
        wanted = RouteStep(source, target, tool, end)
        numbers = [str(number) for number, step in enumerate(self.steps, 1) if step == wanted]
        if not numbers:
            return Light(is_lit=False, is_dim=True)
        return Light(is_lit=True, is_dim=False, note=f"step {', '.join(numbers)}")


__all__ = ["BoxLight", "Light", "Lights", "Route", "RouteStep", "Standing"]
