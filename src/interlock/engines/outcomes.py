"""The outcome of one call of a job, and its retries. Pure decisions: from an error to an outcome."""

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
from ..tools.storable import type_name


@dataclass(frozen=True)
class Done:
    """The run has ended, or waits for an event, a deadline or a decision, which enqueues the next run."""

    note: str = ""


@dataclass(frozen=True)
class Again:
    """The same job has to run again."""

    after: float
    """Seconds until the retry."""
    why: str = ""
    """The type and code of the error; its text is in the log."""


@dataclass(frozen=True)
class Person:
    """A person has to act: the job is not retried automatically any more."""

    why: str
    """`OutcomeUnknown` where an attempt is to be resolved (`interlock resolve`); else the type and code of the last failure."""
    unknown: bool = False
    """Whether an effect outside the database has an unknown outcome."""


Outcome: TypeAlias = Done | Again | Person

ATTEMPTS = 8
"""The maximum number of attempts of a job with permanent failures."""
ROLLING = 3600.0
"""The seconds during a rollout in which a process of another release may still take the job."""
_LONGEST = 300.0
_PASSES = (StoreUnavailable, BusUnavailable, CommitUnknown)
"""Temporary errors: the job is retried without limit."""
_OTHER_RELEASE = (DefinitionChanged, UnknownState, SchemaMismatch)


def pause(attempt: int, *, first: float = 1.0, longest: float = _LONGEST) -> float:
    """Seconds before the next attempt: doubled each time.

    Args:
        attempt: The number of earlier failures.
        first: The pause after the first failure.
        longest: The maximum pause.
    """
    return min(longest, first * 2.0 ** min(attempt, 30))


def outcome_of(error: Exception, *, attempt: int, attempts: int = ATTEMPTS) -> Outcome:
    """The outcome of an error.

    Args:
        error: The error of the run.
        attempt: The number of earlier failures.
        attempts: The maximum number of attempts of a job with permanent failures.
    """
    why = f"{type(error).__name__} ({error.code})" if isinstance(error, InterlockError) else type_name(error)
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
            # An error of a provider, a node or a rule of the application: a retry may succeed.
            return Again(pause(attempt), why) if attempt + 1 < attempts else Person(why)


__all__ = ["ATTEMPTS", "ROLLING", "Again", "Done", "Outcome", "Person", "outcome_of", "pause"]
