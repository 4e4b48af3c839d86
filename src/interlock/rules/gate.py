"""The gate: whether a proposal may be carried out now. Pure decisions over plain data.

The order of the questions is fixed, and the first one that fails is the denial: does the tool exist, is it an edge out of the
state that the row says, was it offered when it was proposed, do its arguments fit the contract, does the guard hold, do the
policies allow it, and does the check hold against the system of record. An admission says whether a person has to agree; whether one
has is looked up in `commands/approvals`.
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
from ..tools.storable import why_not_storable
from .case_approvals import of_the_case
from .definition import Definition, Edge, offered_edges
from .denials import (
    Denial,
    check_failed,
    invalid,
    not_allowed,
    policy_denied,
    rule_broken,
    said_no,
    unreadable,
    wire_name,
)
from .origins.index import Index
from .policies import Allow, Deny, History, Policy, ProposalView, RequireApproval, Ruling
from .proposals import Proposal
from .view import GuardView


@dataclass(frozen=True)
class Admission:
    """The gate lets the proposal through, provided that a person agrees where `approval` asks for one."""

    edge: Edge
    bound: Bound
    """What was judged, is shown, and runs."""
    approval: Approval | None
    reasons: tuple[str, ...] = ()
    """Why the approval is asked for."""
    rulings: tuple[JsonObject, ...] = ()
    """What each policy said, in their order, for the audit record."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where the arguments that it is asked for come from."""

    @property
    def arguments(self) -> Any:
        """The arguments for anyone who looks at them or runs on them: a copy for each, so that nobody changes another's."""
        return self.bound.copied()

    @property
    def canonical(self) -> JsonObject:
        """The arguments as they are shown and stored."""
        return self.bound.canonical

    @property
    def fingerprint(self) -> str:
        """A digest of tool, version and arguments."""
        return self.bound.fingerprint


Verdict = Denial | Admission
Facts = Callable[[ToolContract, Any, Callable[..., Any]], str | None]
"""Runs a check of the application's own against the system of record; gives the reason why it does not hold, or None."""
Condition = Callable[[ToolContract, Any, Callable[..., Any], GuardView], bool]
"""Asks the condition of an approval, which may look at what a check looks at, and at the view."""


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
        proposal: What the model wants.
        view: State, data and revision by the workflow row, and the principal whose run proposed it.
        facts: Runs the checks.
        condition: Asks the conditions of approvals; asked with arguments and view alone where it is not given.
        supply: Asks for the arguments that the application supplies; asked with arguments and view alone where it is not given.
        carried_out: How often each tool was carried out; asked only when a policy looks.
        now: Microseconds since 1970 UTC.
        history: Counts what was carried out before, for policies that limit it.
        sources: Gives what is kept of the instance's sources, for policies that trace arguments.
        node: The execution node that the graph came to; another edge than its own is denied.
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
        return said_no(refusal, wire_name(edge))
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
            rulings.append(_told(policy, ruling))
            if isinstance(ruling, Deny):
                return policy_denied(policy, ruling, wire_name(edge), rulings)
            if isinstance(ruling, RequireApproval):
                # What the edge asks for and what a policy asks for are both asked for, one after the other.
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
    """The digest that binds an approval to exactly what was shown, and to what it was judged by.

    Descriptions are left out: another wording does not void what was decided.

    Args:
        definition: The workflow.
        admission: What the gate let through.
        requester: Whose proposal it is.
        state: The state of the instance.
        shown: What the approver is shown beside the arguments.
        revision: Given where the rule is strict: the approval is then void as soon as the instance moves.
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
    # A request of a workflow that traces nothing is bound as it always was.
    return digest(bound | {name: shown[name] for name in ("origins", "sources") if shown.get(name)})


def _read(definition: Definition, proposal: Proposal, edge: Edge) -> Bound:
    """The arguments as the tool gets them, and as they are shown and kept.

    Raises:
        InvalidArguments: They do not fit, or are more than the workflow takes.
        RuleError: A validator of the application's own raised something that is no validation error.
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
        raise RuleError(f"reading {rule} raised {type(error).__name__}", rule=rule) from error


def of_others(tool: ToolContract, arguments: Mapping[str, Any]) -> list[str]:
    """The arguments among these that only the one who decides on a call may state."""
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
        return said_no(refusal, wire_name(edge))
    if reason is None:
        return None
    return check_failed(reason, wire_name(edge))


def _told(policy: Policy, ruling: Ruling) -> JsonObject:
    """What a policy said, for the record."""
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
    """How often each tool was carried out, counted when a policy first looks: most do not."""

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
