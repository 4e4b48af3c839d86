"""The keys of a checkpointer protect the workflow store's rows: what they hold, for their place, and through a rotation of keys."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from interlock import Principal, ToolContext, Workflow, command
from interlock.checkpointing import Encryption, SQLCheckpointer, WorkflowStore
from interlock.checkpointing.saver.resealing import reencrypt_texts
from interlock.checkpointing.store import inbox
from interlock.checkpointing.store.inbox import InboxEvent, InboxStatus
from interlock.checkpointing.tables import workflow as tables
from interlock.checkpointing.tables.workflow import PROTECTED, approvals, instances, ledger
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import StoreError
from interlock.tools.events import Event

MARK = "QZ7-MARKER"
HERE: Any = {"configurable": {"thread_id": "t"}}
ANNA = Principal(id="anna", roles=["clerk"])


class Noted(Event, name="desk.noted", version=1):
    text: str


class Book(BaseModel):
    last: str = ""


@command("desk.note", effect="transactional", preview=lambda text: {"willWrite": text})
def note(text: str, ctx: ToolContext) -> str:
    """Note something."""
    ctx.data.last = text
    ctx.emit(Noted(text=text))
    return f"noted {text}"


def desk() -> Workflow:
    flow = Workflow("desk", model=ScriptedChatModel([call("desk.note", text=MARK), "Done."]), data=Book)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", note, "closed", approval=True)
    return flow


def keys(*names: str) -> Encryption:
    return Encryption({name: KEYS[name] for name in names})


KEYS = {name: secrets.token_bytes(32) for name in ("old", "new")}


def played(saver: SQLCheckpointer) -> str:
    graph = desk().compile(saver)
    graph.invoke({"messages": [("user", "note it")], "data": {"last": MARK}}, HERE, context=ANNA)
    (waiting,) = graph.get_state(HERE).interrupts
    graph.instances.decide(
        waiting.value["approvalId"], {"type": "approve", "message": MARK}, by=Principal(id="bob", roles=["boss"])
    )
    graph.invoke(None, HERE, context=ANNA)
    snapshot = graph.instances.snapshot(HERE)
    assert (snapshot.state, snapshot.data["last"]) == ("closed", MARK)
    return snapshot.workflow_id


def raw(url: str) -> Iterator[tuple[str, str, str]]:
    """Every text of the workflow's tables as it is stored: table, column, text."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        for table in sa.inspect(engine).get_table_names():
            if table.startswith("workflow_"):
                for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings():
                    yield from ((table, name, value) for name, value in row.items() if isinstance(value, str))
    engine.dispose()


def found(url: str) -> set[tuple[str, str]]:
    return {(table, column) for table, column, text in raw(url) if MARK in text}


@pytest.fixture
def url(set_up_database_url: str) -> str:
    return set_up_database_url


def test_without_keys_the_marker_is_where_it_is_expected(url: str) -> None:
    with SQLCheckpointer(url) as saver:
        played(saver)

    expected = {(table.name, column) for table in PROTECTED for column in table.info["protected"]}
    assert found(url) >= expected - {
        ("workflow_approvals", "edited_arguments"), ("workflow_decisions", "arguments"), ("workflow_inbox", "envelope"),
        ("workflow_feedback", "body"), ("workflow_sources", "salt"), ("workflow_sources", "held"),
        ("workflow_cancellations", "calls"), ("workflow_cancellations", "reason"), ("workflow_outcomes", "sums"),
    }  # fmt: skip


def test_nothing_of_what_tools_were_called_with_or_answered_stands_in_the_tables_where_there_are_keys(url: str) -> None:
    with SQLCheckpointer(url, encryption=keys("new")) as saver:
        workflow_id = played(saver)
        store = WorkflowStore(saver.database)

        assert found(url) == set()
        assert store.get(workflow_id).data == {"last": MARK}
        assert any(MARK in str(record.payload) for record in store.audit(workflow_id))
        assert store.verify(workflow_id) == []


def test_a_store_beside_another_checkpointer_has_keys_of_its_own(url: str) -> None:
    store = WorkflowStore(url, encryption=keys("new"))
    graph = desk().compile(InMemorySaver(), workflow_store=store)

    graph.invoke({"messages": [("user", "note it")], "data": {"last": MARK}}, HERE, context=ANNA)

    assert found(url) == set()
    assert graph.instances.snapshot(HERE).data["last"] == MARK
    store.database.close()


def test_a_store_without_the_key_says_so(url: str) -> None:
    with SQLCheckpointer(url, encryption=keys("new")) as saver:
        workflow_id = played(saver)

    for without in (WorkflowStore(url), WorkflowStore(url, encryption=keys("old"))):
        with pytest.raises(StoreError) as caught:
            without.get(workflow_id)
        assert caught.value.code == "unknown_key"
        without.database.close()


def test_a_text_that_was_moved_from_another_row_is_refused(url: str) -> None:
    with SQLCheckpointer(url, encryption=keys("new")) as saver:
        first = played(saver)
        desk().compile(saver).invoke(
            {"messages": [("user", "hi")]}, {"configurable": {"thread_id": "other"}}, context=ANNA
        )
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        data = connection.execute(
            sa.text("SELECT data FROM workflow_instances WHERE workflow_id = :one"), {"one": first}
        ).scalar_one()
        connection.execute(
            sa.text("UPDATE workflow_instances SET data = :data WHERE workflow_id <> :one"),
            {"data": data, "one": first},
        )
        other = connection.execute(
            sa.text("SELECT workflow_id FROM workflow_instances WHERE workflow_id <> :one"), {"one": first}
        ).scalar_one()
    engine.dispose()

    store = WorkflowStore(url, encryption=keys("new"))
    assert store.get(first).data == {"last": MARK}
    with pytest.raises(StoreError) as caught:
        store.get(other)
    assert caught.value.code == "misplaced_value"
    store.database.close()


@pytest.mark.parametrize("before", [None, "old"])
def test_keys_are_rotated_over_the_workflows_rows_too(url: str, before: str | None) -> None:
    with SQLCheckpointer(url, encryption=None if before is None else keys(before)) as saver:
        workflow_id = played(saver)

    with SQLCheckpointer(url, encryption=keys("new", "old")) as rotating:
        told: dict[str, int] = {}
        rotating.reencrypt(lambda table, rows: told.update({table: told.get(table, 0) + rows}))
        assert {instances.name, ledger.name, approvals.name, "workflow_audit", "workflow_outbox"} <= told.keys()
        assert rotating.reencrypt().rows == 0
        assert all(reencrypt_texts(rotating.database, table)[0] == 0 for table in PROTECTED)

    assert found(url) == set()
    store = WorkflowStore(url, encryption=keys("new"), encrypted_only=True)
    assert store.get(workflow_id).data == {"last": MARK}
    assert store.verify(workflow_id) == []
    store.database.close()


def test_a_plain_text_is_refused_where_only_encrypted_ones_are_accepted(url: str) -> None:
    with SQLCheckpointer(url) as saver:
        workflow_id = played(saver)

    store = WorkflowStore(url, encryption=keys("new"), encrypted_only=True)
    with pytest.raises(StoreError) as caught:
        store.get(workflow_id)
    assert caught.value.code == "not_encrypted"
    store.database.close()


def test_the_inbox_is_protected_too(url: str) -> None:
    store = WorkflowStore(url, encryption=keys("new"))
    event = InboxEvent(
        position=0, consumer="desk", source="shop", event_id="e1", tenant="default", event_name="paid.v1", workflow_id=None,
        correlation=None, trace_id="t", envelope=json.dumps({"text": MARK}), status=InboxStatus.UNMATCHED, note=None, repeats=0,
        received_at=1, settled_at=None,
    )  # fmt: skip
    with store.write() as connection:
        assert inbox.insert(connection, event)

    assert found(url) == set()
    with store.read() as connection:
        assert [one.envelope for one in inbox.find(connection, "e1")] == [event.envelope]
    assert reencrypt_texts(store.database, tables.inbox) == (0, 1)
    store.database.close()
