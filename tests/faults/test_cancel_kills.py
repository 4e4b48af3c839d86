"""SIGKILL at every fault point of a cancel: everything is undone once, whoever goes on with it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from interlock import Principal, SQLCheckpointer, ToolContext, Undo, Workflow, WorkflowGraph, command
from interlock.checkpointing.tables.workflow import cancellations, ledger, outbox
from interlock.testing import Child, injected
from interlock.tools import InterlockError

from .kills import PRELOAD, one_of_each
from .outside import World, call_out
from .test_races import at_once
from .workflows import Address, bookings

EVERY = os.environ.get("INTERLOCK_FULL") == "1"
ANN = Principal("ann")
BOSS = Principal("mia", roles={"boss"})


class Order(BaseModel):
    case: str = ""


@functools.cache
def orders(url: str, address: Address) -> WorkflowGraph:
    """A workflow with a command of each kind of effect, and what undoes it."""

    def book(ctx: ToolContext[Order], what: str) -> str:
        ctx.session.execute(sa.insert(bookings).values(thread=ctx.data.case, what=what, amount="1"))
        return what

    def call(ctx: ToolContext[Order], tool: str) -> str:
        call_out(address, scope=ctx.data.case, tool=tool, key=ctx.idempotency_key)
        return tool

    @command("stock.free", effect="transactional")
    def free(ctx: ToolContext[Order], item: str) -> str:
        """Free what was held."""
        return book(ctx, f"free {item}")

    @command("stock.hold", effect="transactional", undo=free)
    def hold(ctx: ToolContext[Order], item: str) -> str:
        """Hold an item."""
        return book(ctx, f"hold {item}")

    @command("card.refund", effect="idempotent")
    def refund(ctx: ToolContext[Order], payment: str) -> str:
        """Pay back."""
        return call(ctx, f"refund {payment}")

    @command("card.charge", effect="idempotent", undo=Undo(refund, lambda done: {"payment": done.output}))
    def charge(ctx: ToolContext[Order]) -> str:
        """Charge the card."""
        return call(ctx, "charge")

    @command("parcel.recall", effect="at_most_once")
    def recall(ctx: ToolContext[Order]) -> str:
        """Call the parcel back."""
        return call(ctx, "recall")

    @command("parcel.send", effect="at_most_once", undo=recall)
    def send(ctx: ToolContext[Order]) -> str:
        """Send the parcel."""
        return call(ctx, "send")

    flow = Workflow("orders", data=Order)
    flow.add_state("open", tools=[hold, charge, send])
    flow.cancellable(role="boss")
    return flow.compile(SQLCheckpointer(url))


def begin(url: str, address: Address, case: str) -> None:
    """An order of which something was done in each way."""
    instances = orders(url, address).instances
    instances.start(principal=ANN, workflow_id=case, data={"case": case})
    calls: tuple[tuple[str, dict[str, str]], ...] = (
        ("stock.hold", {"item": "a"}),
        ("card.charge", {}),
        ("stock.hold", {"item": "b"}),
        ("parcel.send", {}),
    )
    for number, (tool, arguments) in enumerate(calls):
        assert instances.propose(case, tool, arguments, principal=ANN, key=f"k-{number}").ok


def cancel(url: str, address: Address, case: str) -> bool:
    """Cancel it."""
    return orders(url, address).instances.cancel(case, "It is not wanted any more.", by=BOSS).is_done


def count_points(url: str, address: Address, case: str) -> list[str]:
    """The fault points that an undisturbed cancel comes to."""
    begin(url, address, case)
    with injected() as reached:
        assert cancel(url, address, case)
    return reached.points


def recover(url: str, world: World, case: str) -> dict[str, Any]:
    """Go on with it until it is at its end, as a tick and a person do, and see what is left behind."""
    instances = orders(url, world.address).instances
    for turn in range(20):
        with contextlib.suppress(InterlockError):  # the lease of a process that was killed
            instances.cancel(case, "It is not wanted any more.", by=BOSS) if turn % 2 == 0 else instances.tick()
        found = instances.cancellation(case)
        if found is not None and found.is_done:
            return left_behind(url, world, case)
        if found is not None and found.unresolved:
            (key,) = found.unresolved
            happened = key in [called for _, called in world.calls(case)]
            instances.resolve(case, "happened" if happened else "retry", by=BOSS, output="recall" if happened else None)
    raise AssertionError(f"{case} does not come to its end")


def left_behind(url: str, world: World, case: str) -> dict[str, Any]:
    """What the cancel left behind, without ids and times."""
    graph = orders(url, world.address)
    instance = graph.instances.get(case)
    with graph.engine.store.read() as connection:

        def rows(*columns: Any) -> list[Any]:
            table = columns[0].table
            return sorted(
                tuple(row) for row in connection.execute(sa.select(*columns).where(table.c.workflow_id == case))
            )

        found = graph.instances.cancellation(case)
        assert found is not None
        return {
            "state": (instance.state, instance.finished, instance.revision, instance.running_key),
            "calls": [(call.tool, call.became, call.undone_by) for call in found.calls],
            "ledger": rows(ledger.c.tool, ledger.c.status),
            "row": rows(cancellations.c.status, cancellations.c.left_over),
            "outbox": rows(outbox.c.event_name),
            "booked": [
                *connection.scalars(
                    sa.select(bookings.c.what).where(bookings.c.thread == case).order_by(bookings.c.number)
                )
            ],
            "outside": [tool for tool, _ in dict.fromkeys(world.calls(case))],
            "records": [
                record.kind.value
                for record in graph.instances.audit(case)
                if record.kind.value in {"cancel", "cancelled", "transition", "not_undone"}
            ],
            "broken": graph.engine.store.verify(case),
        }


def test_a_cancel_that_is_killed_at_any_point_undoes_everything_once(prepared_url: str, outside: World) -> None:
    scope = f"cancel-{prepared_url[:6]}"
    with Child(count_points, prepared_url, outside.address, f"{scope}-points", preload=PRELOAD) as child:
        points = child.result()
    with Child(left_behind, prepared_url, outside, f"{scope}-points") as child:
        expected = child.result()
    assert expected["booked"] == ["hold a", "hold b", "free b", "free a"]
    assert expected["outside"] == ["charge", "send", "recall", "refund charge"]
    assert (expected["state"][:2], expected["broken"]) == (("cancelled", True), [])
    assert {became for _, became, _ in expected["calls"]} == {"undone"}
    for ordinal in range(1, len(points) + 1) if EVERY else one_of_each(points, 19):
        case = f"{scope}-{ordinal}"
        with Child(begin, prepared_url, outside.address, case) as child:
            child.result()
        with Child(cancel, prepared_url, outside.address, case, kill_at=(None, ordinal)) as child:
            assert child.ended() == -signal.SIGKILL, points[ordinal - 1]
        with Child(recover, prepared_url, outside, case) as child:
            assert child.result() == expected, f"killed at {ordinal}, {points[ordinal - 1]}"
        recalled = [key for tool, key in outside.calls(case) if tool == "recall"]
        assert len(recalled) == 1, f"killed at {ordinal}: {len(recalled)} recalls"


def test_two_who_cancel_at_once_and_a_tick_undo_everything_once(prepared_url: str, outside: World) -> None:
    names = itertools.count()
    for _ in range(3):
        case = f"race-{prepared_url[:6]}-{next(names)}"
        begin(prepared_url, outside.address, case)
        instances = orders(prepared_url, outside.address).instances
        works = [lambda: instances.cancel(case, "no", by=BOSS)] * 4 + [instances.tick] * 2  # noqa: B023
        _, errors = at_once(works)
        assert all(isinstance(error, InterlockError) for error in errors)
        left = recover(prepared_url, outside, case)
        assert left["booked"] == ["hold a", "hold b", "free b", "free a"]
        assert left["outside"] == ["charge", "send", "recall", "refund charge"]
        assert left["records"].count("cancelled") == left["records"].count("cancel") == 1


@pytest.mark.parametrize("tool", ["stock.hold", "card.charge"])
def test_a_cancel_that_races_a_command_undoes_it_or_keeps_it_out(tool: str, prepared_url: str, outside: World) -> None:
    instances = orders(prepared_url, outside.address).instances
    arguments = {"item": "c"} if tool == "stock.hold" else {}
    for number in range(3):
        case = f"command-{prepared_url[:6]}-{tool}-{number}"
        begin(prepared_url, outside.address, case)
        at_once(
            [
                lambda: instances.cancel(case, "no", by=BOSS),  # noqa: B023
                lambda: instances.propose(case, tool, arguments, principal=ANN, key="late"),  # noqa: B023
            ]
        )
        left = recover(prepared_url, outside, case)
        done = [call for call in left["calls"] if call[0] == tool]
        assert {became for _, became, _ in left["calls"]} == {"undone"}
        held = [what for what in left["booked"] if what.startswith("hold")]
        freed = [what for what in left["booked"] if what.startswith("free")]
        assert len(held) == len(freed)
        assert left["outside"].count("charge") == left["outside"].count("refund charge")
        assert len(done) in {1, 2, 3}
        assert left["broken"] == []
