"""Tools for tests: chat models that work offline, a clock that tests move, and faults at every point where a process may die.

from interlock.testing import ScriptedChatModel, call

model = ScriptedChatModel([call("case.assign", caseId="77", queueId="billing"), "Case 77 is with billing."])

A step can also decide from the conversation, fail, propose several calls at once, or send what no well-behaved model
would.

with injected(kill("commit.before")):
    graph.invoke(...)

kills the process right before it commits; `Child` runs a function in its own process, for just that.
"""

from __future__ import annotations

from ..checkpointing.fault_points import FaultPoint
from ..events.points import EventPoint
from ..tracing._arrived import ArrivedRun
from ..tracing._sink import TraceSink
from ._calls import Call, call
from ._claims import assert_claims, assert_no_findings, claims_of
from ._errors import ClaimNotProved, InvalidStep, PathNotTaken, ScriptError, ScriptExhausted, ScriptUnfinished
from ._events import assert_events_compatible
from ._faults import Fault, Reached, delay, drop, injected, kill, reach, stop
from ._processes import Child, Killed
from ._replay import DoorReplay, Replay
from ._scripted import Request, ScriptedChatModel
from ._steps import Answer, MintId, Step
from ._time import Clock, Facts

__all__ = [
    "Answer",
    "ArrivedRun",
    "Call",
    "Child",
    "ClaimNotProved",
    "Clock",
    "DoorReplay",
    "EventPoint",
    "Facts",
    "Fault",
    "FaultPoint",
    "InvalidStep",
    "Killed",
    "MintId",
    "PathNotTaken",
    "Reached",
    "Replay",
    "Request",
    "ScriptError",
    "ScriptExhausted",
    "ScriptUnfinished",
    "ScriptedChatModel",
    "Step",
    "TraceSink",
    "assert_claims",
    "assert_events_compatible",
    "assert_no_findings",
    "call",
    "claims_of",
    "delay",
    "drop",
    "injected",
    "kill",
    "reach",
    "stop",
]
