"""The rules of a workflow as pure decisions over plain data: its definition, policies, limits, waits and the gate.

Nothing here touches SQL, LangGraph's graphs or a model. Open `gate.py` first: it decides whether a proposal may run.
"""

from .definition import Definition, Edge, Limits, State, StateKind, next_allowed_tools, offered_edges
from .denials import Denial
from .gate import Admission, judge
from .limits import LimitPerPeriod, LimitPerRun, RequireRole, SpendingCap, WorkingHours
from .policies import Allow, Deny, History, Mode, Per, Policy, ProposalView, RequireApproval
from .proposals import Proposal
from .view import GuardView

__all__ = [
    "Admission",
    "Allow",
    "Definition",
    "Denial",
    "Deny",
    "Edge",
    "GuardView",
    "History",
    "LimitPerPeriod",
    "LimitPerRun",
    "Limits",
    "Mode",
    "Per",
    "Policy",
    "Proposal",
    "ProposalView",
    "RequireApproval",
    "RequireRole",
    "SpendingCap",
    "State",
    "StateKind",
    "WorkingHours",
    "judge",
    "next_allowed_tools",
    "offered_edges",
]
