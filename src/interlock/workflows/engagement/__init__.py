"""Engagement: a command requests a message, another process sends it, and the workflow tracks the deliveries."""

from .events import MessageDelivered, MessageFailed, MessageRequested
from .workflow import EngagementData, engagement_workflow, send_message

__all__ = [
    "EngagementData",
    "MessageDelivered",
    "MessageFailed",
    "MessageRequested",
    "engagement_workflow",
    "send_message",
]
