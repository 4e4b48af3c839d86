"""The kinds of node that a workflow is made of, and the pure rules that they follow."""

from .definition import Definition, Edge, GuardView, Limits, State, StateKind, next_allowed_tools, offered_edges
from .gate import Admission, Denial, judge
from .limits import LimitPerPeriod, LimitPerRun, RequireRole, SpendingCap, WorkingHours
from .models import DecisionView
from .policies import Allow, Deny, History, Mode, Per, Policy, ProposalView, RequireApproval
from .principals import server_principal
from .proposals import Proposal
from .streaming import ApprovalEvent, DenialEvent, ReadEvent, StreamEvent, TransitionEvent, parse_event

__all__ = [
    "Admission",
    "Allow",
    "ApprovalEvent",
    "DecisionView",
    "Definition",
    "Denial",
    "DenialEvent",
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
    "ReadEvent",
    "RequireApproval",
    "RequireRole",
    "SpendingCap",
    "State",
    "StateKind",
    "StreamEvent",
    "TransitionEvent",
    "WorkingHours",
    "judge",
    "next_allowed_tools",
    "offered_edges",
    "parse_event",
    "server_principal",
]
