"""The job of a run's start, for engines whose jobs are no rows of the application's transaction."""

from __future__ import annotations

from typing import Any

from interlock.checkpointing import WorkflowStore
from interlock.checkpointing.due import Due
from interlock.checkpointing.tables.inputs import inputs as waiting
from interlock.engines import Job, JobKind, inputs
from interlock.tools.ids import derive
from interlock.tools.principal import Principal


def prepare(store: WorkflowStore) -> None:
    """Make the tables that inputs wait in."""
    store.setup()
    with store.write() as connection:
        waiting.create(connection, checkfirst=True)


def start_of(store: WorkflowStore, workflow: str, given: Any, *, principal: Principal, key: str) -> Job:
    """Keep an input, and give the job whose run takes it."""
    thread_id, input_id = derive("thread", key), derive("input", key)
    with store.write() as connection:
        value = inputs.dumped_input(given)
        now = store.now(connection)
        inputs.insert(connection, input_id, thread_id=thread_id, value=value, principal=principal, now=now)
    return Job(JobKind.START, workflow, principal.tenant, thread_id, key, input_id=input_id)


def wake_of(due: Due) -> Job:
    """The job of something that became due."""
    return Job(JobKind.WAKE, due.workflow, due.tenant, due.thread_id, due.cause, inside=due.inside)
