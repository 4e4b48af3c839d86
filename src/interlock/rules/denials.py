"""The texts and codes of denials, for the model, which reads them and chooses again, and for callers.

Here: the text and the code of each denial of a call. Not here: the decision to deny a call (`gate`), refusals by tools, and denials
about an approval, whose texts are in `commands/approvals`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..tools.canonical import JSON
from ..tools.codes import ErrorCode
from ..tools.errors import InvalidArguments, Refused, RuleError
from ..tools.kinds import ToolKind
from ..tools.storable import storable_text
from .definition import Definition, Edge
from .policies import Deny, Mode, Policy
from .proposals import Proposal
from .view import GuardView

_LONGEST_NAME = 100


@dataclass(frozen=True)
class Denial:
    """The gate refuses the proposal."""

    code: ErrorCode
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    retryable: bool = False
    policy: str | None = None
    error: Exception | None = field(default=None, compare=False)
    """The error of a failed rule, only for the log and the trace, because it may contain details that a caller must not see."""


def not_allowed(
    definition: Definition, proposal: Proposal, view: GuardView, edge: Edge | None, allowed: Sequence[Edge]
) -> Denial:
    """The denial of a call that is not allowed now, with the reason and the next allowed tools."""
    now = ", ".join(wire_name(edge) for edge in allowed) or "none"
    contract = definition.contracts.get(proposal.tool)
    if contract is None:
        return Denial(
            ErrorCode.UNKNOWN_TOOL,
            f"There is no tool {storable_text(proposal.tool)[:_LONGEST_NAME]!r}. Nothing was done. Tools that may be called now: {now}.",
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
        if here and (reason := policy.hidden(contract, view)) is not None:
            return Denial(
                ErrorCode.POLICY_DENIED,
                f"The policy {policy.label!r} does not allow {contract.wire_name} now: {as_clause(reason)}. Nothing was done. "
                f"Tools that may be called now: {now}.",
                {"policy": policy.label, "reason": reason},
                policy=policy.label,
            )
    early = next((one.after for one in here if one.after is not None and not one.after.is_open(view)), None)
    if early is not None and len(here) == 1:
        tools = " or ".join(one.wire_name for one in early.tools)
        return Denial(
            ErrorCode.GUARD_FAILED,
            f"{contract.wire_name} may not be called now: {tools} comes first. Nothing was done. Tools that may be called now: {now}.",
            {"after": [*sorted(early.names)]},
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


def unreadable(problem: str, wire_name: str) -> Denial:
    """The denial of a call whose arguments are not JSON."""
    return Denial(
        ErrorCode.INVALID_ARGUMENTS,
        f"The call of {wire_name} could not be read: {problem}. Nothing was done; send the arguments as one JSON object.",
        {"problems": [{"field": "", "problem": problem}]},
    )


def invalid(error: InvalidArguments) -> Denial:
    """The denial of arguments that do not fit the contract."""
    return Denial(ErrorCode.INVALID_ARGUMENTS, error.message, error.details)


def policy_denied(policy: Policy, ruling: Deny, wire_name: str, rulings: Sequence[JSON]) -> Denial:
    """The denial of a policy; `rulings` are those of all policies so far."""
    return Denial(
        ErrorCode.POLICY_DENIED,
        f"The policy {policy.label!r} does not allow {wire_name} now: {as_clause(ruling.reason)}. Nothing was done.",
        {"policy": policy.label, "reason": ruling.reason, "rulings": [*rulings]},
        retryable=ruling.retryable,
        policy=policy.label,
    )


def check_failed(reason: str, wire_name: str, **details: Any) -> Denial:
    """The denial of a check with this reason."""
    return Denial(
        ErrorCode.CHECK_FAILED,
        f"{wire_name} cannot be done: {as_clause(reason)}. Nothing was changed.",
        {"reason": reason, **details},
    )


def rule_broken(error: RuleError, wire_name: str, edge: Edge | None = None) -> Denial:
    """The denial after a rule of the application failed. An error never counts as permission; it is logged."""
    return Denial(
        ErrorCode.RULE_ERROR,
        f"{wire_name} could not be judged, because {error.message}. Nothing was done. The application must be fixed before it can be "
        "called; continue without it.",
        {"rule": error.rule} | ({} if edge is None else {"edge": edge.label}),
        error=error,
    )


def refused_by_rule(refusal: Refused, wire_name: str) -> Denial:
    """The denial of a check or preview that raised `Refused`, with that reason."""
    return Denial(
        ErrorCode.CHECK_FAILED,
        f"{wire_name} cannot be done: {as_clause(refusal.message)}. Nothing was changed.",
        {**refusal.details, "reason": refusal.message} | ({} if refusal.reason is None else {"code": refusal.reason}),
        retryable=refusal.retryable is True,
    )


def as_clause(reason: str) -> str:
    """An application's reason without its full stop, as a part of a sentence."""
    return reason.strip().removesuffix(".")


def not_proposed(proposal: Proposal, workflow_id: str) -> Denial:
    """The denial of a proposal that was not made on this instance, or was changed since."""
    return Denial(
        ErrorCode.NOT_PROPOSED,
        f"A call of {proposal.tool} was found that was not proposed in the workflow {workflow_id}, or was changed since. Nothing was "
        "done. Somebody wrote into the graph's state, its checkpoints or its config; what is wanted is to be proposed.",
    )


def key_of_another(key: str) -> Denial:
    """The denial of a call under the idempotency key of another principal."""
    return Denial(
        ErrorCode.IDEMPOTENCY_MISMATCH,
        f"The idempotency key {key} was used by somebody else. Nothing was done; use your own key.",
    )


def moved_while_reading(wire_name: str) -> Denial:
    """The denial of a moving read during which another call moved the workflow."""
    return Denial(
        ErrorCode.CONFLICT,
        f"The workflow moved while {wire_name} was reading. Nothing was changed; call it again.",
        retryable=True,
    )


def one_by_one(wire_name: str) -> Denial:
    """The denial of the second call in one message that changes something."""
    return Denial(
        ErrorCode.CONFLICT,
        f"{wire_name} came in one message with another call that changes something. Nothing was done by it; look at what the other one "
        "did, then call it again in a separate message.",
        retryable=True,
    )


def too_many(limit: int, calls: int) -> Denial:
    """The answer to the calls of a message beyond the workflow's limit per message."""
    return Denial(
        ErrorCode.TOO_MANY_CALLS,
        f"A message may hold {limit} calls, and this one, of a message of {calls}, came after them. Nothing was done; call it again "
        "in a separate message if it is still wanted.",
        {"limit": limit, "calls": calls},
        retryable=True,
    )


def left_over(proposal: Proposal, *, state: str) -> Denial:
    """The answer to a proposal that still waited when the workflow reached a state without its tool."""
    return Denial(
        ErrorCode.SUPERSEDED,
        f"{proposal.tool} was proposed in {proposal.state!r}, and the workflow is in {state!r} now. Nothing was done; propose again what is still "
        "wanted.",
        {"proposedIn": proposal.state},
    )


def wire_name(edge: Edge) -> str:
    """The wire name of an edge's tool."""
    return edge.tool.wire_name
