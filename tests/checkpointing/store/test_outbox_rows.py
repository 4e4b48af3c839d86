"""The rows of the outbox: what is due, who holds it, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import WorkflowStore
from interlock.checkpointing.store import outbox
from interlock.checkpointing.store.outbox import OutboxStatus
from interlock.checkpointing.tables.workflow import relay_lanes
from tests.events.support import Asked, Clock, envelope

NOW = Clock().now


@pytest.fixture
def store() -> Iterator[WorkflowStore]:
    """With two events of one instance and one of another, put there in this order: a1, b1, a2."""
    made = WorkflowStore.in_memory(clock=Clock())
    made.setup()
    with made.write() as connection:
        for event_id, workflow_id in (("a1", "wf_a"), ("b1", "wf_b"), ("a2", "wf_a")):
            outbox.append(connection, [envelope(Asked(), workflow_id, event_id=event_id)], tenant="acme", now=NOW)
    yield made
    made.close()


def claimed(store: WorkflowStore, owner: str, now: int = NOW, until: int = NOW + 10, **more: Any) -> list[str]:
    with store.write() as connection:
        found = outbox.claim(connection, owner=owner, now=now, until=until, **{"limit": 10, **more})
    return [event.event_id for event in found]


def lanes(store: WorkflowStore) -> dict[str, tuple[str, int, int]]:
    with store.read() as connection:
        rows = connection.execute(sa.select(relay_lanes).where(relay_lanes.c.workflow_id != outbox.GATE)).mappings()
        return {row["workflow_id"]: (row["owner"], row["held_until"], row["claimed_to"]) for row in rows}


def one(store: WorkflowStore, event_id: str) -> outbox.OutboxEvent:
    with store.read() as connection:
        found = outbox.find(connection, event_id)
    assert found is not None
    return found


def due(store: WorkflowStore, event_id: str) -> outbox.DueEvent:
    event = one(store, event_id)
    return outbox.DueEvent(*(getattr(event, name) for name in outbox.DueEvent._fields))


def test_an_event_is_kept_as_it_goes_over_the_wire(store: WorkflowStore) -> None:
    event = one(store, "b1")
    assert (event.position, event.workflow_id, event.tenant, event.event_name) == (2, "wf_b", "acme", "probe.asked.v1")
    assert (event.trace_id, event.status, event.attempts) == ("trace_outside", OutboxStatus.PENDING, 0)
    assert (event.created_at, event.next_attempt_at, event.published_at, event.error, event.destination) == (
        NOW,
        NOW,
        None,
        None,
        None,
    )
    assert '"eventId":"b1"' in event.envelope


def test_a_claim_takes_what_is_due_in_order_and_holds_its_lanes(store: WorkflowStore) -> None:
    assert claimed(store, "one") == ["a1", "b1", "a2"]
    assert lanes(store) == {"wf_a": ("one", NOW + 10, 3), "wf_b": ("one", NOW + 10, 2)}
    assert claimed(store, "two") == []


def test_a_claim_takes_no_more_than_asked_for_and_its_lane_is_held_as_a_whole(store: WorkflowStore) -> None:
    assert claimed(store, "one", limit=1) == ["a1"]
    assert lanes(store) == {"wf_a": ("one", NOW + 10, 1)}
    assert claimed(store, "two") == ["b1"], "a2 comes after what another one holds"


def test_a_lane_is_free_when_its_time_is_over_and_not_before(store: WorkflowStore) -> None:
    claimed(store, "one")
    assert claimed(store, "two", now=NOW + 9) == []
    assert claimed(store, "two", now=NOW + 10, until=NOW + 20) == ["a1", "b1", "a2"]
    assert {owner for owner, *_ in lanes(store).values()} == {"two"}


def test_a_claim_behind_another_one_takes_what_comes_after_it(store: WorkflowStore) -> None:
    assert claimed(store, "one", limit=2) == ["a1", "b1"]
    assert claimed(store, "two", behind="one") == ["a2"]
    assert lanes(store)["wf_a"] == ("two", NOW + 10, 3)
    assert lanes(store)["wf_b"] == ("one", NOW + 10, 2)


def test_what_was_published_is_written_down_and_not_due_any_more(store: WorkflowStore) -> None:
    told: list[Any] = []
    first = due(store, "a1")
    listener = lambda _, positions, now: told.append(([*positions], now))  # noqa: E731
    outbox.listeners.append(listener)
    try:
        with store.write() as connection:
            outbox.failed(connection, first, "no", retry_at=NOW)
            outbox.published(connection, [1, 2], now=NOW + 5, destination="there")
    finally:
        outbox.listeners.remove(listener)
    event = one(store, "a1")
    assert (event.status, event.attempts, event.published_at) == (OutboxStatus.PUBLISHED, 2, NOW + 5)
    assert (event.destination, event.error) == ("there", None)
    assert told == [([1, 2], NOW + 5)]
    assert one(store, "a2").status is OutboxStatus.PENDING
    assert claimed(store, "one") == ["a2"]


def test_a_failure_is_tried_again_or_given_up(store: WorkflowStore) -> None:
    first, second = due(store, "a1"), due(store, "b1")
    with store.write() as connection:
        outbox.failed(connection, first, "no such queue", retry_at=NOW + 7)
        outbox.failed(connection, second, "never", retry_at=None)
    again, dead = one(store, "a1"), one(store, "b1")
    assert (again.status, again.attempts, again.next_attempt_at, again.error) == (
        OutboxStatus.PENDING,
        1,
        NOW + 7,
        "no such queue",
    )
    assert (dead.status, dead.attempts, dead.next_attempt_at, dead.error) == (OutboxStatus.DEAD, 1, NOW, "never")
    assert one(store, "a2").attempts == 0
    with store.read() as connection:
        assert outbox.counts(connection) == {OutboxStatus.PENDING: 2, OutboxStatus.DEAD: 1}


def test_a_failure_does_not_take_back_what_was_published_meanwhile(store: WorkflowStore) -> None:
    event = due(store, "a1")
    with store.write() as connection:
        outbox.published(connection, [event.position], now=NOW, destination="there")
        outbox.failed(connection, event, "late", retry_at=None)
    assert one(store, "a1").status is OutboxStatus.PUBLISHED


class TestGivingBack:
    def test_a_claim_gives_back_its_own_lanes_alone(self, store: WorkflowStore) -> None:
        claimed(store, "one", limit=1)
        claimed(store, "two")
        with store.write() as connection:
            outbox.release(connection, "one")
        assert lanes(store) == {"wf_b": ("two", NOW + 10, 2)}

    def test_a_lane_whose_first_event_is_tried_again_rests_until_then(self, store: WorkflowStore) -> None:
        claimed(store, "one")
        with store.write() as connection:
            outbox.release(connection, "one", waiting={"wf_a": NOW + 30})
        assert lanes(store) == {"wf_a": ("", NOW + 30, 0)}
        assert claimed(store, "two", now=NOW + 29, until=NOW + 99) == ["b1"]
        assert claimed(store, "three", now=NOW + 30) == ["a1", "a2"]

    def test_a_lane_that_another_one_took_over_does_not_rest_for_the_first(self, store: WorkflowStore) -> None:
        claimed(store, "one")
        claimed(store, "two", now=NOW + 10, until=NOW + 20)
        with store.write() as connection:
            outbox.release(connection, "one", waiting={"wf_a": NOW + 30})
        assert lanes(store)["wf_a"] == ("two", NOW + 20, 3)

    @pytest.mark.parametrize("how", ["waiting", "stopped"])
    def test_what_the_claim_behind_it_took_over_waits_or_is_free_as_well(self, store: WorkflowStore, how: str) -> None:
        claimed(store, "one", limit=2)
        claimed(store, "two", behind="one")
        given: dict[str, Any] = {"waiting": {"wf_a": NOW + 30}} if how == "waiting" else {"stopped": ["wf_a"]}
        with store.write() as connection:
            outbox.release(connection, "one", successor="two", **given)
        assert lanes(store) == ({"wf_a": ("", NOW + 30, 0)} if how == "waiting" else {})

    def test_what_came_through_stays_with_the_claim_behind_it(self, store: WorkflowStore) -> None:
        claimed(store, "one", limit=2)
        claimed(store, "two", behind="one")
        with store.write() as connection:
            outbox.release(connection, "one", stopped=["wf_b"], successor="two")
        assert lanes(store) == {"wf_a": ("two", NOW + 10, 3)}

    def test_lanes_that_stopped_without_a_claim_behind_are_simply_free(self, store: WorkflowStore) -> None:
        claimed(store, "one")
        with store.write() as connection:
            outbox.release(connection, "one", stopped=["wf_a"])
        assert lanes(store) == {}


class TestAfterwards:
    def test_dead_events_are_put_back_all_or_one(self, store: WorkflowStore) -> None:
        both = [due(store, "a1"), due(store, "b1")]
        with store.write() as connection:
            for event in both:
                outbox.failed(connection, event, "never", retry_at=None)
            assert outbox.retry(connection, event_id="a2", now=NOW + 5) == 0, "it is not dead"
            assert outbox.retry(connection, event_id="b1", now=NOW + 5) == 1
        back = one(store, "b1")
        assert (back.status, back.attempts, back.next_attempt_at) == (OutboxStatus.PENDING, 0, NOW + 5)
        assert one(store, "a1").status is OutboxStatus.DEAD
        with store.write() as connection:
            assert outbox.retry(connection, now=NOW + 6) == 1
        assert one(store, "a1").status is OutboxStatus.PENDING

    def test_what_was_published_long_ago_is_trimmed_the_oldest_first(self, store: WorkflowStore) -> None:
        with store.write() as connection:
            outbox.published(connection, [3], now=NOW, destination="there")
            outbox.published(connection, [1], now=NOW + 1, destination="there")
            assert outbox.trim(connection, before=NOW, limit=10) == 0
            assert outbox.trim(connection, before=NOW + 2, limit=1) == 1
            assert outbox.find(connection, "a1") is None
            assert outbox.trim(connection, before=NOW + 2, limit=10) == 1
            assert outbox.find(connection, "a2") is None
            assert outbox.find(connection, "b1") is not None

    def test_it_is_known_whether_anything_is_left_to_publish(self, store: WorkflowStore) -> None:
        with store.write() as connection:
            assert outbox.any_pending(connection) is True
            outbox.published(connection, [1, 2, 3], now=NOW, destination="there")
            assert outbox.any_pending(connection) is False


def test_hundreds_of_lanes_and_events_are_claimed_written_down_and_trimmed(store: WorkflowStore) -> None:
    many = [envelope(Asked(), f"wf_{number:04}", event_id=f"m{number}") for number in range(1_100)]
    with store.write() as connection:
        outbox.append(connection, many, tenant="acme", now=NOW)
    assert len(claimed(store, "one", limit=2_000)) == 1_103
    assert len(lanes(store)) == 1_102
    with store.write() as connection:
        outbox.published(connection, range(1, 1_104), now=NOW, destination="there")
        outbox.release(connection, "one", stopped=[f"wf_{number:04}" for number in range(1_100)], successor="two")
        assert outbox.any_pending(connection) is False
        assert outbox.trim(connection, before=NOW + 1, limit=2_000) == 1_103
    assert lanes(store) == {}
