"""What follows from how a run ended: errors are told apart, and pauses grow."""

from __future__ import annotations

import pytest

from interlock.engines import Again, Done, Job, JobKind, Outcome, Person
from interlock.engines.outcomes import ATTEMPTS, outcome_of, pause
from interlock.tools.errors import (
    BusUnavailable,
    CommitUnknown,
    ConflictError,
    DefinitionChanged,
    InProgress,
    InvalidInput,
    LeaseLost,
    OutcomeUnknown,
    PrincipalError,
    SchemaMismatch,
    StoreUnavailable,
    UnknownState,
    WorkflowFinished,
)

MANY = 200


@pytest.mark.parametrize("error", [StoreUnavailable("x"), BusUnavailable("x"), CommitUnknown("x")])
def test_what_passes_by_itself_is_tried_for_ever(error: Exception) -> None:
    assert isinstance(outcome_of(error, attempt=MANY), Again)


@pytest.mark.parametrize("error", [ConflictError("x"), InProgress("x"), LeaseLost("x")])
def test_who_came_second_is_run_again_soon(error: Exception) -> None:
    found = outcome_of(error, attempt=0)
    assert isinstance(found, Again)
    assert found.after < 1


@pytest.mark.parametrize("error", [DefinitionChanged("x"), UnknownState("x"), SchemaMismatch("x")])
def test_another_release_has_an_hour_to_come(error: Exception) -> None:
    assert isinstance(outcome_of(error, attempt=10), Again)
    assert outcome_of(error, attempt=MANY) == Person(f"{type(error).__name__} ({error.code})")  # type: ignore[attr-defined]


def test_what_is_finished_is_done_and_an_unknown_outcome_is_for_a_person() -> None:
    assert outcome_of(WorkflowFinished("x"), attempt=0) == Done("finished")
    assert outcome_of(OutcomeUnknown("x"), attempt=0) == Person("OutcomeUnknown (outcome_unknown)", unknown=True)


@pytest.mark.parametrize("error", [InvalidInput("x"), PrincipalError("x"), ConflictError("x", retryable=False)])
def test_what_would_be_the_same_each_time_is_not_tried_again(error: Exception) -> None:
    assert isinstance(outcome_of(error, attempt=0), Person)


def test_anything_else_is_tried_a_few_times() -> None:
    found: list[Outcome] = [outcome_of(RuntimeError("a secret"), attempt=number) for number in range(ATTEMPTS)]
    assert [type(one) for one in found] == [Again] * (ATTEMPTS - 1) + [Person]
    assert found[-1] == Person("RuntimeError"), "its text goes to the log alone"


def test_pauses_grow_to_five_minutes() -> None:
    assert [pause(number) for number in (0, 1, 2, 3)] == [1, 2, 4, 8]
    assert pause(10_000) == 300


def test_a_job_is_plain_data() -> None:
    job = Job(JobKind.START, "shop", "default", "t-1", "k", input_id="i")
    assert Job.from_json(job.to_json()) == job
    assert Job.from_json({**job.to_json(), "note": {"attempt": 2}}) == job
    for wrong in ({}, {"kind": "other"}, {**job.to_json(), "kind": None}):
        with pytest.raises(InvalidInput, match="Nothing was run"):
            Job.from_json(wrong)
