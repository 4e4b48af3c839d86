"""The drawing of a workflow as plain data and as Mermaid: its states and the tools of each.

Terminal, notebook and documents use this one model, so that they cannot disagree.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..rules.cancelling import CANCELLED, CANCELLING
from ..rules.conditions import Condition
from ..rules.definition import Definition, Edge, State
from ..rules.ordering import order_in_words
from ..rules.waits import WaitRule
from ..tools.approvals import Approval
from ..tools.approvals.deadlines import Within
from ..tools.canonical import JsonObject
from ..tools.sinks import mermaid as _quoted


@dataclass(frozen=True)
class DrawnEdge:
    """One thing that may be called in a state."""

    tool: str
    version: int
    kind: str
    """read, command or event."""
    effect: str | None
    """The effect of a command: transactional, idempotent or at_most_once."""
    description: str
    target: str
    moves: bool
    """False for a read that stays: it makes no transition."""
    guard: str | None
    """The name of the guard, or "guarded" if it has no name."""
    is_checked: bool
    """Whether arguments and system of record are checked as well."""
    approval: str | None
    """Who has to decide first, as text."""
    is_otherwise: bool = False
    """Whether another edge of the same tool out of this state is tried before it."""

    @property
    def condition(self) -> str | None:
        """Its condition in words: `if is_large`, `otherwise`."""
        if self.guard is None:
            return "otherwise" if self.is_otherwise else None
        holds = self.guard if self.guard == "guarded" else f"if {self.guard}"  # a guard without a name
        return f"otherwise {holds}" if self.is_otherwise else holds

    def to_json(self) -> JsonObject:
        """The edge as JSON data."""
        return {
            "tool": self.tool,
            "version": self.version,
            "kind": self.kind,
            "effect": self.effect,
            "description": self.description,
            "target": self.target,
            "moves": self.moves,
            "guard": self.guard,
            "checked": self.is_checked,
            "approval": self.approval,
            **({"otherwise": True} if self.is_otherwise else {}),
        }


@dataclass(frozen=True)
class DrawnEnd:
    """One way in which a state ends without a call: the end of a wait, or a cancel; and the state that follows."""

    by: str
    """The event's name on the wire, or the deadline in words."""
    kind: str
    """event, deadline, failure or cancel."""
    target: str

    @property
    def words(self) -> str:
        """What ends the wait: `event order.paid.v1`, `deadline after 2 h`, `failure order.lost.v1`."""
        return self.by if self.kind == "cancel" else f"{self.kind} {self.by}"

    def to_json(self) -> JsonObject:
        """The end as JSON data."""
        return {"by": self.by, "kind": self.kind, "target": self.target}


@dataclass(frozen=True)
class DrawnState:
    """A state, with its outgoing edges and its other ends: of its wait, and a cancel."""

    name: str
    kind: str
    is_initial: bool
    is_final: bool
    edges: tuple[DrawnEdge, ...]
    ends: tuple[DrawnEnd, ...] = ()

    def to_json(self) -> JsonObject:
        """The state as JSON data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "initial": self.is_initial,
            "final": self.is_final,
            "edges": [edge.to_json() for edge in self.edges],
            **({"ends": [end.to_json() for end in self.ends]} if self.ends else {}),
        }


@dataclass(frozen=True)
class Drawing:
    """The content of a workflow's picture."""

    workflow: str
    version: int
    mode: str
    policies: tuple[str, ...]
    states: tuple[DrawnState, ...]
    fingerprint: str = ""
    """The digest of the definition, which instances keep."""
    claims: tuple[str, ...] = ()
    """The proved claims, as sentences."""

    @classmethod
    def of(cls, definition: Definition) -> "Drawing":
        """The drawing of a workflow's definition; states and edges in the order in which they were added."""
        return cls(
            workflow=definition.name,
            version=definition.version,
            mode=definition.mode.value,
            policies=tuple(policy.name for policy in definition.policies),
            states=tuple(_state(definition, state) for state in definition.states.values()),
            fingerprint=definition.fingerprint,
            claims=definition.claims,
        )

    def to_json(self) -> JsonObject:
        """The drawing as JSON data."""
        return {
            "schemaVersion": 1,
            "workflow": self.workflow,
            "version": self.version,
            "mode": self.mode,
            "policies": [*self.policies],
            "fingerprint": self.fingerprint,
            "claims": [*self.claims],
            "states": [state.to_json() for state in self.states],
        }

    def to_mermaid(self) -> str:
        """A Mermaid state diagram, as GitHub and most documentation tools draw it.

        Reads that stay are named inside their state; what moves is an arrow, marked with who is asked first.
        """
        return "\n".join(self._mermaid()) + "\n"

    def _mermaid(self) -> Iterator[str]:
        ids = {state.name: f"s{number}" for number, state in enumerate(self.states)}
        yield "stateDiagram-v2"
        for state in self.states:
            reads = [edge.tool for edge in state.edges if not edge.moves]
            # Mermaid breaks lines of a state's text only at <br/>, and names with dots or dashes need an id.
            text = "<br/>".join([_quoted(state.name), *(f"<small>{_quoted(tool)}</small>" for tool in reads)])
            yield f'    state "{text}" as {ids[state.name]}'
        for state in self.states:
            if state.is_initial:
                yield f"    [*] --> {ids[state.name]}"
            for edge in state.edges:
                if edge.moves:
                    yield f"    {ids[state.name]} --> {ids[edge.target]}: {_quoted(_label(edge))}"
            for end in state.ends:
                yield f"    {ids[state.name]} --> {ids[end.target]}: {_quoted(end.words)}"
            if state.is_final:
                yield f"    {ids[state.name]} --> [*]"


def _state(definition: Definition, state: State) -> DrawnState:
    edges = _edges(definition, state)
    return DrawnState(
        name=state.name,
        kind=state.kind.value,
        is_initial=state.name == definition.initial,
        is_final=state.is_final,
        edges=tuple(
            _edge(edge, any(before.tool.name == edge.tool.name for before in edges[:number]))
            for number, edge in enumerate(edges)
        ),
        ends=(*ends_of(state.wait), *_cancels(definition, state)),
    )


def _edges(definition: Definition, state: State) -> tuple[Edge, ...]:
    return definition.edges_for(state.name, undoing=state.name == CANCELLING and definition.cancelling is not None)


def _cancels(definition: Definition, state: State) -> tuple[DrawnEnd, ...]:
    if definition.cancelling is None or state.is_final:
        return ()
    if state.name == CANCELLING:
        return (DrawnEnd("all is undone", "cancel", CANCELLED),)
    rule = definition.cancelling.rule
    if rule.states is None or state.name in rule.states:
        return (DrawnEnd(f"cancel ({rule.in_short()})", "cancel", CANCELLING),)
    return () if rule.after is None else (DrawnEnd(f"cancel ({rule.deadline})", "cancel", CANCELLING),)


def ends_of(wait: WaitRule | None) -> tuple[DrawnEnd, ...]:
    """The ways in which a wait ends."""
    if wait is None:
        return ()
    ends = []
    if wait.then is not None:
        ends += [DrawnEnd(event.name_on_wire, "event", wait.then) for event in wait.events]
    if wait.on_failure is not None and wait.failed_by is not None:
        ends.append(DrawnEnd(wait.failed_by.name_on_wire, "failure", wait.on_failure))
    if wait.on_timeout is not None and wait.within is not None:
        when = f"at {moment_in_words(wait.within)}" if wait.seconds is None else f"after {in_words(wait.seconds)}"
        ends.append(DrawnEnd(when, "deadline", wait.on_timeout))
    return tuple(ends)


def _edge(edge: Edge, is_otherwise: bool) -> DrawnEdge:
    contract = edge.tool
    return DrawnEdge(
        tool=contract.name,
        version=contract.version,
        kind=contract.kind.value,
        effect=None if contract.effect is None else contract.effect.value,
        description=contract.description,
        target=edge.target,
        moves=edge.moves,
        guard="; ".join(filter(None, (_name_of(edge.guard), order_in_words(edge.after, edge.once_per)))) or None,
        is_checked=contract.check is not None or edge.check is not None,
        approval=None if edge.approval is None else asked(edge.approval),
        is_otherwise=is_otherwise,
    )


def asked(rule: Approval) -> str:
    """The first stage of an approval, in a few words: "confirmation", "approval by supervisor within 24 h"."""
    if rule.confirmation:
        words = "confirmation"
    elif rule.count > 1:
        words = f"approval by {rule.count} of role {rule.role}" if rule.role else f"approval by {rule.count} people"
    else:
        words = f"approval by {rule.role}" if rule.role else "approval"
    if rule.by is not None:
        words += f" of {rule.who}"
    if rule.seconds is not None:
        words += f" within {in_words(rule.seconds)}"
    elif rule.within is not None:
        words += f" until {moment_in_words(rule.within)}"
    return f"{words} under a condition" if rule.when is not None else words


def _label(edge: DrawnEdge) -> str:
    guard = " ".join(filter(None, ("otherwise" if edge.is_otherwise else None, edge.guard)))
    marks = [mark for mark in (guard and f"[{guard}]", edge.approval and f"({edge.approval})") if mark]
    return " ".join([edge.tool, *marks])


def _name_of(guard: Callable[..., Any] | None) -> str | None:
    if guard is None:
        return None
    if isinstance(guard, Condition):
        return str(guard)
    name = getattr(guard, "__name__", type(guard).__name__)
    return "guarded" if name == "<lambda>" else str(name)


def moment_in_words(within: Within) -> str:
    """A deadline that is not a duration, in words: the moment, or the name of its function."""
    if isinstance(within, dt.datetime):
        return f"{within:%Y-%m-%d %H:%M}"
    name = getattr(within, "__name__", type(within).__name__)
    return "the deadline of the case" if name == "<lambda>" else str(name)


def in_words(seconds: float) -> str:
    """A duration in a few letters: `24 h`, `2 d`, `90 s`."""
    for size, least, unit in ((86400, 2 * 86400, "d"), (3600, 3600, "h"), (60, 60, "min")):
        if seconds >= least and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


__all__ = ["Drawing", "DrawnEdge", "DrawnEnd", "DrawnState", "asked", "ends_of", "in_words"]
