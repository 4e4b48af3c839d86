"""Explains why a tool may not be called now: the gate's checks for every tool, without a proposal or arguments."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..tools.contracts import ToolContract
from ..tools.errors import RuleError
from ..tools.kinds import ToolKind
from .conditions import Condition
from .definition import Definition, Edge
from .policies import History, Mode, Policy, ProposalView
from .view import GuardView


class Why(StrEnum):
    """The reason why a tool may not be called."""

    FINISHED = "finished"
    """The instance is finished."""
    STATE = "state"
    """The current state has no edge with it."""
    WAIT = "wait"
    """The current state has no edge with it, and waits for an event or a deadline."""
    GUARD = "guard"
    """The guard of its edge does not hold."""
    POLICY = "policy"
    """A policy hides it."""
    LIMIT = "limit"
    """A policy would deny every call of it, whatever the arguments: a limit is reached, or a cap is used up."""
    MODE = "mode"
    """The workflow runs in read-only mode."""
    RULE_ERROR = "rule_error"
    """A rule of the tool failed."""
    UNDER_WAY = "under_way"
    """A command's effect outside the database is in progress, or of unknown outcome."""
    APPROVAL_OPEN = "approval_open"
    """The tool was proposed already, and its approval is open."""


@dataclass(frozen=True)
class Blocked:
    """One tool that may not be called now."""

    tool: str
    why: Why
    reason: str
    """The reason as a sentence."""


@dataclass(frozen=True)
class Now:
    """The facts about an instance, in addition to the definition, that are checked."""

    view: GuardView
    now: int
    """Microseconds since 1970 UTC."""
    history: History
    carried_out: Mapping[str, int]
    under_way: str | None = None
    """The tool whose effect is in progress or of unknown outcome."""
    asked_about: Mapping[str, str] | None = None
    """The tools with open approvals, with the ids of the approvals."""


def blocked(
    definition: Definition, offered: Mapping[str, Edge], broken: Mapping[str, RuleError], now: Now
) -> tuple[Blocked, ...]:
    """List every tool of a workflow that may not be called now, with the first reason, in the order of the definition.

    Args:
        definition: The workflow.
        offered: The edges that may be called, by tool.
        broken: The tools that are not offered because a rule failed.
        now: The facts about the instance.
    """
    return tuple(_each(definition, offered, broken, now))


def _each(
    definition: Definition, offered: Mapping[str, Edge], broken: Mapping[str, RuleError], now: Now
) -> Iterator[Blocked]:
    for name, contract in definition.contracts.items():
        if name in definition.undo_only:
            continue
        found = _why(definition, contract, offered.get(name), broken.get(name), now)
        if found is not None:
            yield Blocked(name, *found)


def _why(
    definition: Definition, contract: ToolContract, edge: Edge | None, error: RuleError | None, now: Now
) -> tuple[Why, str] | None:
    view = now.view
    state = definition.states[view.state]
    if state.is_final:
        return Why.FINISHED, f"the instance is over: it ended in {view.state!r}"
    here = [edge for edge in definition.by_source.get(view.state, ()) if edge.tool.name == contract.name]
    if not here:
        from_where = ", ".join(
            dict.fromkeys(repr(one.source) for one in definition.edges if one.tool.name == contract.name)
        )
        if state.wait is not None:
            return Why.WAIT, f"{view.state!r} waits, and it is no way out of there; it is called in {from_where}"
        return Why.STATE, f"it is not called in {view.state!r}, but in {from_where}"
    if definition.mode is Mode.READ_ONLY and contract.kind is not ToolKind.READ:
        return Why.MODE, "the workflow runs in read-only mode"
    if error is not None:
        return Why.RULE_ERROR, f"{error.message}; the application must be fixed"
    if edge is None:
        return _hidden(definition, contract, here, view)
    if now.under_way is not None and contract.kind is not ToolKind.READ:
        return Why.UNDER_WAY, f"the effect of {now.under_way} is in progress, or it is unknown whether it happened"
    if (approval_id := (now.asked_about or {}).get(contract.name)) is not None:
        return Why.APPROVAL_OPEN, f"it was proposed already, and {approval_id} waits for a decision"
    return _stopped(definition, contract, now)


def _hidden(definition: Definition, contract: ToolContract, here: list[Edge], view: GuardView) -> tuple[Why, str]:
    for policy in definition.policies:
        reason = _answer_of(lambda policy=policy: policy.hidden(contract, view))  # type: ignore[misc]
        if reason is not None:
            return Why.POLICY, f"the policy {policy.label!r} hides it: {reason}"
    early = [one.after for one in here if one.after is not None]
    if early and _answer_of(lambda: None if any(one.is_open(view) for one in early) else "early") is not None:
        return Why.GUARD, f"it comes {' or '.join(dict.fromkeys(map(str, early)))}"
    guards = list(dict.fromkeys(guard_in_words(edge) for edge in here if edge.guard is not None))
    return Why.GUARD, f"its guard does not hold: {'; or '.join(guards)}"


def _stopped(definition: Definition, contract: ToolContract, now: Now) -> tuple[Why, str] | None:
    proposal = ProposalView(contract, {}, now.view, now.carried_out, now.now, now.history)
    for policy in definition.policies:
        reason = _answer_of(lambda policy=policy: _stop_of(policy, proposal))  # type: ignore[misc]
        if reason is not None:
            return Why.LIMIT, f"the policy {policy.label!r} denies every call of it: {reason}"
    return None


def _stop_of(policy: Policy, proposal: ProposalView) -> str | None:
    return policy.stops(proposal)


def _answer_of(ask: Callable[[], str | None]) -> str | None:
    """The answer of a policy, or None if it raises; the gate reports that error."""
    try:
        reason = ask()
    except Exception:  # a policy that raises explains nothing; the gate reports it
        return None
    return reason if isinstance(reason, str) and reason.strip() else None


def guard_in_words(edge: Edge) -> str:
    """The guard of an edge as text: a condition as a sentence, or the name of a function."""
    guard = edge.guard
    if isinstance(guard, Condition):
        return str(guard)
    name = str(getattr(guard, "__name__", type(guard).__name__))
    return f"that of the edge to {edge.target!r}" if name == "<lambda>" else f"{name}, of the edge to {edge.target!r}"


__all__ = ["Blocked", "Now", "Why", "blocked", "guard_in_words"]
