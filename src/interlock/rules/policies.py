"""Policies: rules about proposals that apply to all edges, enforced outside the model.

A policy has two parts. `hides` needs no arguments and filters the offered tools; `judge` sees the whole proposal, at the gate.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..tools.approvals import Approval
from ..tools.canonical import JSON
from ..tools.contracts import ToolContract
from ..tools.contracts.yes_or_no import asked, odd_answer
from .view import GuardView

if TYPE_CHECKING:
    from .origins.index import Index


class Mode(StrEnum):
    """How far a workflow is rolled out."""

    READ_ONLY = "read_only"
    """Commands and events are never offered."""
    DRY_RUN = "dry_run"
    """Commands are gated, approved and recorded, answered with what would happen, and write nothing."""
    LIVE = "live"


ModeName = Literal["read_only", "dry_run", "live"]
"""A `Mode` by its name."""


@dataclass(frozen=True)
class Allow:
    """The policy has nothing against the proposal."""

    origins: Mapping[str, str] = field(default_factory=dict)
    """Where the arguments come from, by their names, for the record; where the policy traces them."""


@dataclass(frozen=True)
class Deny:
    """The policy forbids the proposal."""

    reason: str
    retryable: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where the arguments that speak against it come from, by their names."""


@dataclass(frozen=True)
class RequireApproval:
    """The policy wants a person to decide."""

    approval: Approval
    reason: str
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where the arguments that it is asked for come from, by their names; where the policy traces them."""


Ruling = Allow | Deny | RequireApproval


class Per(StrEnum):
    """What a limit counts over."""

    RUN = "run"
    """One workflow instance."""
    PRINCIPAL = "principal"
    """Everything that the same principal proposed, over all instances of a tenant."""
    TENANT = "tenant"
    """Everything that a tenant did."""


class History(Protocol):
    """Counts what was carried out before, by the command ledger; effects that are in progress count as well."""

    def times(self, tools: Collection[str], *, per: Per, since: int | None) -> int:
        """How many times any of these tools was carried out since then (microseconds since 1970 UTC)."""

    def total(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Decimal | None:
        """The sum of that field of their arguments, where a negative one counts as nothing; None when one of them is not a number.

        It costs the same however many there are, as `times` does.
        """

    def amounts(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Iterable[JSON]:
        """What each of these calls had in that field of its arguments; it reads every one of them."""


@dataclass(frozen=True)
class ProposalView:
    """What a policy sees of a proposal."""

    tool: ToolContract
    arguments: Mapping[str, Any]
    """Canonical arguments, as on the wire."""
    view: GuardView
    carried_out: Mapping[str, int]
    """How many times each tool was carried out in this workflow instance.

    To ask for one tool (`carried_out.get("order.refund", 0)`) costs the same however often it was; to go through all of them reads the
    ledger of the instance.
    """
    now: int
    """Microseconds since 1970 UTC, by the database's clock."""
    history: History | None = None
    """Counts further than this instance; always there when a workflow runs."""
    sources: "Callable[[], Index] | None" = None
    """Gives what is kept of the instance's sources; there where a policy of the workflow traces arguments to them."""


class Policy:
    """Base class of policies: subclass it and override either part.

    Attributes:
        name: Names the policy in denials and audit records; the name of its class, without one.
        version: Counted up when its rule changes; approvals are bound to it.
    """

    name: str = ""
    version: int = 1

    def hides(self, tool: ToolContract, view: GuardView) -> str | None:  # noqa: ARG002
        """Why the tool is not offered now, or None when it is."""
        return None

    def judge(self, proposal: ProposalView) -> Ruling:  # noqa: ARG002
        """Allow, deny or require an approval."""
        return Allow()

    def stops(self, proposal: ProposalView) -> str | None:  # noqa: ARG002
        """Why every call of the tool would be denied now, whatever its arguments; None where that depends on them.

        Asked only to explain where an instance stands, without arguments. Nothing is decided by it.
        """
        return None

    def may_require_approval(self, tool: ToolContract) -> bool:  # noqa: ARG002
        """Whether `judge` could ask for an approval of this tool; the graph then has an approval node for it."""
        return type(self).judge is not Policy.judge

    @property
    def label(self) -> str:
        """What the policy is called in messages and records."""
        return self.name or type(self).__name__

    def stamp(self) -> JSON:
        """What an approval is bound to: it is void when this is another one at its execution."""
        return [self.label, self.version]

    @property
    def rule(self) -> str:
        """The policy in words, for what is said of it when it breaks."""
        return f"the policy {self.label!r}"

    def hidden(self, tool: ToolContract, view: "GuardView") -> str | None:
        """What `hides` says.

        Raises:
            RuleError: It raised, or said something else than a reason or None; neither is taken for a yes.
        """
        reason = asked(self.rule, lambda: self.hides(tool, view.apart()))
        if reason is None or (isinstance(reason, str) and reason.strip()):
            return reason
        raise odd_answer(self.rule, reason, "hides() returns why the tool is not offered, or None when it is")

    def rule_on(self, proposal: ProposalView) -> Ruling:
        """What `judge` says.

        Raises:
            RuleError: It raised, or said something else than a ruling; neither is taken for a yes.
        """
        ruling = asked(self.rule, lambda: self.judge(replace(proposal, view=proposal.view.apart())))
        if isinstance(ruling, Allow | Deny | RequireApproval) and isinstance(ruling.origins, Mapping):
            origins = {str(name): str(origin) for name, origin in ruling.origins.items()}
            if isinstance(ruling, Allow):
                return replace(ruling, origins=origins) if origins else ruling
            if isinstance(ruling, Deny) and isinstance(ruling.reason, str):
                return replace(ruling, retryable=ruling.retryable is True, origins=origins)
            if isinstance(ruling, RequireApproval) and isinstance(ruling.approval, Approval):
                return replace(ruling, origins=origins)
        raise odd_answer(
            self.rule, ruling, "judge() returns Allow(), Deny(reason) or RequireApproval(approval, reason)"
        )
