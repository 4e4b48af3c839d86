"""What is kept in SQL: checkpoints, the conversation apart from them, and the workflow store."""

from .checkpointer import SQLCheckpointer
from .connecting.capacity import Capacity
from .database import Database
from .encryption import Encryption
from .removing.erasing import erase_instances
from .removing.policy import Retirement, RetirementReport
from .removing.retiring import retire_instances
from .saver.keeping.policy import Retention, RetentionReport
from .serializing import TypedSerializer, declared_types
from .store import ApprovalRequest, ApprovalStatus, AuditKind, AuditRecord, Instance, WorkflowStore

__all__ = [
    "ApprovalRequest",
    "ApprovalStatus",
    "AuditKind",
    "AuditRecord",
    "Capacity",
    "Database",
    "Encryption",
    "Instance",
    "Retention",
    "RetentionReport",
    "Retirement",
    "RetirementReport",
    "SQLCheckpointer",
    "TypedSerializer",
    "WorkflowStore",
    "declared_types",
    "erase_instances",
    "retire_instances",
]
