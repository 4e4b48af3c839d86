"""The workflow store: the authoritative state of each workflow instance."""

from .approval_listing import Page
from .approvals import FOLLOWS, ApprovalRequest, ApprovalStatus, DecisionRow, Standing
from .audit import AuditKind, AuditRecord, Broken
from .instances import Instance
from .ledger import LedgerEntry, LedgerStatus
from .unit import Unit
from .workflow_store import Clock, WorkflowStore

__all__ = [
    "FOLLOWS",
    "ApprovalRequest",
    "ApprovalStatus",
    "AuditKind",
    "AuditRecord",
    "Broken",
    "Clock",
    "DecisionRow",
    "Instance",
    "LedgerEntry",
    "LedgerStatus",
    "Page",
    "Standing",
    "Unit",
    "WorkflowStore",
]
