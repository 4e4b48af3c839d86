"""What helpers of tests complain of.

InterlockError
└── ScriptError (also an AssertionError: a test that meets one has failed)
    ├── InvalidStep        the script holds something that no model could do
    ├── ScriptExhausted    the model was asked more often than the script foresees
    └── ScriptUnfinished   it was asked less often
InterlockError
├── ClaimNotProved     a claim does not hold (also an AssertionError)
└── PathNotTaken       a replayed path and the workflow do not fit together (also an AssertionError)
"""

# ruff: noqa: N818 -- the name says what happened, as in `interlock.tools.errors`

from __future__ import annotations

from ..tools.errors import InterlockError


class ScriptError(InterlockError, AssertionError):
    """A script and the conversation that it was written for do not fit together."""

    default_code = "script_error"


class InvalidStep(ScriptError):
    """A step that no model could take."""


class ScriptExhausted(ScriptError):
    """The model was asked more often than its script foresees."""


class ScriptUnfinished(ScriptError):
    """The conversation ended with steps of the script left over."""


class ClaimNotProved(InterlockError, AssertionError):
    """A claim of a workflow does not hold, or something suspicious was found in it."""

    default_code = "claim_not_proved"


class PathNotTaken(InterlockError, AssertionError):
    """The workflow did something else than the replayed path says."""

    default_code = "path_not_taken"
