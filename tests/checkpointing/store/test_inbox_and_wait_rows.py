"""The rows of the inbox and of waits: what is found by what, and which write gets through."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from interlock import WorkflowStore
from interlock.checkpointing.store import inbox
from interlock.checkpointing.store import waits as rows
from interlock.checkpointing.store.inbox import InboxEvent, InboxStatus
from interlock.checkpointing.store.waits import Wait, WaitStatus
from interlock.tools.errors import InvalidInput
from interlock.tools.kinds import ItemStatus
from tests.events.support import Clock

NOW = Clock().now


@pytest.fixture
def store() -> Iterator[WorkflowStore]:
    made = WorkflowStore.in_memory(clock=Clock())
    made.setup()
    yield made
    made.close()


def event(event_id: str = "e1", **more: Any) -> InboxEvent:
    given: dict[str, Any] = {
        "position": 0, "consumer": "orders", "source": "/shop", "event_id": event_id, "tenant": "default",
        "event_name": "order.paid.v1", "workflow_id": None, "correlation": "key:1", "trace_id": "t", "envelope": "{}",
        "status": InboxStatus.KEPT, "note": None, "repeats": 0, "received_at": NOW, "settled_at": None,
    }  # fmt: skip
    return InboxEvent(**given | more)


class TestTheInbox:
    def test_an_event_is_new_once_for_each_workflow_and_source(self, store: WorkflowStore) -> None:
        with store.write() as connection:
            assert inbox.insert(connection, event()) is True
            assert inbox.insert(connection, event()) is False
            assert inbox.insert(connection, event(note="other text")) is False
            assert inbox.insert(connection, event(source="/elsewhere")) is True
            assert inbox.insert(connection, event(consumer="parcels")) is True
            assert inbox.insert(connection, event("e2")) is True
            found = inbox.find(connection, "e1")
            assert [(one.consumer, one.source, one.repeats) for one in found] == [
                ("orders", "/shop", 2), ("orders", "/elsewhere", 0), ("parcels", "/shop", 0),
            ]  # fmt: skip
            assert [one.source for one in inbox.find(connection, "e1", consumer="parcels")] == ["/shop"]
            assert inbox.find(connection, "nothing") == []

    def test_settling_is_about_that_one_event(self, store: WorkflowStore) -> None:
        with store.write() as connection:
            for one in (event(), event("e2"), event(source="/elsewhere"), event(consumer="parcels")):
                inbox.insert(connection, one)
            inbox.settle(connection, event(), InboxStatus.LATE, note="late", now=NOW + 5, correlation="key:2")
            first, *others = inbox.find(connection, "e1")
            assert (first.status, first.note, first.settled_at, first.correlation) == (
                InboxStatus.LATE,
                "late",
                NOW + 5,
                "key:2",
            )
            assert {one.status for one in [*others, *inbox.find(connection, "e2")]} == {InboxStatus.KEPT}

    def test_a_wait_finds_what_it_may_still_take_in_the_order_in_which_it_came(self, store: WorkflowStore) -> None:
        with store.write() as connection:
            for number, status in enumerate(InboxStatus):
                inbox.insert(connection, event(f"{number}", status=status))
            inbox.insert(connection, event("other key", correlation="key:2"))
            inbox.insert(connection, event("other name", event_name="order.lost.v1"))
            inbox.insert(connection, event("other workflow", consumer="parcels"))
            inbox.insert(connection, event("last"))

            found = inbox.waiting(
                connection, consumer="orders", correlation="key:1", names=["order.paid.v1", "order.sent.v1"]
            )

            assert [one.status for one in found] == [InboxStatus.KEPT, InboxStatus.UNMATCHED, InboxStatus.KEPT]
            assert found[-1].event_id == "last"
            both = inbox.waiting(
                connection, consumer="orders", correlation="key:1", names=["order.paid.v1", "order.lost.v1"]
            )
            assert [one.event_id for one in both][-2:] == ["other name", "last"]

    @pytest.mark.parametrize(
        ("name", "longest"),
        [
            ("source", 255),
            ("event_id", 128),
            ("event_name", 128),
            ("tenant", 128),
            ("workflow_id", 64),
            ("trace_id", 64),
        ],
    )
    def test_an_identifier_is_kept_up_to_its_length(self, store: WorkflowStore, name: str, longest: int) -> None:
        with store.write() as connection:
            assert inbox.insert(connection, event(**{name: "x" * longest}))
            with pytest.raises(InvalidInput, match=f"The event's {name} is longer than {longest} characters") as raised:
                inbox.insert(connection, event(**{"event_id": "e2", name: "x" * (longest + 1)}))
            assert raised.value.details == {"field": name}

    @pytest.mark.parametrize("kept", [True, False])
    def test_trimming_takes_what_is_over_and_what_is_kept_when_asked(self, store: WorkflowStore, kept: bool) -> None:
        with store.write() as connection:
            for number, status in enumerate(InboxStatus):
                inbox.insert(connection, event(f"{number}", status=status))
            inbox.insert(connection, event("settled later", status=InboxStatus.TAKEN, settled_at=NOW + 5))

            assert inbox.trim(connection, before=NOW, limit=10, kept=kept) == 0
            assert inbox.trim(connection, before=NOW + 1, limit=2, kept=kept) == 2
            assert inbox.trim(connection, before=NOW + 1, limit=10, kept=kept) == len(InboxStatus) - 2 - (not kept)
            left = [one.event_id for one in inbox.listing(connection)]
            assert left == ["settled later"] + ([] if kept else [str([*InboxStatus].index(InboxStatus.KEPT))])
            assert inbox.trim(connection, before=NOW + 6, limit=10) == 1

    def test_hundreds_are_trimmed_at_once(self, store: WorkflowStore) -> None:
        with store.write() as connection:
            for number in range(1_001):
                inbox.insert(connection, event(f"{number}", status=InboxStatus.TAKEN))
            assert inbox.trim(connection, before=NOW + 1, limit=2_000) == 1_001
            assert inbox.listing(connection) == []


def wait(wait_id: str = "w1", **more: Any) -> Wait:
    given: dict[str, Any] = {
        "wait_id": wait_id, "workflow_id": "wf_1", "tenant": "default", "workflow": "orders", "state": "placed", "revision": 1,
        "status": WaitStatus.OPEN, "needed": 2, "total": 3, "settled": 0, "failed": 0, "resumed": 0, "opened_at": NOW, "due_at": NOW + 10,
        "ended_at": None,
    }  # fmt: skip
    return Wait(**given | more)


ITEMS = [("order.paid.v1", "a"), ("order.paid.v1", "b"), ("order.sent.v1", "a")]
BY = {"order.paid.v1": "key:1", "order.sent.v1": "key:2"}


@pytest.fixture
def waits(store: WorkflowStore) -> WorkflowStore:
    """With three open waits: w1 and w2 of the workflow orders, w3 of another one; w2 is younger and due earlier."""
    with store.write() as connection:
        rows.insert(connection, wait("w1"), ITEMS, BY)
        rows.insert(connection, wait("w2", workflow_id="wf_2", opened_at=NOW + 1, due_at=NOW + 5), [], BY)
        rows.insert(connection, wait("w3", workflow_id="wf_3", workflow="parcels", tenant="acme"), ITEMS, BY)
    return store


def ids(found: list[Wait]) -> list[str]:
    return [one.wait_id for one in found]


class TestWaits:
    def test_a_wait_is_kept_whole_with_its_items_in_order(self, waits: WorkflowStore) -> None:
        with waits.read() as connection:
            assert rows.load(connection, "w1") == wait("w1")
            items = rows.items(connection, "w1")
            assert [(one.number, one.event_name, one.part) for one in items] == [
                (1, *ITEMS[0]),
                (2, *ITEMS[1]),
                (3, *ITEMS[2]),
            ]
            assert {(one.status, one.event_id, one.changed_at) for one in items} == {(ItemStatus.REQUESTED, None, NOW)}
            assert rows.load(connection, "nothing") is None
            assert rows.items(connection, "w2") == []

    def test_it_is_found_by_the_event_and_what_that_is_about_the_newest_first(self, waits: WorkflowStore) -> None:
        def found(workflow: str = "orders", correlation: str = "key:1", name: str = "order.paid.v1") -> list[str]:
            with waits.read() as connection:
                return ids(rows.expecting(connection, workflow=workflow, correlation=correlation, event_name=name))

        assert found() == ["w2", "w1"]
        assert found(workflow="parcels") == ["w3"]
        assert found(correlation="key:2") == []
        assert found(correlation="key:2", name="order.sent.v1") == ["w2", "w1"]

    def test_those_whose_time_is_over_are_found_the_most_overdue_first(self, waits: WorkflowStore) -> None:
        with waits.write() as connection:
            assert ids(rows.due(connection, workflow="orders", now=NOW + 4, limit=9)) == []
            assert ids(rows.due(connection, workflow="orders", now=NOW + 10, limit=9)) == ["w2", "w1"]
            assert ids(rows.due(connection, workflow="orders", now=NOW + 10, limit=1)) == ["w2"]
            rows.end(connection, "w2", WaitStatus.DONE, now=NOW, resumed=False)
            assert ids(rows.due(connection, workflow="orders", now=NOW + 10, limit=9)) == ["w1"]

    @pytest.mark.parametrize(
        ("other", "found"),
        [
            ({}, ["w1", "w2"]), ({"status": InboxStatus.UNMATCHED}, ["w1", "w2"]), ({"status": InboxStatus.LATE}, []),
            ({"tenant": "acme"}, []), ({"consumer": "parcels"}, []), ({"correlation": "key:2"}, []),
            ({"event_name": "order.sent.v1"}, []), ({"event_name": "order.sent.v1", "correlation": "key:2"}, ["w1", "w2"]),
        ],
    )  # fmt: skip
    def test_those_that_missed_an_event_are_found_once(
        self, waits: WorkflowStore, other: Any, found: list[str]
    ) -> None:
        with waits.write() as connection:
            inbox.insert(connection, event("e1", settled_at=NOW, **other))
            inbox.insert(connection, event("e2", settled_at=NOW, **other))
            assert rows.missed(connection, workflow="orders", since=NOW, limit=9) == []
            assert sorted(ids(rows.missed(connection, workflow="orders", since=0, limit=9))) == found
            assert len(rows.missed(connection, workflow="orders", since=0, limit=1)) == min(1, len(found))
            for one in ("w1", "w2"):
                rows.end(connection, one, WaitStatus.DONE, now=NOW, resumed=False)
            assert rows.missed(connection, workflow="orders", since=0, limit=9) == []

    def test_an_item_moves_on_once_and_from_where_it_stood(self, waits: WorkflowStore) -> None:
        with waits.write() as connection:
            first, second, _ = rows.items(connection, "w1")
            assert rows.mark_item(connection, first, ItemStatus.DELIVERED, event_id="e1", now=NOW + 3) is True
            assert rows.mark_item(connection, first, ItemStatus.DELIVERED, event_id="e2", now=NOW + 4) is False
            moved, other, _ = rows.items(connection, "w1")
            assert (moved.status, moved.event_id, moved.changed_at) == (ItemStatus.DELIVERED, "e1", NOW + 3)
            assert other == second
            assert rows.items(connection, "w3")[0].status is ItemStatus.REQUESTED
            assert ids(rows.touched_by(connection, "e1")) == ["w1"]
            assert rows.touched_by(connection, "e2") == []

    def test_items_are_found_by_part_event_and_standing(self, waits: WorkflowStore) -> None:
        with waits.write() as connection:
            rows.mark_item(connection, rows.items(connection, "w1")[0], ItemStatus.DELIVERED, event_id="e1", now=NOW)

            def found(**more: Any) -> list[int]:
                return [one.number for one in rows.items(connection, "w1", **more)]

            assert found(part="a") == [1, 3]
            assert found(event_name="order.paid.v1") == [1, 2]
            assert found(standing=[ItemStatus.REQUESTED]) == [2, 3]
            assert found(part="a", standing=[ItemStatus.REQUESTED]) == [3]
            assert found(limit=2) == [1, 2]
            assert rows.progress(connection, "w1") == {
                status: {ItemStatus.REQUESTED: 2, ItemStatus.DELIVERED: 1}.get(status, 0) for status in ItemStatus
            }

    def test_counts_are_added_to_an_open_wait_alone(self, waits: WorkflowStore) -> None:
        with waits.write() as connection:
            rows.count(connection, "w1", settled=1, failed=0)
            after = rows.count(connection, "w1", settled=1, failed=2)
            assert after == dataclasses.replace(wait("w1"), settled=2, failed=2)
            assert rows.load(connection, "w2") == wait("w2", workflow_id="wf_2", opened_at=NOW + 1, due_at=NOW + 5)
            rows.end(connection, "w1", WaitStatus.DONE, now=NOW, resumed=False)
            assert rows.count(connection, "w1", settled=1, failed=0) is None

    @pytest.mark.parametrize("resumed", [True, False])
    def test_it_is_ended_by_whoever_comes_first(self, waits: WorkflowStore, resumed: bool) -> None:
        with waits.write() as connection:
            rows.mark_item(connection, rows.items(connection, "w1")[0], ItemStatus.ACKNOWLEDGED, event_id="e1", now=NOW)
            assert rows.end(
                connection, "w1", WaitStatus.TIMED_OUT, now=NOW + 9, resumed=resumed, timed_out=[ItemStatus.REQUESTED]
            )
            assert not rows.end(connection, "w1", WaitStatus.DONE, now=NOW + 10, resumed=True)
            ended = rows.load(connection, "w1")
            assert ended == dataclasses.replace(
                wait("w1"), status=WaitStatus.TIMED_OUT, ended_at=NOW + 9, resumed=int(resumed)
            )
            items = rows.items(connection, "w1")
            assert [one.status for one in items] == [
                ItemStatus.ACKNOWLEDGED,
                ItemStatus.TIMED_OUT,
                ItemStatus.TIMED_OUT,
            ]
            assert [one.changed_at for one in items] == [NOW, NOW + 9, NOW + 9]
            assert rows.items(connection, "w3")[0].status is ItemStatus.REQUESTED
            assert rows.open_of(connection, "wf_1") is None
            assert rows.open_of(connection, "wf_2") is not None

    def test_trimming_takes_those_that_ended_long_ago_and_went_on(self, waits: WorkflowStore) -> None:
        with waits.write() as connection:
            rows.end(connection, "w1", WaitStatus.DONE, now=NOW + 1, resumed=True)
            rows.end(connection, "w3", WaitStatus.DONE, now=NOW + 1, resumed=False)
            assert rows.trim(connection, before=NOW + 1, limit=9) == 0
            assert rows.trim(connection, before=NOW + 2, limit=9) == 1
            assert rows.load(connection, "w1") is None
            assert rows.items(connection, "w1") == []
            assert rows.load(connection, "w3") is not None
            assert len(rows.items(connection, "w3")) == 3
            assert ids(
                rows.expecting(connection, workflow="orders", correlation="key:1", event_name="order.paid.v1")
            ) == ["w2"]

    def test_every_wait_of_an_instance_is_found_the_oldest_first(self, waits: WorkflowStore) -> None:
        with waits.write() as connection:
            rows.end(connection, "w1", WaitStatus.LEFT, now=NOW, resumed=False)
            rows.insert(connection, wait("w4", opened_at=NOW + 7), [], {})
            assert ids(rows.of_instance(connection, "wf_1")) == ["w1", "w4"]
            found = rows.open_of(connection, "wf_1")
            assert found is not None
            assert found.wait_id == "w4"
