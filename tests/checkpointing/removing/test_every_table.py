"""Every table is known to whatever deletes and encrypts: a new one fails here until deletion, retirement and re-encryption know it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from interlock import Principal, SQLCheckpointer, Workflow, command
from interlock.checkpointing import Retirement, WorkflowStore, erase_instances, retire_instances
from interlock.checkpointing.tables.checkpoints import channel_values, checkpoints, writes
from interlock.checkpointing.tables.columns import metadata
from interlock.checkpointing.tables.conversations import messages
from interlock.checkpointing.tables.inputs import inputs
from interlock.checkpointing.tables.workflow import PROTECTED
from interlock.checkpointing.vault import Protected
from interlock.engines import Runs
from interlock.testing import ScriptedChatModel, call

MARK = "planted"
THREAD = "planted-thread"
DAY = 86_400_000_000
APART = {
    "interlock_queue": "one row for the whole queue",
    "workflow_definitions": "of workflows, not of instances",
    "workflow_delegations": "of people, who decide on any instance",
    "workflow_looks": "one row for each workflow",
    "workflow_outcomes": "sums over all instances of a workflow; they go with any instance that was asked about",
    "workflow_recovery": "one row for the whole database",
    "workflow_retired": "what stays of an instance that was retired",
    "workflow_schema": "one row for the whole database",
}
"""Tables whose rows belong to no instance and no thread, and why."""
FINISHED = {"workflow_ledger": "completed", "workflow_outbox": "published", "workflow_feedback": "sent"}
OWNERS = {"workflow_id", "wait_id", "approval_id", "scope", "thread", "conversation", "thread_id"}
"""The columns by which a row belongs to an instance or to a thread."""


@command("order.close", effect="transactional")
def close_order() -> bool:
    """Close the order."""
    return True


def desk() -> Workflow:
    flow = Workflow("desk", model=ScriptedChatModel(forever=call("order.close")))
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", close_order, "closed")
    return flow


def all_tables(connection: Connection) -> dict[str, sa.Table]:
    """As the database has them: Procrastinate's are its own, and hold ids for a week."""
    found = sa.MetaData()
    found.reflect(connection)
    return {name: table for name, table in found.tables.items() if not name.startswith("procrastinate_")}


def plant(connection: Connection, workflow_id: str) -> None:
    """Put a row of the instance or its thread into every table that has none yet, with a mark in whatever is free text."""
    numbers = {
        "thread": connection.exec_driver_sql("SELECT min(id) FROM workflow_threads").scalar_one(),
        "conversation": connection.exec_driver_sql("SELECT min(id) FROM conversation_threads").scalar_one(),
    }
    known = {"workflow_id": workflow_id, "scope": workflow_id, "thread_id": THREAD, "wait_id": "w", "approval_id": "a"}
    known |= {"tenant": "default", "workflow": "desk", "consumer": "desk", "owner": "", "event_id": "e", **numbers}
    known |= {"correlation": "c", "event_name": "paid"}
    for name, table in all_tables(connection).items():
        if name in APART or connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one():
            continue
        assert OWNERS & {*table.c.keys()}, f"whose are the rows of {name}? Let a column say so, or name it in APART"
        values: dict[str, Any] = {}
        for column in table.columns:
            if column.name == "status":
                values["status"] = FINISHED.get(name, "done")
            elif column.name in known:
                values[column.name] = known[column.name]
            elif isinstance(column.type, sa.LargeBinary):
                values[column.name] = MARK.encode()
            else:
                values[column.name] = 7 if isinstance(column.type, sa.Integer) else MARK
        connection.execute(sa.insert(table).values(values))
        if name == "workflow_inbox":  # another one, which names an instance that is not there, and was taken by its key
            connection.execute(
                sa.insert(table).values({**values, "position": 8, "workflow_id": None, "source": "planted-by-key"})
            )


def left(connection: Connection, workflow_id: str) -> set[tuple[str, str]]:
    """The tables and columns where something of the instance is to be found."""
    found = set()
    for name, table in all_tables(connection).items():
        for row in connection.execute(sa.select(table)).mappings():
            for column, value in row.items():
                text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                if workflow_id in text or MARK in text:
                    found.add((name, column))
    return found


@pytest.fixture
def finished(postgres_database: str) -> Any:
    """A checkpointer, and the id of a finished instance of which every table has a row."""
    with SQLCheckpointer(postgres_database) as saver:
        saver.setup()
        graph = desk().compile(saver)
        runs = Runs([graph], postgres_database)
        runs.setup()
        said = {"messages": [("user", f"{MARK}: close it")]}
        graph.invoke(said, {"configurable": {"thread_id": THREAD}}, context=Principal("ada"))
        (instance,) = graph.engine.store.instances()
        with saver.database.write() as connection:
            plant(connection, instance.workflow_id)
            tables = all_tables(connection)
            assert not [
                name
                for name, table in tables.items()
                if name not in APART
                and not connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            ]
        yield saver, instance.workflow_id
        runs.close()


def test_what_is_erased_and_what_is_retired_is_left_in_no_table(finished: tuple[SQLCheckpointer, str]) -> None:
    saver, workflow_id = finished
    later = WorkflowStore(saver.database, clock=lambda _: time.time_ns() // 1000 + 100 * DAY)
    policy = Retirement("90d")
    assert retire_instances(later, policy, checkpointer=saver).kept == {"an input waits for its run": 1}

    saver.delete_thread(THREAD, instance=True)

    with saver.database.read() as connection:
        assert left(connection, workflow_id) == {
            ("workflow_threads", "thread_id"),  # so that late writes are refused
            ("workflow_instances", "workflow_id"),  # the end of the trail
            ("workflow_audit", "workflow_id"),
            ("workflow_inbox", "workflow_id"),  # so that an event that comes again is known
            ("workflow_inbox", "source"),
            ("workflow_inbox", "trace_id"),
        }
    assert later.verify(workflow_id) == []
    later = WorkflowStore(saver.database, clock=lambda _: time.time_ns() // 1000 + 300 * DAY)
    report = retire_instances(later, policy, checkpointer=saver)
    assert (report.instances, report.retired, report.kept) == (1, 1, {})
    with saver.database.read() as connection:
        assert {name for name, _ in left(connection, workflow_id)} == {
            "workflow_threads",
            "workflow_retired",
            "workflow_inbox",  # by the key alone, and it was emptied when the instance was erased
        }


def test_what_is_retired_is_left_in_no_table_but_the_end_of_its_trail(finished: tuple[SQLCheckpointer, str]) -> None:
    saver, workflow_id = finished
    later = WorkflowStore(saver.database, clock=lambda _: time.time_ns() // 1000 + 100 * DAY)
    with saver.database.write() as connection:
        connection.execute(sa.delete(inputs))

    assert retire_instances(later, Retirement("90d"), checkpointer=saver).retired == 1

    with saver.database.read() as connection:
        assert left(connection, workflow_id) == {
            ("workflow_threads", "thread_id"),
            ("workflow_retired", "workflow_id"),
        }
    assert erase_instances(later, THREAD) == 0


def test_every_protected_column_is_encrypted_again_with_a_new_key() -> None:
    tables = [*metadata.sorted_tables, inputs]
    protected = {table.name for table in tables if any(isinstance(one.type, Protected) for one in table.columns)}
    assert protected == {table.name for table in (*PROTECTED, inputs)}
    for table in (*PROTECTED, inputs):
        columns = {one.name for one in table.columns if isinstance(one.type, Protected)}
        assert columns == set(table.info["protected"])
    sealed = {table for table in tables if any(isinstance(one.type, sa.LargeBinary) for one in table.columns)}
    assert sealed == {checkpoints, channel_values, writes, messages}
