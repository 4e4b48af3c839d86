"""Policies: rules over a proposal that hold across edges, enforced outside the model.

A policy has two parts. `hides` needs no arguments, and decides what is offered; `judge` sees the whole proposal, at the gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..tools.approvals import Approval
from ..tools.contracts import ToolContract

if TYPE_CHECKING:
    from .definition import GuardView


class Mode(StrEnum):
    """How far a workflow is rolled out."""

    READ_ONLY = "read_only"
    """Commands and events are never offered."""
    DRY_RUN = "dry_run"
    """Commands are gated, approved and recorded, answered with what would happen, and write nothing."""
    LIVE = "live"


@dataclass(frozen=True)
class Allow:
    """The policy has nothing against the proposal."""


@dataclass(frozen=True)
class Deny:
    """The policy forbids the proposal."""

    reason: str
    retryable: bool = False


@dataclass(frozen=True)
class RequireApproval:
    """The policy wants a person to decide."""

    approval: Approval
    reason: str


Ruling = Allow | Deny | RequireApproval


@dataclass(frozen=True)
class ProposalView:
    """What a policy sees of a proposal."""

    tool: ToolContract
    arguments: Mapping[str, Any]
    """Canonical arguments, as on the wire."""
    view: "GuardView"
    carried_out: Mapping[str, int]
    """How many times each tool was carried out in this workflow instance."""
    now: int
    """Microseconds since 1970 UTC, by the database's clock."""


class Policy:
    """Base class of policies: subclass it and override either part.

    Attributes:
        name: Names the policy in denials and audit records.
        version: Counted up when its rule changes; approvals are bound to it.
    """

    name: str = ""
    version: int = 1

    def hides(self, tool: ToolContract, view: "GuardView") -> str | None:  # noqa: ARG002
        """Why the tool is not offered now, or None when it is."""
        return None

    def judge(self, proposal: ProposalView) -> Ruling:  # noqa: ARG002
        """Allow, deny or require an approval."""
        return Allow()

    def may_require_approval(self, tool: ToolContract) -> bool:  # noqa: ARG002
        """Whether `judge` could ask for an approval of this tool; the graph then has an approval node for it."""
        return type(self).judge is not Policy.judge
