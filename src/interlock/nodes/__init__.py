"""The kinds of node that a workflow is made of, and the pure rules that they follow."""

from .definition import Definition, Edge, GuardView, Limits, State, StateKind, next_allowed_tools, offered_edges
from .gate import Admission, Denial, judge
from .models import DecisionView
from .policies import Allow, Deny, Mode, Policy, ProposalView, RequireApproval
from .proposals import Proposal

__all__ = [
    "Admission",
    "Allow",
    "DecisionView",
    "Definition",
    "Denial",
    "Deny",
    "Edge",
    "GuardView",
    "Limits",
    "Mode",
    "Policy",
    "Proposal",
    "ProposalView",
    "RequireApproval",
    "State",
    "StateKind",
    "judge",
    "next_allowed_tools",
    "offered_edges",
]
