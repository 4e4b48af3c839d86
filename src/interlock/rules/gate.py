"""The gate: decides whether a proposal may be executed now. Pure decisions over plain data.

The order of the checks is fixed, and the first failed one is the denial: does the tool exist, is it an edge out of the state in the
row, was it offered when it was proposed, do its arguments fit the contract, does the guard hold, do the policies allow it, and does
the check hold against the system of record. An admission states whether an approval is required; `commands/approvals` looks it up.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from ..tools.approvals import Approval
from ..tools.canonical import JsonObject, digest
from ..tools.contracts import Bound, ToolContract
from ..tools.contracts.supplying import Supply, named_among, with_supplied
from ..tools.errors import InterlockError, InvalidArguments, Refused, RuleError
from ..tools.principal import Principal
from ..tools.storable import type_name, why_not_storable
from .case_approvals import of_the_case
from .definition import Definition, Edge, offered_edges
from .denials import (
    Denial,
    check_failed,
    invalid,
    not_allowed,
    policy_denied,
    refused_by_rule,
    rule_broken,
    unreadable,
    wire_name,
)
from .origins.index import Index
from .policies import Allow, Deny, History, Policy, ProposalView, RequireApproval, Ruling
from .proposals import Proposal
from .view import GuardView


@dataclass(frozen=True)
class Admission:
    """The gate admits the proposal, provided that a person agrees if `approval` requires one."""

    edge: Edge
    bound: Bound
    """The bound call, which is judged, shown and executed."""
    approval: Approval | None
    reasons: tuple[str, ...] = ()
    """The reasons for the approval."""
    rulings: tuple[JsonObject, ...] = ()
    """The rulings of the policies, in their order, for the audit record."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """The origins of the arguments that require the approval."""

    @property
    def arguments(self) -> Any:
        """A copy of the arguments for each user, so that no user changes another's."""
        return self.bound.copied()

    @property
    def canonical(self) -> JsonObject:
        """The arguments in their shown and stored form."""
        return self.bound.canonical

    @property
    def fingerprint(self) -> str:
        """A digest of tool, version and arguments."""
        return self.bound.fingerprint


Verdict = Denial | Admission
Facts = Callable[[ToolContract, Any, Callable[..., Any]], str | None]
"""Runs the application's check against the system of record; returns the reason why it fails, or None."""
Condition = Callable[[ToolContract, Any, Callable[..., Any], GuardView], bool]
"""Evaluates the condition of an approval, which may read the system of record and the view."""


def judge(
    definition: Definition,
    proposal: Proposal,
    view: GuardView,
    *,
    facts: Facts,
    condition: Condition | None = None,
    supply: Supply | None = None,
    carried_out: Callable[[], Mapping[str, int]],
    now: int,
    history: History | None = None,
    sources: Callable[[], Index] | None = None,
    node: str | None = None,
) -> Verdict:
    """Judge one proposal.

    Args:
        definition: The workflow.
        proposal: The proposal.
        view: State, data and revision of the workflow row, and the principal whose run proposed it.
        facts: Runs the checks.
        condition: Evaluates the conditions of approvals; by default with arguments and view only.
        supply: Supplies the application's arguments; by default with arguments and view only.
        carried_out: The number of executions of each tool; read only if a policy uses it.
        now: Microseconds since 1970 UTC.
        history: Counts earlier executions, for policies with limits.
        sources: Returns the instance's stored sources, for policies that trace arguments.
        node: The execution node of the graph; any other edge is denied.
    """
    broken: dict[str, RuleError] = {}
    allowed = offered_edges(
        definition.edges_for(view.state, undoing=proposal.undoes is not None),
        view,
        policies=definition.policies,
        mode=definition.mode,
        broken=broken,
    )
    edge = next((edge for edge in allowed if edge.tool.name == proposal.tool), None)
    if edge is None and proposal.tool in broken:
        return rule_broken(broken[proposal.tool], definition.contracts[proposal.tool].wire_name)
    if edge is None or not proposal.offered or (node is not None and edge.moves and edge.node != node):
        return not_allowed(definition, proposal, view, edge, allowed)
    if proposal.problem is not None:
        return unreadable(proposal.problem, wire_name(edge))
    try:
        return _judge_arguments(
            definition, proposal, view, edge,
            facts=facts, condition=condition, supply=supply, carried_out=carried_out, now=now, history=history, sources=sources,
        )  # fmt: skip
    except RuleError as error:
        return rule_broken(error, wire_name(edge), edge)


def _judge_arguments(
    definition: Definition,
    proposal: Proposal,
    view: GuardView,
    edge: Edge,
    *,
    facts: Facts,
    condition: Condition | None,
    supply: Supply | None,
    carried_out: Callable[[], Mapping[str, int]],
    now: int,
    history: History | None,
    sources: Callable[[], Index] | None,
) -> Verdict:
    try:
        bound = _read(definition, proposal, edge)
        if edge.tool.supplied_fields:
            bound = with_supplied(edge.tool, bound, supply or partial(_supply, view))
    except Refused as refusal:
        return refused_by_rule(refusal, wire_name(edge))
    except InvalidArguments as error:
        return invalid(error)
    needed = _needs_approval(edge, bound, condition, view)
    approval = None if needed is None else of_the_case(needed, view, f"the approval of {edge.label}")
    reasons, rulings = [], []
    origins: dict[str, str] = {}
    if definition.policies:
        counts = _Counted(carried_out)
        for policy in definition.policies:
            seen = ProposalView(edge.tool, copy.deepcopy(bound.canonical), view, counts, now, history, sources)
            ruling = policy.rule_on(seen)
            rulings.append(_ruling_record(policy, ruling))
            if isinstance(ruling, Deny):
                return policy_denied(policy, ruling, wire_name(edge), rulings)
            if isinstance(ruling, RequireApproval):
                # Approvals of the edge and of policies are all required, one after the other.
                label = f"the approval that the policy {policy.label!r} asks for"
                wanted = of_the_case(replace(ruling.approval, when=None), view, label)
                approval = wanted if approval is None else approval.followed_by(wanted)
                reasons.append(f"{policy.label}: {ruling.reason}")
                origins |= ruling.origins
    if (out_of_order := edge.why_out_of_order(bound.canonical, view)) is not None:
        return check_failed(out_of_order, wire_name(edge), rule="order")
    for check in (edge.tool.check, edge.check):
        denial = None if check is None else _against(edge, bound, check, facts)
        if denial is not None:
            return denial
    return Admission(edge, bound, approval, tuple(reasons), tuple(rulings), origins)


def binding(
    definition: Definition,
    admission: Admission,
    *,
    requester: Principal,
    state: str,
    shown: JsonObject,
    revision: int | None,
) -> str:
    """The digest that binds an approval to exactly the shown call, and to the rules that judged it.

    Descriptions are left out, so that another wording does not void a decision.

    Args:
        definition: The workflow.
        admission: The admission by the gate.
        requester: The proposer.
        state: The state of the instance.
        shown: The details that the approver sees beside the arguments.
        revision: For a strict rule: the approval is void as soon as the instance moves.
    """
    bound: dict[str, Any] = {
        "tool": admission.edge.tool.binding_digest,
        "arguments": admission.canonical,
        "requester": {"id": requester.id, "tenant": requester.tenant},
        "mode": definition.mode.value,
        "state": state,
        "target": admission.edge.target,
        "policies": [policy.stamp() for policy in definition.policies],
        "preview": shown.get("preview"),
        "reasons": shown.get("reasons"),
        "rule": shown.get("rule"),
        "revision": revision,
    }
    # Without tracing, the binding is the same as before origins existed.
    return digest(bound | {name: shown[name] for name in ("origins", "sources") if shown.get(name)})


def _read(definition: Definition, proposal: Proposal, edge: Edge) -> Bound:
    """Bind the arguments of a proposal to its tool.

    Raises:
        InvalidArguments: They do not fit, or exceed the workflow's limit.
        RuleError: A validator of the application raised an error that is not a validation error.
    """
    problem = why_not_storable(proposal.arguments, longest=definition.limits.argument_characters)
    if problem is not None:
        raise InvalidArguments(
            f"The arguments do not fit the tool's contract, so it was not called: {problem}. Correct them and call it again.",
            problems=[{"field": "", "problem": problem}],
        )

    if not proposal.is_decided and (stated := of_others(edge.tool, proposal.arguments)):
        raise InvalidArguments(
            f"{wire_name(edge)} was called with {', '.join(stated)}, which only the person who decides on the call states. It was not called; leave "
            "that out, and call it again.",
            problems=[{"field": name, "problem": "only the one who decides states it"} for name in stated],
        )
    if edge.tool.supplied_fields and (given := named_among(edge.tool.supplied_fields, proposal.arguments)):
        raise InvalidArguments(
            f"{wire_name(edge)} was called with {', '.join(given)}, which only the application supplies. It was not called; leave that out, and "
            "call it again.",
            problems=[{"field": name, "problem": "only the application supplies it"} for name in given],
        )
    try:
        return edge.tool.bind(proposal.arguments)
    except InterlockError:
        raise
    except Exception as error:
        rule = f"the arguments of {edge.tool.name}"
        raise RuleError(f"reading {rule} raised {type_name(error)}", rule=rule) from error


def of_others(tool: ToolContract, arguments: Mapping[str, Any]) -> list[str]:
    """The arguments in this call that only the decider may fill in."""
    return [name for field in tool.decision_fields for name in {field.name, field.parameter} if name in arguments]


def _supply(view: GuardView, tool: ToolContract, arguments: Any, function: Callable[..., Any]) -> Any:
    return tool.supply(function, arguments, None, view.apart())


def _needs_approval(edge: Edge, bound: Bound, condition: Condition | None, view: GuardView) -> Approval | None:
    rule = edge.approval
    if rule is None or rule.when is None:
        return rule
    if condition is None:
        return rule if edge.tool.meets(rule.when, bound.copied(), None, view.apart()) else None
    return rule if condition(edge.tool, bound.copied(), rule.when, view.apart()) else None


def _against(edge: Edge, bound: Bound, check: Callable[..., Any], facts: Facts) -> Denial | None:
    try:
        reason = facts(edge.tool, bound.copied(), check)
    except Refused as refusal:
        return refused_by_rule(refusal, wire_name(edge))
    if reason is None:
        return None
    return check_failed(reason, wire_name(edge))


def _ruling_record(policy: Policy, ruling: Ruling) -> JsonObject:
    """The ruling of a policy, for the record."""
    match ruling:
        case Allow():
            said, reason = "allow", None
        case Deny():
            said, reason = "deny", ruling.reason
        case RequireApproval():
            said, reason = "require_approval", ruling.reason
    told: JsonObject = {"policy": policy.label, "version": policy.version, "ruling": said, "reason": reason}
    return told | ({"origins": {**ruling.origins}} if ruling.origins else {})


class _Counted(Mapping[str, int]):
    """The number of executions of each tool, counted lazily, because most policies do not use it."""

    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    @cached_property
    def _counts(self) -> Mapping[str, int]:
        return self._count()

    def __getitem__(self, tool: str) -> int:
        return self._counts[tool]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)
