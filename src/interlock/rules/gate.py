"""The gate: whether a proposal may be carried out now. Pure decisions over plain data.

The order of the questions is fixed, and the first one that fails is the denial: does the tool exist, is it an edge out of the
state that the row says, was it offered when it was proposed, do its arguments fit the contract, does the guard hold, do the
policies allow it, does the check hold against the system of record, and has a person decided where one must.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from ..tools.approvals import Approval
from ..tools.canonical import JsonObject, digest
from ..tools.codes import ErrorCode
from ..tools.contracts import ToolContract
from ..tools.errors import InvalidArguments
from ..tools.kinds import ToolKind
from .definition import Definition, Edge, offered_edges
from .policies import Allow, Deny, History, Mode, ProposalView, RequireApproval
from .proposals import Proposal
from .view import GuardView


@dataclass(frozen=True)
class Denial:
    """The gate refuses the proposal."""

    code: ErrorCode
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    retryable: bool = False
    policy: str | None = None


@dataclass(frozen=True)
class Admission:
    """The gate lets the proposal through, provided that a person agrees where `approval` asks for one."""

    edge: Edge
    arguments: Any
    canonical: JsonObject
    fingerprint: str
    approval: Approval | None
    reasons: tuple[str, ...] = ()
    """Why the approval is asked for."""
    rulings: tuple[JsonObject, ...] = ()
    """What each policy said, in their order, for the audit record."""


Verdict = Denial | Admission
_RULINGS = {Allow: "allow", Deny: "deny", RequireApproval: "require_approval"}
Facts = Callable[[ToolContract, BaseModel, Callable[..., Any]], str | None]
"""Runs a check of the application's own against the system of record; gives the reason why it does not hold, or None."""


def judge(
    definition: Definition,
    proposal: Proposal,
    view: GuardView,
    *,
    facts: Facts,
    carried_out: Callable[[], Mapping[str, int]],
    now: int,
    history: History | None = None,
    node: str | None = None,
) -> Verdict:
    """Judge one proposal.

    Args:
        definition: The workflow.
        proposal: What the model wants.
        view: State, data and revision by the workflow row, and the principal whose run proposed it.
        facts: Runs the checks.
        carried_out: How often each tool was carried out; asked only when there are policies.
        now: Microseconds since 1970 UTC.
        history: Counts what was carried out before, for policies that limit it.
        node: The execution node that the graph came to; another edge than its own is denied.
    """
    allowed = offered_edges(
        definition.by_source.get(view.state, ()), view, policies=definition.policies, mode=definition.mode
    )
    edge = next((edge for edge in allowed if edge.tool.name == proposal.tool), None)
    if edge is None or not proposal.offered or (node is not None and edge.moves and edge.node != node):
        return _not_allowed(definition, proposal, view, edge, allowed)
    if proposal.problem is not None:
        return Denial(
            ErrorCode.INVALID_ARGUMENTS,
            f"The call of {_wire(edge)} could not be read: {proposal.problem}. Nothing was done; send the arguments as one JSON object.",
            {"problems": [{"field": "", "problem": proposal.problem}]},
        )
    try:
        arguments = edge.tool.parse(proposal.arguments)
    except InvalidArguments as error:
        return Denial(ErrorCode.INVALID_ARGUMENTS, error.message, error.details)
    canonical = edge.tool.canonical_arguments(arguments)
    approval, reasons, rulings = _needs_approval(edge, arguments), [], []
    if definition.policies:
        seen = ProposalView(edge.tool, canonical, view, carried_out(), now, history)
        for policy in definition.policies:
            ruling = policy.rule_on(seen)
            rulings.append(
                {
                    "policy": policy.label,
                    "version": policy.version,
                    "ruling": _RULINGS[type(ruling)],
                    "reason": getattr(ruling, "reason", None),
                }
            )
            if isinstance(ruling, Deny):
                return Denial(
                    ErrorCode.POLICY_DENIED,
                    f"The policy {policy.label!r} does not allow {_wire(edge)} now: {ruling.reason}. Nothing was done.",
                    {"policy": policy.label, "reason": ruling.reason, "rulings": rulings},
                    retryable=ruling.retryable,
                    policy=policy.label,
                )
            if isinstance(ruling, RequireApproval):
                # What the edge asks for and what a policy asks for are both asked for, one after the other.
                wanted = replace(ruling.approval, when=None)
                approval = wanted if approval is None else approval.followed_by(wanted)
                reasons.append(f"{policy.label}: {ruling.reason}")
    for check in (edge.tool.check, edge.check):
        reason = None if check is None else facts(edge.tool, arguments, check)
        if reason is not None:
            return Denial(
                ErrorCode.CHECK_FAILED,
                f"{_wire(edge)} cannot be done: {reason}. Nothing was changed.",
                {"reason": reason},
            )
    return Admission(
        edge, arguments, canonical, edge.tool.fingerprint_of(canonical), approval, tuple(reasons), tuple(rulings)
    )


def binding(
    definition: Definition, admission: Admission, *, state: str, shown: JsonObject, revision: int | None
) -> str:
    """The digest that binds an approval to exactly what was shown: tool, version, canonical arguments, state, policies, preview.

    Args:
        revision: Given where the rule is strict: the approval is then void as soon as the instance moves.
    """
    bound: dict[str, Any] = {
        "tool": admission.edge.tool.name,
        "version": admission.edge.tool.version,
        "arguments": admission.canonical,
        "state": state,
        "target": admission.edge.target,
        "policies": [policy.stamp() for policy in definition.policies],
        "preview": shown.get("preview"),
        "revision": revision,
    }
    return digest(bound)


def left_over(proposal: Proposal, *, state: str) -> Denial:
    """The answer to a proposal that still waited when the workflow came to a state where nothing of it can be done."""
    return Denial(
        ErrorCode.SUPERSEDED,
        f"{proposal.tool} was proposed in {proposal.state!r}, and the workflow is in {state!r} now. Nothing was done; propose anew what "
        "is still wanted.",
        {"proposedIn": proposal.state},
    )


def _needs_approval(edge: Edge, arguments: BaseModel) -> Approval | None:
    rule = edge.approval
    if rule is None or rule.when is None:
        return rule
    return rule if edge.tool.call_predicate(rule.when, arguments) is None else None


def _not_allowed(
    definition: Definition, proposal: Proposal, view: GuardView, edge: Edge | None, allowed: Sequence[Edge]
) -> Denial:
    now = ", ".join(_wire(edge) for edge in allowed) or "none"
    contract = definition.contracts.get(proposal.tool)
    if contract is None:
        return Denial(
            ErrorCode.UNKNOWN_TOOL,
            f"There is no tool {proposal.tool!r}. Nothing was done. Tools that may be called now: {now}.",
        )
    if edge is not None and not proposal.offered:
        return Denial(
            ErrorCode.TOOL_NOT_ALLOWED,
            f"{contract.wire_name} was not offered when it was called. Nothing was done. Tools that may be called now: {now}.",
        )
    if edge is not None:
        return Denial(
            ErrorCode.CONFLICT,
            f"The workflow moved while {contract.wire_name} was waiting, and it would now lead elsewhere. Nothing was done. "
            f"Tools that may be called now: {now}.",
            retryable=True,
        )
    if definition.mode is Mode.READ_ONLY and contract.kind is not ToolKind.READ:
        return Denial(
            ErrorCode.TOOL_NOT_ALLOWED,
            f"This workflow runs in read-only mode: {contract.wire_name} changes something and is not offered. Nothing was done. "
            f"Tools that may be called now: {now}.",
        )
    here = [edge for edge in definition.by_source.get(view.state, ()) if edge.tool.name == proposal.tool]
    for policy in definition.policies:
        if here and (reason := policy.hides(contract, view)) is not None:
            return Denial(
                ErrorCode.POLICY_DENIED,
                f"The policy {policy.label!r} does not allow {contract.wire_name} now: {reason}. Nothing was done. "
                f"Tools that may be called now: {now}.",
                {"policy": policy.label, "reason": reason},
                policy=policy.label,
            )
    if here:
        return Denial(
            ErrorCode.GUARD_FAILED,
            f"{contract.wire_name} may not be called now: its condition in the state {view.state!r} does not hold. Nothing was done. "
            f"Tools that may be called now: {now}.",
        )
    return Denial(
        ErrorCode.TOOL_NOT_ALLOWED,
        f"{contract.wire_name} may not be called in the state {view.state!r}. Nothing was done. Tools that may be called now: {now}.",
    )


def _wire(edge: Edge) -> str:
    return edge.tool.wire_name
