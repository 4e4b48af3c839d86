"""What one call of a job came to, and what of it is tried again. Pure decisions: an error goes in, an outcome comes out."""

from dataclasses import dataclass
from typing import TypeAlias

from ..tools.errors import (
    BusUnavailable,
    CommitUnknown,
    ConflictError,
    DefinitionChanged,
    InterlockError,
    OutcomeUnknown,
    SchemaMismatch,
    StaleCheckpoint,
    StoreUnavailable,
    UnknownState,
    WorkflowFinished,
)


@dataclass(frozen=True)
class Done:
    """The run has ended, or waits for an event, a deadline or a decision, which enqueues the next one."""

    note: str = ""


@dataclass(frozen=True)
class Again:
    """The same job is to be run again."""

    after: float
    """Seconds until then."""
    why: str = ""
    """The type and code of what was in the way; its text is in the log."""


@dataclass(frozen=True)
class Person:
    """A person has to look at it: nothing runs by itself any more."""

    why: str
    """`OutcomeUnknown` where an attempt is to be resolved (`interlock resolve`); else the type and code of the last failure."""
    unknown: bool = False
    """Whether an effect outside the database has an unknown outcome."""


Outcome: TypeAlias = Done | Again | Person

ATTEMPTS = 8
"""So often a job is run whose failures do not pass by themselves."""
ROLLING = 3600.0
"""For so many seconds a process of another release may still come that knows the definition."""
_LONGEST = 300.0
_PASSES = (StoreUnavailable, BusUnavailable, CommitUnknown)
"""What passes without anybody doing anything about the job: it is tried for ever."""
_OTHER_RELEASE = (DefinitionChanged, UnknownState, SchemaMismatch)


def pause(attempt: int, *, first: float = 1.0, longest: float = _LONGEST) -> float:
    """Seconds before the next attempt: doubled each time.

    Args:
        attempt: How many failed before this one.
        first: After the first.
        longest: At most.
    """
    return min(longest, first * 2.0 ** min(attempt, 30))


def outcome_of(error: Exception, *, attempt: int, attempts: int = ATTEMPTS) -> Outcome:
    """What follows from an error.

    Args:
        error: What the run raised.
        attempt: How many attempts failed before this one.
        attempts: How often a job is run whose failures do not pass by themselves.
    """
    why = f"{type(error).__name__} ({error.code})" if isinstance(error, InterlockError) else type(error).__name__
    match error:
        case WorkflowFinished():
            return Done("finished")
        case OutcomeUnknown():
            return Person(why, unknown=True)
        case ConflictError(retryable=True) | StaleCheckpoint():
            return Again(pause(attempt, first=0.2, longest=10.0), why)
        case _ if isinstance(error, _PASSES):
            return Again(pause(attempt, longest=30.0), why)
        case _ if isinstance(error, _OTHER_RELEASE):
            waited = sum(pause(number, longest=60.0) for number in range(attempt))
            return Again(pause(attempt, longest=60.0), why) if waited < ROLLING else Person(why)
        case InterlockError(retryable=False):
            return Person(why)
        case _:
            # A model's provider, a node or a rule of the application's own: it may be better next time.
            return Again(pause(attempt), why) if attempt + 1 < attempts else Person(why)


__all__ = ["ATTEMPTS", "ROLLING", "Again", "Done", "Outcome", "Person", "outcome_of", "pause"]
