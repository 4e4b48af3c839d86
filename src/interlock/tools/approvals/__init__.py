"""Approvals as plain data: the rule that says who may decide and until when, and the decision itself.

Here: rules, their JSON, deadlines and named deciders. Not here: values that depend on the instance (`rules/case_approvals`), and
the stored requests (`checkpointing/store/approvals`). Open `rule.py` first.
"""

from .chat import Chat, read_answer
from .deadlines import Within, duration
from .deciders import RoleHolders
from .expiry import Escalate, Expiry, TakeEdge
from .rule import Approval, Confirmation, Decision, DecisionKind

__all__ = [
    "Approval",
    "Chat",
    "Confirmation",
    "Decision",
    "DecisionKind",
    "Escalate",
    "Expiry",
    "RoleHolders",
    "TakeEdge",
    "Within",
    "duration",
    "read_answer",
]
