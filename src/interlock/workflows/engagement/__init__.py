"""Engagement: one command asks for a message to be sent, others send it, and the workflow tracks the state all the while."""

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
