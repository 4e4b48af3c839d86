"""The LangGraph nodes of a compiled workflow: reasoning, execution, approval and waiting, and what they stream.

Nodes are thin: `rules` decides, `commands` executes. Open `base.py` first.
"""

from .models import DecisionView
from .streaming import ApprovalEvent, DenialEvent, ReadEvent, StreamEvent, TransitionEvent, parse_event

__all__ = [
    "ApprovalEvent",
    "DecisionView",
    "DenialEvent",
    "ReadEvent",
    "StreamEvent",
    "TransitionEvent",
    "parse_event",
]
