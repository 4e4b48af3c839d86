"""Interlock: the model proposes, the graph disposes.

Workflows are LangGraph state machines. What a model may call next is read off the graph's edges, checked again where the tool
runs, and every step is kept in SQL, apart from the conversation.
"""

import importlib
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from .checkpointing import Database, SQLCheckpointer, WorkflowStore
    from .commands.waits.delivery import Delivery, DeliveryStatus
    from .delivering import adeliver, deliver
    from .events import InProcessBus, Relay, reply
    from .graphs import Workflow, WorkflowGraph
    from .nodes import (
        ApprovalEvent,
        DecisionView,
        DenialEvent,
        ReadEvent,
        StreamEvent,
        TransitionEvent,
        parse_event,
    )
    from .operations import EventService, Instances
    from .rules import (
        Allow,
        Deny,
        GuardView,
        LimitPerPeriod,
        LimitPerRun,
        Limits,
        Mode,
        Per,
        Policy,
        ProposalView,
        RequireApproval,
        RequireRole,
        SpendingCap,
        WorkingHours,
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
        contract_from_schema,
        event,
        parse_result,
        read,
    )
    from .tools.approvals import Approval, Confirmation, Decision, DecisionKind, Escalate, Take

_ROOMS = {
    ".checkpointing": (
        "Database",
        "SQLCheckpointer",
        "WorkflowStore",
    ),
    ".delivering": (
        "adeliver",
        "deliver",
    ),
    ".events": (
        "InProcessBus",
        "Relay",
        "reply",
    ),
    ".graphs": (
        "Workflow",
        "WorkflowGraph",
    ),
    ".nodes": (
        "ApprovalEvent",
        "DecisionView",
        "DenialEvent",
        "ReadEvent",
        "StreamEvent",
        "TransitionEvent",
        "parse_event",
    ),
    ".operations": (
        "EventService",
        "Instances",
    ),
    ".rules": (
        "Allow",
        "Deny",
        "GuardView",
        "LimitPerPeriod",
        "LimitPerRun",
        "Limits",
        "Mode",
        "Per",
        "Policy",
        "ProposalView",
        "RequireApproval",
        "RequireRole",
        "SpendingCap",
        "WorkingHours",
        "next_allowed_tools",
    ),
    ".commands.waits.delivery": (
        "Delivery",
        "DeliveryStatus",
    ),
    ".tools": (
        "CommandResult",
        "ConflictError",
        "Effect",
        "ErrorCode",
        "ErrorResult",
        "Event",
        "EventEnvelope",
        "InstanceSnapshot",
        "InterlockError",
        "Principal",
        "ReadResult",
        "Refused",
        "RetryPolicy",
        "ToolContext",
        "ToolContract",
        "ToolRegistry",
        "command",
        "contract_from_schema",
        "event",
        "parse_result",
        "read",
    ),
    ".tools.approvals": (
        "Approval",
        "Confirmation",
        "Decision",
        "DecisionKind",
        "Escalate",
        "Take",
    ),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}
"""Where each name of this door lives: a room is imported when the first of its names is used, and not with `import interlock`."""

__all__ = [
    "Allow",
    "Approval",
    "ApprovalEvent",
    "CommandResult",
    "Confirmation",
    "ConflictError",
    "Database",
    "Decision",
    "DecisionKind",
    "DecisionView",
    "Delivery",
    "DeliveryStatus",
    "DenialEvent",
    "Deny",
    "Effect",
    "ErrorCode",
    "ErrorResult",
    "Escalate",
    "Event",
    "EventEnvelope",
    "EventService",
    "GuardView",
    "InProcessBus",
    "InstanceSnapshot",
    "Instances",
    "InterlockError",
    "LimitPerPeriod",
    "LimitPerRun",
    "Limits",
    "Mode",
    "Per",
    "Policy",
    "Principal",
    "ProposalView",
    "ReadEvent",
    "ReadResult",
    "Refused",
    "Relay",
    "RequireApproval",
    "RequireRole",
    "RetryPolicy",
    "SQLCheckpointer",
    "SpendingCap",
    "StreamEvent",
    "Take",
    "ToolContext",
    "ToolContract",
    "ToolRegistry",
    "TransitionEvent",
    "Workflow",
    "WorkflowGraph",
    "WorkflowStore",
    "WorkingHours",
    "__version__",
    "adeliver",
    "command",
    "contract_from_schema",
    "deliver",
    "event",
    "next_allowed_tools",
    "parse_event",
    "parse_result",
    "read",
    "reply",
]

if not TYPE_CHECKING:  # a type checker that saw this would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__]
