"""Interlock: the model proposes, the graph disposes.

Workflows are LangGraph state machines. What a model may call next is read off the graph's edges, checked again where the tool
runs, and every step is kept in SQL, apart from the conversation.
"""

from ._version import __version__
from .checkpointing import Database, SQLCheckpointer, WorkflowStore
from .delivering import adeliver, deliver
from .events import InProcessBus, Relay, reply
from .graphs import EventService, Instances, Workflow, WorkflowGraph
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
from .nodes.delivery import Delivery, DeliveryStatus
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
    "Delivery",
    "DeliveryStatus",
    "Deny",
    "Effect",
    "ErrorCode",
    "ErrorResult",
    "Event",
    "EventEnvelope",
    "EventService",
    "GuardView",
    "InProcessBus",
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
    "Relay",
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
    "adeliver",
    "command",
    "deliver",
    "event",
    "next_allowed_tools",
    "read",
    "reply",
]
