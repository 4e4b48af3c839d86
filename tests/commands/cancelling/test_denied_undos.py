"""Undos that the gate denies: tried again where the denial says that it passes, and left to a person otherwise."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from interlock import Deny, Principal, Undo, Workflow, WorkflowStore, command
from interlock.rules.policies import Allow, Policy
from interlock.testing import Clock
from interlock.tools.contracts.json_schema import contract_from_schema
from interlock.tools.errors import ContractError

ANN, BOSS = Principal("ann"), Principal("mia", roles=frozenset({"boss"}))
DONE: list[str] = []


@command("seat.release", effect="transactional")
def release(seat: str) -> str:
    """Give a seat back."""
    DONE.append(f"release {seat}")
    return seat


@command("seat.reserve", effect="transactional", undo=release)
def reserve(seat: str) -> str:
    """Reserve a seat."""
    DONE.append(f"reserve {seat}")
    return seat


class Nights(Policy):
    """Denies what gives a seat back, for as long as it says."""

    def __init__(self, passes: bool) -> None:
        self.passes = passes
        self.open = False
        self.asked = 0

    def judge(self, proposal: Any) -> Any:
        """Deny it at night."""
        if proposal.tool.name != "seat.release" or self.open:
            return Allow()
        self.asked += 1
        return Deny("the office is closed", retryable=self.passes)


def booked(policy: Policy, store: WorkflowStore) -> tuple[Any, str]:
    DONE.clear()
    flow = Workflow("trip", policies=[policy])
    flow.add_state("open", tools=[reserve])
    flow.cancellable(role="boss")
    instances = flow.compile(workflow_store=store).instances
    trip = str(instances.start(principal=ANN).workflow_id)
    for seat in ("1a", "2b"):
        assert instances.propose(trip, "seat.reserve", {"seat": seat}, principal=ANN, key=seat).ok
    return instances, trip


def test_an_undo_that_is_denied_for_now_is_tried_again_and_older_ones_wait(store: WorkflowStore, time: Clock) -> None:
    policy = Nights(passes=True)
    instances, trip = booked(policy, store)

    found = instances.cancel(trip, "no", by=BOSS)

    assert (found.state, found.is_done, found.left) == ("cancelling", False, ())
    assert [(call.became, call.why is not None) for call in found.calls] == [("to_undo", True), ("to_undo", False)]
    assert "the office is closed" in str(found.calls[0].why)
    instances.tick()
    instances.cancel(trip, "again", by=BOSS)
    assert policy.asked == 1, "not before a minute is over"
    time.advance(minutes=1)
    instances.tick()
    assert policy.asked == 2
    policy.open = True
    time.advance(minutes=1)
    instances.tick()
    assert DONE == ["reserve 1a", "reserve 2b"]
    time.advance(minutes=1)
    assert instances.tick().cancelled == [trip]
    done = instances.cancellation(trip)
    assert [(call.became, call.why) for call in done.calls] == [("undone", None), ("undone", None)]
    assert DONE == ["reserve 1a", "reserve 2b", "release 2b", "release 1a"]
    assert store.verify(trip) == []


def test_after_a_day_of_denials_it_is_left_to_a_person(store: WorkflowStore, time: Clock) -> None:
    policy = Nights(passes=True)
    instances, trip = booked(policy, store)
    instances.cancel(trip, "no", by=BOSS)
    for _ in range(23 * 3):
        time.advance(minutes=20)
        instances.tick()
    assert instances.get(trip).state == "cancelling"
    assert policy.asked < 32, "at most every hour in the end"
    time.advance(dt.timedelta(hours=2))
    assert instances.tick().cancelled == [trip]
    done = instances.cancellation(trip)
    assert [call.became for call in done.calls] == ["left", "left"]
    assert "the office is closed" in done.left[0].why
    assert [one.kind.value for one in store.audit(trip)].count("not_undone") == 2


def test_an_undo_with_a_permanent_denial_is_left_to_a_person_at_once(store: WorkflowStore) -> None:
    policy = Nights(passes=False)
    instances, trip = booked(policy, store)
    found = instances.cancel(trip, "no", by=BOSS)
    assert found.is_done
    assert [call.became for call in found.calls] == ["left", "left"]
    assert policy.asked == 2


# Tools that are known by a schema


TEXT = {"type": "object", "properties": {"seat": {"type": "string"}}, "required": ["seat"]}


def test_a_tool_that_is_known_by_its_schema_may_say_what_undoes_it(store: WorkflowStore) -> None:
    DONE.clear()
    back = contract_from_schema(
        "seat.back", TEXT, lambda call: DONE.append(f"back {call['seat']}"), effect="idempotent"
    )
    take = contract_from_schema(
        "seat.take", TEXT, lambda call: {"taken": call["seat"]}, effect="idempotent", undo=Undo(back, lambda done: {"seat": done.output["taken"]})
    )  # fmt: skip
    hold = contract_from_schema("seat.hold", TEXT, lambda seat: seat, effect="idempotent", undo=back)
    note = contract_from_schema("seat.note", TEXT, lambda seat: seat, effect="idempotent", undo=False)
    flow = Workflow("trip")
    flow.add_state("open", tools=[take, hold, note])
    flow.cancellable(role="boss")
    instances = flow.compile(workflow_store=store, destructive_in_memory=True).instances
    trip = instances.start(principal=ANN).workflow_id
    for tool in ("take", "hold", "note"):
        assert instances.propose(trip, f"seat.{tool}", {"seat": tool}, principal=ANN, key=tool).ok
    found = instances.cancel(trip, "no", by=BOSS)
    assert [(call.tool, call.became) for call in found.calls] == [
        ("seat.note", "nothing"),
        ("seat.hold", "undone"),
        ("seat.take", "undone"),
    ]
    assert DONE == ["back hold", "back take"]


def _take(seat: str) -> str:
    """Take a seat."""
    return seat


async def later(done: Any) -> dict[str, str]:
    return {"seat": "1"}


@pytest.mark.parametrize(
    "undo", [later, lambda done: (yield), "seat", 7, True, [], Undo(release, later), Undo(release, 7)]
)
def test_a_tool_that_cannot_undo_is_refused_in_the_definition(undo: Any) -> None:
    given = Undo(release, undo) if callable(undo) and not isinstance(undo, Undo) else undo
    with pytest.raises(ContractError, match="undo"):
        command("seat.take", effect="transactional", undo=given)(_take)
    with pytest.raises(ContractError, match="undo"):
        contract_from_schema("seat.take", TEXT, lambda seat: seat, undo=given)
    with pytest.raises(ContractError, match="undo"):
        Workflow("trip").add_state("open").add_edge("open", reserve, "open", undo=given)


def test_a_read_has_nothing_to_undo() -> None:
    with pytest.raises(ContractError, match="undo"):
        contract_from_schema("seat.look", TEXT, lambda seat: seat, kind="read", undo=release)
