"""Exports of audit trails as they are read back, the seal of an instance, and what a record keeps in clear."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from interlock import Principal, Workflow, WorkflowStore, command
from interlock.checkpointing.store import Unit, trail
from interlock.checkpointing.store.audit import AuditKind
from interlock.checkpointing.store.seal import Seal
from interlock.checkpointing.store.trail import Broken
from interlock.tools.errors import InputError
from tests.events.support import Clock

BOSS = Principal("boss")


@command("desk.note", effect="transactional")
def note(text: str) -> str:
    """Write something down."""
    return text


@command("desk.close", effect="transactional")
def close() -> str:
    """Close the desk."""
    return "closed"


class Kept:
    """An instance with four records: started, and three transitions."""

    def __init__(self) -> None:
        flow = Workflow("desk")
        flow.add_state("open", tools=[note])
        flow.add_state("closed", final=True)
        flow.add_edge("open", close, "closed")
        self.store = WorkflowStore.in_memory(clock=Clock())
        self.graph = flow.compile(workflow_store=self.store)
        config: Any = {"configurable": {"thread_id": "t"}}
        self.graph.invoke({"messages": []}, config)
        self.id = self.graph.instances.id_of(config)
        for number in range(3):
            self.graph.instances.execute(self.id, note, {"text": f"note {number}"})

    def unit(self, connection: Any) -> Unit:
        unit = self.store.unit(connection, self.id)
        assert unit is not None
        return unit


@pytest.fixture
def kept() -> Iterator[Kept]:
    made = Kept()
    yield made
    made.store.close()


def problems(lines: list[str], **more: Any) -> list[tuple[int, str]]:
    return [(one.number, one.problem) for one in trail.read_export(lines).check(**more)]


class TestExports:
    def test_one_that_is_whole_says_nothing(self, kept: Kept) -> None:
        lines = kept.store.export_audit(kept.id)
        assert [json.loads(line).get("kind") for line in lines] == ["started", *["transition"] * 3, None]
        assert json.loads(lines[-1]) == {
            "auditHead": 1,
            "workflowId": kept.id,
            "number": 4,
            "hash": kept.store.audit(kept.id)[-1].hash,
        }
        assert problems(lines) == []
        assert problems(["", *lines, "  \n"]) == []
        assert problems(lines, head=kept.store.audit(kept.id)[1].hash) == []

    def test_one_that_was_cut_is_told(self, kept: Kept) -> None:
        lines = kept.store.export_audit(kept.id)
        cut = "the export ends without the line that says how many records there are: it was cut, or is of an older release"
        assert problems(lines[:-1]) == [(5, cut)]
        assert problems([]) == [
            (1, cut),
            (1, "there is no record: a trail begins with one that says that the instance was started"),
        ]
        ((number, problem),) = problems([*lines[:3], lines[-1]])
        assert (number, problem) == (4, "the trail ends at record 3; there have to be 4")
        empty = problems([json.dumps({"auditHead": 1, "workflowId": "", "number": 0, "hash": trail.GENESIS})])
        assert empty == [(1, "there is no record: a trail begins with one that says that the instance was started")]

    def test_a_record_that_is_missing_moved_or_changed_is_told_where_it_stands(self, kept: Kept) -> None:
        one, two, three, four, end = kept.store.export_audit(kept.id)
        assert problems([one, three, four, end]) == [
            (2, "record 2 is missing; 3 is in its place"), (3, "does not follow the record before it"),
        ]  # fmt: skip
        assert [number for number, _ in problems([one, three, two, four, end])] == [2, 3, 4, 2, 3, 4]
        changed = problems([one, two.replace("desk.note", "desk.nope"), three, four, end])
        assert changed[0] == (2, "was changed after it was written")
        emptied = json.dumps({**json.loads(two), "payload": None})
        assert problems([one, emptied, three, four, end]) == [
            (2, "lost its payload, and no record says that it was erased")
        ]
        other = json.dumps({**json.loads(two), "payload": {"other": 1}})
        assert problems([one, other, three, four, end]) == [(2, "has another payload than it was written with")]

    def test_the_end_of_another_instance_and_a_hash_that_nobody_has_are_told(self, kept: Kept) -> None:
        lines = kept.store.export_audit(kept.id)
        end = {**json.loads(lines[-1]), "workflowId": "wf_other"}
        assert problems([*lines[:-1], json.dumps(end)]) == [
            (5, "the export ends with the line of another instance, 'wf_other'")
        ]
        assert problems(lines, head="sha256:nobody") == [
            (5, "there is no record with the hash 'sha256:nobody', which was noted elsewhere")
        ]
        ((number, said),) = problems([*lines[:-1], json.dumps({**json.loads(lines[-1]), "hash": "x"})])
        assert (number, said) == (5, "the trail ends at record 4; there have to be 4")

    @pytest.mark.parametrize("line", ["nothing", "[]", "{}", '{"number": 1}', "7"])
    def test_what_is_no_record_is_refused_with_its_line(self, kept: Kept, line: str) -> None:
        lines = kept.store.export_audit(kept.id)
        with pytest.raises(InputError, match="Line 3 is not a record of an audit trail") as raised:
            trail.read_export([lines[0], "", line])
        assert raised.value.code == "not_an_export"
        with pytest.raises(InputError, match="it stands after the line that ends the export"):
            trail.read_export([*lines, lines[0]])

    def test_records_of_another_instance_and_numbers_that_are_none_are_told(self, kept: Kept) -> None:
        with kept.store.read() as connection:
            records = [dict(row) for row in trail.rows(connection, kept.id)]
        records[1]["workflow_id"] = "wf_other"
        records[2]["number"] = True
        found = trail.check(records)
        assert Broken(2, "is of another instance, 'wf_other'") in found
        assert Broken(3, "has True in place of a number") in found
        assert Broken(2, "was changed after it was written") in found

    def test_a_head_that_was_noted_is_where_the_trail_has_to_end(self, kept: Kept) -> None:
        with kept.store.read() as connection:
            records = trail.rows(connection, kept.id)
        assert trail.check(records, count=4, head=records[-1]["hash"]) == []
        assert trail.check(records, count=5) == [Broken(5, "the trail ends at record 4; there have to be 5")]
        assert trail.check(records, head="x") == [
            Broken(5, "the trail ends at record 4, which is not the end that is known")
        ]
        assert trail.check(records) == trail.check([]) == []


class TestErasing:
    def test_payloads_are_taken_out_and_the_trail_stays_whole(self, kept: Kept) -> None:
        assert kept.store.erase_audit(kept.id, by=BOSS, reason="asked for", numbers=[2, 3]) == 2

        records = kept.store.audit(kept.id)
        assert [record.is_erased for record in records] == [False, True, True, False, False]
        assert (records[-1].kind, records[-1].principal_id) == (AuditKind.ERASURE, "boss")
        assert records[-1].payload is not None
        assert (records[-1].payload["numbers"], records[-1].payload["reason"]) == ([2, 3], "asked for")
        assert kept.store.verify(kept.id) == []
        assert problems(kept.store.export_audit(kept.id)) == []

    def test_all_so_far_by_default(self, kept: Kept) -> None:
        assert kept.store.erase_audit(kept.id, by=BOSS, reason="all") == 4
        assert [record.is_erased for record in kept.store.audit(kept.id)] == [True] * 4 + [False]

    def test_another_tenant_erases_nothing(self, kept: Kept) -> None:
        with pytest.raises(InputError, match=r"for the tenant 'acme'\. Nothing was erased") as raised:
            kept.store.erase_audit(kept.id, by=Principal("eve", tenant="acme"), reason="spite")
        assert raised.value.code == "unknown_instance"
        with pytest.raises(InputError):
            kept.store.erase_audit("wf_nobody", by=BOSS, reason="none")
        assert not any(record.is_erased for record in kept.store.audit(kept.id))


class TestTheSeal:
    def test_a_mark_is_the_same_with_every_release(self) -> None:
        """Written out: proposals and heads that wait in checkpoints hold it."""
        assert Seal("secret").mark("proposal", "wf_1", {"b": 1, "a": None}) == GOLDEN

    def test_it_fits_what_it_was_made_of_and_nothing_else(self) -> None:
        seal = Seal("secret")
        mark = seal.mark("proposal", "wf_1", {"a": 1})
        assert seal.fits(mark, "proposal", "wf_1", {"a": 1}) is True
        assert seal.fits(mark, "head", "wf_1", {"a": 1}) is False
        assert seal.fits(mark, "proposal", "wf_2", {"a": 1}) is False
        assert seal.fits(mark, "proposal", "wf_1", {"a": 2}) is False
        assert Seal("another").fits(mark, "proposal", "wf_1", {"a": 1}) is False
        assert Seal.make().column() != Seal.make().column()

    @pytest.mark.parametrize("mark", [None, 7, b"x", "", "\u00e9" * 64, ["x"]])
    def test_what_is_no_mark_fits_nothing(self, mark: object) -> None:
        assert Seal("secret").fits(mark, "proposal") is False

    def test_its_secret_is_neither_shown_copied_nor_serialised(self) -> None:
        seal = Seal("s-e-c-r-e-t")
        assert repr(seal) == "Seal()"
        assert copy.copy(seal) is copy.deepcopy(seal) is seal
        with pytest.raises(TypeError, match="stays in the database"):
            pickle.dumps(seal)


GOLDEN = "08dc90195ad443528e379208012dfddc"
OF_OUR_OWN = [
    "approvalId", "attempt", "claims", "code", "currentState", "decision", "definition", "digest", "eventId", "eventName", "key",
    "nextAllowedTools", "node", "number", "policies", "previousState", "proposedIn", "stage", "state", "status", "toolVersion", "version",
    "waitId", "workflow", "wouldMoveTo",
]  # fmt: skip


def test_a_word_that_is_somebodys_secret_is_masked_in_a_record_but_where_our_own_code_says_it(kept: Kept) -> None:
    with kept.store.write() as connection:
        unit = kept.unit(connection)
        unit.secrets.learn(["approved"])
        unit.record(
            AuditKind.READ, BOSS, {**dict.fromkeys(OF_OUR_OWN, "approved"), "said": "was approved", "in": ["approved"]}
        )
        unit.flush()
    payload = kept.store.audit(kept.id)[-1].payload
    assert payload is not None
    assert {name for name, value in payload.items() if value == "approved"} == {*OF_OUR_OWN}
    assert (payload["said"], payload["in"]) == ("was ***", ["***"])


def test_a_block_that_is_tried_is_taken_back_as_a_whole(kept: Kept) -> None:
    with kept.store.write() as connection:
        unit = kept.unit(connection)
        before = unit.instance

        def attempt() -> None:
            with unit.trial():
                unit.move(state="closed", data={}, finished=True)
                unit.record(AuditKind.READ, BOSS, {"said": "x"})
                unit.flush()
                unit.record(AuditKind.READ, BOSS, {"said": "gathered"})
                raise KeyError

        with pytest.raises(KeyError):
            attempt()
        assert unit.instance == before
        unit.record(AuditKind.READ, BOSS, {"said": "after"})
        unit.flush()
    assert kept.store.get(kept.id).state == "open"
    assert [record.payload["said"] for record in kept.store.audit(kept.id)[4:] if record.payload] == ["after"]
    assert kept.store.verify(kept.id) == []
