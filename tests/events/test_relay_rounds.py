"""What one round of the relay comes to: every lane is tried, each outcome is counted and written down, and pauses grow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from interlock import WorkflowStore
from interlock.checkpointing.store import outbox
from interlock.checkpointing.store.outbox import OutboxEvent, OutboxStatus
from interlock.events import Message, Relay, RelayOptions
from interlock.tools.errors import BusUnavailable, PublishRefused
from tests.events.support import Clock, Recording, emit_many

REFUSALS: dict[str, tuple[Exception, str]] = {
    "its bus": (PublishRefused("too large"), "too large"),
    "a bug": (KeyError("topic"), "KeyError: 'topic'"),
}


@pytest.fixture
def store() -> Iterator[WorkflowStore]:
    made = WorkflowStore.in_memory(clock=Clock())
    yield made
    made.close()


def refusing(*workflow_ids: str, error: Exception) -> Recording:
    return Recording(lambda message: error if message.workflow_id in workflow_ids else None)


def events(store: WorkflowStore, workflow_id: str) -> list[OutboxEvent]:
    with store.read() as connection:
        return outbox.listing(connection, workflow_id=workflow_id)[::-1]


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("at_once", [1, 4])
async def test_what_is_refused_stops_its_own_instance_alone(store: WorkflowStore, why: str, at_once: int) -> None:
    error, said = REFUSALS[why]
    emit_many(store, {"wf_a": 2, "wf_bad": 2, "wf_c": 2})
    bus = refusing("wf_bad", error=error)
    now = Clock().now

    done = await Relay(store, bus, options=RelayOptions(at_once=at_once, first_pause=10, longest_pause=100)).run_once()

    assert (done.claimed, done.published, done.retrying, done.dead, done.unavailable) == (6, 4, 1, 0, None)
    assert (bus.numbers("wf_a"), bus.numbers("wf_c"), bus.numbers("wf_bad")) == ([0, 1], [0, 1], [])
    first, second = events(store, "wf_bad")
    assert (first.status, first.attempts, first.error) == (OutboxStatus.PENDING, 1, said)
    assert now + 5_000_000 <= first.next_attempt_at <= now + 10_000_000
    assert (second.attempts, second.error) == (0, None)
    assert [(one.status, one.attempts, one.published_at) for one in events(store, "wf_a")] == [
        (OutboxStatus.PUBLISHED, 1, now)
    ] * 2


async def test_the_last_attempt_makes_it_dead_and_counts_as_that(store: WorkflowStore) -> None:
    emit_many(store, {"wf_bad": 2, "wf_good": 1})
    bus = refusing("wf_bad", error=PublishRefused("never"))
    relay = Relay(store, bus, options=RelayOptions(attempts=1, batch=1))

    done = await relay.drain()

    assert (done.claimed, done.published, done.retrying, done.dead) == (3, 1, 0, 2)
    assert [one.status for one in events(store, "wf_bad")] == [OutboxStatus.DEAD] * 2
    assert (await relay.drain()).claimed == 0


async def test_a_bus_that_is_away_takes_no_attempt_and_says_why(store: WorkflowStore) -> None:
    emit_many(store, {"wf_a": 2, "wf_b": 1})
    bus = refusing("wf_a", "wf_b", error=BusUnavailable("the broker is away"))
    relay = Relay(store, bus, options=RelayOptions(attempts=1))

    done = await relay.drain()

    assert (done.claimed, done.published, done.retrying, done.dead) == (3, 0, 0, 0)
    assert "the broker is away" in (done.unavailable or "")
    assert {(one.status, one.attempts) for one in events(store, "wf_a")} == {(OutboxStatus.PENDING, 0)}
    bus.refuse = lambda _: None
    assert (await relay.drain()).published == 3, "its lanes are free at once"


async def test_where_an_event_went_is_written_down_with_it(store: WorkflowStore) -> None:
    class Somewhere(Recording):
        async def publish(self, message: Message) -> str:
            await super().publish(message)
            return f"topic of {message.workflow_id}" + "x" * 300

    emit_many(store, {"wf_a": 1, "wf_b": 2})

    await Relay(store, Somewhere()).run_once()

    assert [one.destination for one in events(store, "wf_b")] == [("topic of wf_b" + "x" * 300)[:255]] * 2
    assert [one.destination for one in events(store, "wf_a")] == [("topic of wf_a" + "x" * 300)[:255]]


@pytest.mark.parametrize(("attempts", "longest"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (60, 10.0)])
def test_pauses_double_up_to_the_longest_and_are_not_all_the_same(attempts: int, longest: float) -> None:
    options = RelayOptions(first_pause=2.0, longest_pause=10.0)
    pauses: list[Any] = [options.pause(attempts) for _ in range(200)]
    assert longest / 2 <= min(pauses) < max(pauses) <= longest
    assert min(pauses) < longest * 0.7
    assert max(pauses) > longest * 0.8
