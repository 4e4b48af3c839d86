"""Interlock: the model proposes, the graph disposes.

Workflows are LangGraph state machines. What a model may call next is read off the graph's edges, checked again where the tool
runs, and every step is kept in SQL, apart from the conversation.
"""

from ._version import __version__
from .checkpointing import Database, SQLCheckpointer, WorkflowStore
from .graphs import Instances, Workflow, WorkflowGraph
from .nodes import (
    Allow,
    DecisionView,
    Deny,
    GuardView,
    Limits,
    Mode,
    Policy,
    ProposalView,
    RequireApproval,
    next_allowed_tools,
)
from .tools import (
    CommandResult,
    ConflictError,
    Effect,
    ErrorCode,
    ErrorResult,
    Event,
    EventEnvelope,
    InstanceSnapshot,
    InterlockError,
    Principal,
    ReadResult,
    Refused,
    RetryPolicy,
    ToolContext,
    ToolContract,
    ToolRegistry,
    command,
    event,
    read,
)
from .tools.approvals import Approval, Confirmation, Decision, DecisionKind

__all__ = [
    "Allow",
    "Approval",
    "CommandResult",
    "Confirmation",
    "ConflictError",
    "Database",
    "Decision",
    "DecisionKind",
    "DecisionView",
    "Deny",
    "Effect",
    "ErrorCode",
    "ErrorResult",
    "Event",
    "EventEnvelope",
    "GuardView",
    "InstanceSnapshot",
    "Instances",
    "InterlockError",
    "Limits",
    "Mode",
    "Policy",
    "Principal",
    "ProposalView",
    "ReadResult",
    "Refused",
    "RequireApproval",
    "RetryPolicy",
    "SQLCheckpointer",
    "ToolContext",
    "ToolContract",
    "ToolRegistry",
    "Workflow",
    "WorkflowGraph",
    "WorkflowStore",
    "__version__",
    "command",
    "event",
    "next_allowed_tools",
    "read",
]
