"""SIGKILL at every fault point of the door: whoever repeats the same calls ends as if nothing had been."""

from __future__ import annotations

import functools
import os
import signal
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import (
    Answered,
    ErrorResult,
    Pending,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowGraph,
    command,
)
from interlock.checkpointing.tables.workflow import approvals, ledger, outbox
from interlock.testing import Child, injected
from interlock.tools import OutcomeUnknown
from interlock.tools.errors import ConflictError

from .kills import PRELOAD, one_of_each
from .outside import World, call_out
from .workflows import AT_MOST_ONCE, BOSS, CLERK, Address, Receipt, Till, bookings, close_till, look, open_till

EVERY = os.environ.get("INTERLOCK_FULL") == "1"


@functools.cache
def counter(url: str, address: Address) -> WorkflowGraph:
    """Commands in one transaction and outside, asked about and not, a read, and one that is withdrawn."""

    @command("parcel.hand_over", effect="at_most_once")
    def hand_over(ctx: ToolContext[Till]) -> Receipt:
        """Hand the parcel over."""
        call_out(address, scope=ctx.data.thread, tool="parcel.hand_over", key=ctx.idempotency_key)
        ctx.data.done.append("parcel")
        return Receipt(what="parcel")

    flow = Workflow("counter", data=Till)
    flow.add_state("closed")
    flow.add_state("open", tools=[look])
    flow.add_state("gone")
    flow.add_state("over", final=True)
    flow.add_edge("closed", open_till, "open")
    flow.add_edge("open", hand_over, "gone", approval=True)
    flow.add_edge("gone", close_till, "over", approval=True)
    return flow.compile(SQLCheckpointer(url))


def serve(url: str, address: Address, case: str) -> str:
    """What a plain program does that repeats its calls until it has their answers.

    Returns:
        The state that it ended in, or `"unknown"` where somebody has to look into what became of an effect.
    """
    instances = counter(url, address).instances
    instances.start(principal=CLERK, workflow_id=case, data={"thread": case})
    assert _answer(instances.propose(case, "till.open", {}, principal=CLERK, revision=0)).ok
    if instances.get(case).state == "open":
        _answer(instances.propose(case, "till.look", {}, principal=CLERK))
        wrong = instances.propose(case, "parcel.hand_over", {}, principal=CLERK, key="wrong")
        gone = instances.withdraw(wrong.pending.proposal_id, by=CLERK) if isinstance(wrong, Pending) else wrong
        assert isinstance(gone, ErrorResult)
        assert gone.error.code == "approval_withdrawn"
    try:
        if not _carried_out(instances, case, "parcel.hand_over"):
            return "unknown"
    except OutcomeUnknown:
        return "unknown"
    asked = instances.propose(case, "till.close", {}, principal=CLERK, key="till.close")
    if isinstance(asked, Pending):
        instances.decide(asked.pending.proposal_id, "approve", by=BOSS)
    instances.tick()  # what was granted is carried out by whoever comes first
    assert _answer(instances.propose(case, "till.close", {}, principal=CLERK, key="till.close")).ok
    return instances.get(case).state


def _carried_out(instances: Any, case: str, tool: str) -> bool:
    asked = instances.propose(case, tool, {}, principal=CLERK, key=tool)
    if isinstance(asked, Pending):
        instances.decide(asked.pending.proposal_id, "approve", by=BOSS)
        asked = instances.proposal(asked.pending.proposal_id, by=CLERK)
    return bool(_answer(asked).ok)


def _answer(stood: Answered | Pending) -> Answered:
    assert isinstance(stood, Answered)
    return stood


def count_points(url: str, address: Address, case: str) -> list[str]:
    """The fault points that an undisturbed program comes to."""
    with injected() as reached:
        serve(url, address, case)
    return reached.points


def recover(url: str, world: World, case: str) -> dict[str, Any]:
    """Repeat the program until it is at its end, looking into what is unknown, and see what is left behind."""
    for _ in range(20):
        try:
            if serve(url, world.address, case) == "over":
                return left_behind(url, world.address, case)
        except ConflictError:
            pass  # the lease of a process that was killed: known to be gone, or waited for
        _look_into(url, world, case)
    raise AssertionError(f"{case} does not come to its end")


def _look_into(url: str, world: World, case: str) -> None:
    instances = counter(url, world.address).instances
    key = instances.get(case).running_key
    if key is None:
        return
    if key not in [called for tool, called in world.calls(case) if tool == AT_MOST_ONCE]:
        instances.resolve(case, "retry", by=BOSS, note="they know nothing of it")
        return
    data = instances.get(case).data
    instances.resolve(
        case, "happened", by=BOSS, output={"what": "parcel"}, data={**data, "done": [*data["done"], "parcel"]}
    )


def left_behind(url: str, address: Address, case: str) -> dict[str, Any]:
    """What the program left behind, without ids and times."""
    graph = counter(url, address)
    instance = graph.instances.get(case)
    with graph.engine.store.read() as connection:

        def rows(*columns: Any) -> list[Any]:
            table = columns[0].table
            return sorted(
                tuple(row) for row in connection.execute(sa.select(*columns).where(table.c.workflow_id == case))
            )

        return {
            "state": instance.state,
            "revision": instance.revision,
            "done": instance.data["done"],
            "ledger": rows(ledger.c.tool, ledger.c.status),
            "approvals": rows(approvals.c.tool, approvals.c.status),
            "outbox": rows(outbox.c.event_name),
            "booked": [
                *connection.scalars(
                    sa.select(bookings.c.what).where(bookings.c.thread == case).order_by(bookings.c.number)
                )
            ],
            "started": [record.kind.value for record in graph.instances.audit(case)].count("started"),
            "broken": graph.engine.store.verify(case),
        }


def test_a_program_that_is_killed_at_any_point_of_the_door_ends_as_if_it_had_not_been(
    prepared_url: str, outside: World
) -> None:
    scope = prepared_url[:6]
    with Child(count_points, prepared_url, outside.address, f"{scope}-points", preload=PRELOAD) as child:
        points = child.result()
    with Child(recover, prepared_url, outside, f"{scope}-undisturbed") as child:
        expected = child.result()
    assert expected["booked"] == ["open", "close"]
    assert (expected["state"], expected["started"], expected["broken"]) == ("over", 1, [])
    assert len(set(points)) >= 6
    for ordinal in range(1, len(points) + 1) if EVERY else one_of_each(points, 18):
        case = f"{scope}-door-{ordinal}"
        with Child(serve, prepared_url, outside.address, case, kill_at=(None, ordinal)) as child:
            assert child.ended() == -signal.SIGKILL, points[ordinal - 1]
        with Child(recover, prepared_url, outside, case) as child:
            assert child.result() == expected, f"killed at {ordinal}, {points[ordinal - 1]}"
        handed_over = [key for tool, key in outside.calls(case) if tool == AT_MOST_ONCE]
        assert len(handed_over) == 1, f"killed at {ordinal}: {len(handed_over)} parcels"


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_who_dies_while_carrying_out_what_was_granted_is_made_up_for_by_the_next_tick(
    point: str, sqlite_url: str, outside: World
) -> None:
    with Child(_granted, sqlite_url, outside.address, point, preload=PRELOAD) as child:
        child.result()
    with Child(_tick, sqlite_url, outside.address, point, kill_at=(point, 1)) as child:
        assert child.ended() == -signal.SIGKILL
    with Child(_tick, sqlite_url, outside.address, point) as child:
        assert child.result() == "open"
    assert left_behind(sqlite_url, outside.address, point)["booked"] == ["open"]


@functools.cache
def _asking(url: str) -> WorkflowGraph:
    flow = Workflow("asking", data=Till)
    flow.add_state("closed").add_state("open", final=True)
    flow.add_edge("closed", open_till, "open", approval=True)
    return flow.compile(SQLCheckpointer(url))


def _granted(url: str, _address: Address, case: str) -> None:
    instances = _asking(url).instances
    instances.start(principal=CLERK, workflow_id=case, data={"thread": case})
    asked = instances.propose(case, "till.open", {}, principal=CLERK, key="o")
    assert isinstance(asked, Pending)
    instances.decide(asked.pending.proposal_id, "approve", by=BOSS)


def _tick(url: str, _address: Address, case: str) -> str:
    instances = _asking(url).instances
    instances.tick()
    return instances.get(case).state
