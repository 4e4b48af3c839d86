"""Models that work offline, for tests, demos and notebooks.

from interlock.testing import ScriptedChatModel, call

model = ScriptedChatModel([call("case.assign", caseId="77", queueId="billing"), "Case 77 is with billing."])

A step can also decide from the conversation, fail, propose several calls at once, or send what no well-behaved model
would.
"""

from __future__ import annotations

from ..tracing._arrived import ArrivedRun
from ..tracing._sink import TraceSink
from ._calls import Call, call
from ._errors import InvalidStep, ScriptError, ScriptExhausted, ScriptUnfinished
from ._scripted import Request, ScriptedChatModel
from ._steps import Answer, MintId, Step

__all__ = [
    "Answer",
    "ArrivedRun",
    "Call",
    "InvalidStep",
    "MintId",
    "Request",
    "ScriptError",
    "ScriptExhausted",
    "ScriptUnfinished",
    "ScriptedChatModel",
    "Step",
    "TraceSink",
    "call",
]
