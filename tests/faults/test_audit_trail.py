"""The audit trail: whatever is done to it beside Interlock is found, and what is erased through Interlock still verifies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import Principal, SQLCheckpointer, Workflow, WorkflowStore, command
from interlock.checkpointing.store import trail
from interlock.checkpointing.tables.workflow import audit, instances
from interlock.tools import InputError

HERE = {"configurable": {"thread_id": "t-1", "workflow_id": "wf_1"}}
ADA = Principal("ada")


@command("card.charge", effect="transactional", sensitive=["cvc_code", "holder"])
def charge(number: str, cvc_code: str, holder: str, password: str) -> dict[str, str]:
    """Charge a card."""
    return {"number": number, "holder": holder, "password": password}


@pytest.fixture
def store(sqlite_url: str) -> Iterator[WorkflowStore]:
    """The store of an instance with two charges and a denial."""
    flow = Workflow("cards")
    flow.add_state("open")
    flow.add_edge("open", charge, "open")
    with SQLCheckpointer(sqlite_url) as saver:
        graph = flow.compile(saver)
        graph.invoke({"messages": []}, HERE, context=ADA)
        for number in ("1111", "2222"):
            card = {"number": number, "cvcCode": "c-v-c", "holder": "Grace H", "password": "hunter2"}
            graph.instances.execute(HERE, charge, card, principal=ADA)
        graph.instances.execute(HERE, charge, {"number": "3"}, principal=ADA)
        yield graph.engine.store


def write(store: WorkflowStore, statement: Any) -> None:
    with store.write() as connection:
        connection.execute(statement)


def problems(store: WorkflowStore) -> list[str]:
    return [broken.problem for broken in store.verify("wf_1")]


def test_a_trail_that_nobody_touched_verifies(store: WorkflowStore) -> None:
    assert [record.kind.value for record in store.audit("wf_1")] == ["started", "transition", "transition", "denial"]
    assert problems(store) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kind", "read"),
        ("tool", "card.refund"),
        ("code", "refused"),
        ("revision", 7),
        ("principal_id", "mallory"),
        ("tenant", "other"),
        ("trace_id", "trace_other"),
        ("recorded_at", 0),
        ("audit_ref", "audit_other"),
        ("payload_digest", "sha256:" + "1" * 64),
    ],
)
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_changed_field_is_found(column: str, value: Any, number: int, store: WorkflowStore) -> None:
    write(store, sa.update(audit).where(audit.c.number == number).values({column: value}))

    assert number in {broken.number for broken in store.verify("wf_1")}


def test_a_changed_payload_is_found(store: WorkflowStore) -> None:
    write(store, sa.update(audit).where(audit.c.number == 2).values(payload='{"arguments": {"number": "9999"}}'))

    assert problems(store) == ["has another payload than it was written with"]


def test_a_changed_record_is_found_even_when_its_own_hash_was_made_new(store: WorkflowStore) -> None:
    with store.read() as connection:
        row = dict(trail.rows(connection, "wf_1")[1], principal_id="mallory")
    from interlock.checkpointing.store.audit import chain_hash

    changed = sa.update(audit).where(audit.c.number == 2)
    write(store, changed.values(principal_id="mallory", hash=chain_hash(row)))

    assert problems(store) == ["does not follow the record before it"]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_removed_record_is_found(number: int, store: WorkflowStore) -> None:
    write(store, sa.delete(audit).where(audit.c.number == number))

    assert problems(store)


def test_removed_records_are_found_when_the_others_are_numbered_anew(store: WorkflowStore) -> None:
    write(store, sa.delete(audit).where(audit.c.number == 2))
    write(store, sa.update(audit).where(audit.c.number == 3).values(number=2))
    write(store, sa.update(audit).where(audit.c.number == 4).values(number=3))

    assert "was changed after it was written" in problems(store)


def test_moved_records_are_found(store: WorkflowStore) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        write(store, sa.update(audit).where(audit.c.number == old).values(number=new))

    assert "does not follow the record before it" in problems(store)


def test_a_trail_that_was_cut_off_is_found(store: WorkflowStore) -> None:
    write(store, sa.delete(audit).where(audit.c.number > 2))

    assert problems(store) == ["the trail ends at record 2; there have to be 4"]


def test_a_trail_that_was_cut_off_with_its_count_is_found_by_a_hash_noted_elsewhere(store: WorkflowStore) -> None:
    noted = store.get("wf_1").audit_head
    kept = store.audit("wf_1")[1].hash
    write(store, sa.delete(audit).where(audit.c.number > 2))
    write(store, sa.update(instances).values(audit_count=2, audit_head=kept))

    assert problems(store) == []
    assert [broken.problem for broken in store.verify("wf_1", head=noted)] == [
        f"is not followed from {noted}, which was noted elsewhere"
    ]


def test_a_payload_that_was_emptied_without_being_erased_is_found(store: WorkflowStore) -> None:
    write(store, sa.update(audit).where(audit.c.number == 2).values(payload=None))

    assert problems(store) == ["lost its payload, and no record says that it was erased"]


def test_erased_payloads_leave_records_that_verify(store: WorkflowStore) -> None:
    assert store.erase_audit("wf_1", by=ADA, reason="they asked", numbers=[2]) == 1
    assert store.erase_audit("wf_1", by=ADA, reason="they asked again") == 3

    records = store.audit("wf_1")
    assert [record.is_erased for record in records] == [True, True, True, True, False, False]
    assert [record.kind.value for record in records][-2:] == ["erasure", "erasure"]
    assert records[-1].payload is not None
    assert records[-1].payload["numbers"] == [1, 3, 4]
    assert problems(store) == []
    with store.read() as connection:
        assert "1111" not in json.dumps(trail.rows(connection, "wf_1"))


def test_nobody_erases_what_is_another_tenants(store: WorkflowStore) -> None:
    with pytest.raises(InputError, match="Nothing was erased"):
        store.erase_audit("wf_1", by=Principal("eve", tenant="other"), reason="mine now")

    assert not any(record.is_erased for record in store.audit("wf_1"))


def test_an_export_is_checked_without_the_database(store: WorkflowStore) -> None:
    store.erase_audit("wf_1", by=ADA, reason="they asked", numbers=[2])
    lines = store.export_audit("wf_1")

    assert trail.read_export(lines).check(head=store.get("wf_1").audit_head) == []
    assert trail.read_export([*lines[:2], *lines[3:]]).check()
    assert trail.read_export([lines[1], lines[0], *lines[2:]]).check()
    assert trail.read_export([line.replace("2222", "3333") for line in lines]).check()


def test_an_export_that_was_cut_anywhere_is_not_called_whole(store: WorkflowStore) -> None:
    lines = store.export_audit("wf_1")

    assert trail.read_export(lines).check() == []
    for kept in range(len(lines)):
        assert trail.read_export(lines[:kept]).check(), f"the first {kept} lines"
        assert trail.read_export([*lines[:kept], lines[-1]]).check() or kept == len(lines) - 1


def test_secrets_and_sensitive_fields_are_never_written_into_the_trail(store: WorkflowStore) -> None:
    written = "\n".join(store.export_audit("wf_1"))

    assert "1111" in written
    assert not any(secret in written for secret in ("c-v-c", "Grace H", "hunter2"))


def test_each_record_says_who_acted_and_carries_the_instances_trace(store: WorkflowStore) -> None:
    records = store.audit("wf_1")

    assert {record.principal_id for record in records} == {"ada"}
    assert {record.trace_id for record in records} == {store.get("wf_1").trace_id}
    assert len({record.audit_ref for record in records}) == len(records)
