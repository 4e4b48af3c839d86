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
    """How much a workflow may do, for a gradual roll-out."""

    READ_ONLY = "read_only"
    """Only reads are offered; commands and events never are."""
    DRY_RUN = "dry_run"
    """Commands are judged, approved and recorded, but not executed. The answer is what would have happened."""
    LIVE = "live"


ModeName = Literal["read_only", "dry_run", "live"]
"""A `Mode` by its name."""


@dataclass(frozen=True)
class Allow:
    """A ruling of a policy: it has no objection to the proposal."""

    origins: Mapping[str, str] = field(default_factory=dict)
    """The origin of each argument, by its name, for the record; empty unless the policy traces origins."""


@dataclass(frozen=True)
class Deny:
    """A ruling of a policy: the proposal is denied, with the reason."""

    reason: str
    retryable: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)
    """The origins of the arguments that caused the denial, by name."""


@dataclass(frozen=True)
class RequireApproval:
    """A ruling of a policy: a person must decide first."""

    approval: Approval
    reason: str
    origins: Mapping[str, str] = field(default_factory=dict)
    """The origins of the arguments for which the approval is required, by name; empty unless the policy traces origins."""


Ruling = Allow | Deny | RequireApproval


class Per(StrEnum):
    """The scope over which a limit counts."""

    RUN = "run"
    """One workflow instance."""
    PRINCIPAL = "principal"
    """All calls that one principal proposed, over all instances of a tenant."""
    TENANT = "tenant"
    """All calls of a tenant."""


class History(Protocol):
    """Counts executed calls in the command ledger; effects that are in progress count as well."""

    def times(self, tools: Collection[str], *, per: Per, since: int | None) -> int:
        """How often any of these tools was executed since then (microseconds since 1970 UTC; None: ever)."""

    def total(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Decimal | None:
        """The sum of a field of the calls' arguments, with negative values counted as zero; None if a value is not a number.

        The cost does not depend on the number of calls, as for `times`.
        """

    def amounts(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Iterable[JSON]:
        """The value of a field in each of these calls' arguments; it reads every call."""


@dataclass(frozen=True)
class ProposalView:
    """The view of a proposal for policies."""

    tool: ToolContract
    arguments: Mapping[str, Any]
    """The canonical arguments, with the names on the wire."""
    view: GuardView
    carried_out: Mapping[str, int]
    """How often each tool was executed on this instance, by canonical name.

    Looking up one tool (`carried_out.get("order.refund", 0)`) has a constant cost; iterating reads the whole ledger of the instance.
    """
    now: int
    """Microseconds since 1970 UTC, by the database's clock."""
    history: History | None = None
    """Counts beyond this instance; always set when a workflow runs."""
    sources: "Callable[[], Index] | None" = None
    """Returns the recorded sources of the instance; set if a policy of the workflow traces arguments to them."""


class Policy:
    """Base class of policies: subclass it and override either part.

    Attributes:
        name: The name of the policy in denials and audit records; by default the name of its class.
        version: Increase it when the rule changes; approvals are bound to it.
    """

    name: str = ""
    version: int = 1

    def hides(self, tool: ToolContract, view: GuardView) -> str | None:  # noqa: ARG002
        """Return why the tool is not offered now, or None if it is offered."""
        return None

    def judge(self, proposal: ProposalView) -> Ruling:  # noqa: ARG002
        """Allow, deny or require an approval."""
        return Allow()

    def stops(self, proposal: ProposalView) -> str | None:  # noqa: ARG002
        """Return why every call of the tool would be denied now, whatever its arguments; None if that depends on the arguments.

        Used only to explain the state of an instance; the decision itself is `judge`.
        """
        return None

    def may_require_approval(self, tool: ToolContract) -> bool:  # noqa: ARG002
        """Whether `judge` may require an approval for this tool; the graph then has an approval node for it."""
        return type(self).judge is not Policy.judge

    @property
    def label(self) -> str:
        """The name of the policy in messages and records."""
        return self.name or type(self).__name__

    def stamp(self) -> JSON:
        """The part of the policy to which an approval is bound: the approval is void if this has changed when the call runs."""
        return [self.label, self.version]

    @property
    def rule(self) -> str:
        """The policy in words, for messages about errors in it."""
        return f"the policy {self.label!r}"

    def hidden(self, tool: ToolContract, view: "GuardView") -> str | None:
        """Return the result of `hides`.

        Raises:
            RuleError: It raised, or returned something other than a reason or None. The tool is then not offered.
        """
        reason = asked(self.rule, lambda: self.hides(tool, view.apart()))
        if reason is None or (isinstance(reason, str) and reason.strip()):
            return reason
        raise odd_answer(self.rule, reason, "hides() returns why the tool is not offered, or None when it is")

    def rule_on(self, proposal: ProposalView) -> Ruling:
        """Return the ruling of `judge`.

        Raises:
            RuleError: It raised, or returned something other than a ruling. The proposal is then denied.
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
