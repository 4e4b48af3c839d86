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
    """The script does not fit the conversation."""

    default_code = "script_error"


class InvalidStep(ScriptError):
    """A step of a script is not a valid answer of a model."""


class ScriptExhausted(ScriptError):
    """The model was called more often than its script has steps."""


class ScriptUnfinished(ScriptError):
    """The conversation ended before all steps of the script were used."""


class ClaimNotProved(InterlockError, AssertionError):
    """A claim of a workflow does not hold, or something suspicious was found in it."""

    default_code = "claim_not_proved"


class PathNotTaken(InterlockError, AssertionError):
    """The workflow did something else than the replayed path says."""

    default_code = "path_not_taken"
