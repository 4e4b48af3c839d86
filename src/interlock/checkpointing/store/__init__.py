"""The workflow store: what is true about each workflow instance."""

from .approvals import ApprovalRequest, ApprovalStatus
from .audit import AuditKind, AuditRecord, Broken
from .instances import Instance
from .ledger import LedgerEntry, LedgerStatus
from .unit import Unit
from .workflow_store import Clock, WorkflowStore

__all__ = [
    "ApprovalRequest",
    "ApprovalStatus",
    "AuditKind",
    "AuditRecord",
    "Broken",
    "Clock",
    "Instance",
    "LedgerEntry",
    "LedgerStatus",
    "Unit",
    "WorkflowStore",
]
