"""The public names of `interlock.checkpointing`, read by type checkers and by the lazy loader alike."""

from .checkpointer import SQLCheckpointer as SQLCheckpointer
from .connecting.capacity import Capacity as Capacity
from .database import Database as Database
from .encryption import Encryption as Encryption
from .removing.erasing import erase_instances as erase_instances
from .removing.policy import Retirement as Retirement
from .removing.policy import RetirementReport as RetirementReport
from .removing.retiring import retire_instances as retire_instances
from .saver.keeping.policy import Retention as Retention
from .saver.keeping.policy import RetentionReport as RetentionReport
from .serializing import TypedSerializer as TypedSerializer
from .serializing import declared_types as declared_types
from .store import ApprovalRequest as ApprovalRequest
from .store import ApprovalStatus as ApprovalStatus
from .store import AuditKind as AuditKind
from .store import AuditRecord as AuditRecord
from .store import Instance as Instance
from .store import WorkflowStore as WorkflowStore
