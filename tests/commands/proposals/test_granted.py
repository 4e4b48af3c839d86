"""What was granted and not carried out is taken up by the next tick: fairly, side by side, once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from interlock import Approval, Pending, TakeEdge, Workflow, command
from interlock.operations import Instances
from interlock.testing import call
from interlock.tools.errors import ConflictError, OutcomeUnknown
from tests.commands.approvals.support import ADA, BEN, HOUR, RULE, Home, Shop, pending, said, thread
from tests.commands.proposals.support import CASE, Door, code, door

HOWS = pytest.mark.parametrize("how", ["sync", "async"])


def grant(desk: Door, *keys: str) -> list[str]:
    """Ask for a refund under each of these keys, and let a supervisor agree to all of them."""
    waiting = [desk.asked(key=key, amount=str(number)).pending.proposal_id for number, key in enumerate(keys, 1)]
    for approval_id in waiting:
        desk.graph.instances.decide(approval_id, "approve", by=BEN)
    return waiting


@HOWS
def test_the_tick_carries_out_what_was_granted_once(home: Home, shop: Shop, how: str) -> None:
    desk = door(home, shop, how=how)
    granted = grant(desk, "a", "b", "c")
    ticked = desk.tick()
    assert sorted(ticked.carried_out) == sorted(granted)
    assert ticked.failed == []
    assert desk.tick().carried_out == []
    assert sorted(shop.ran) == ["refund 1 1", "refund 1 2", "refund 1 3"]
    assert {code(desk.refund(key=key, amount=str(number))) for number, key in enumerate("abc", 1)} == {"ok"}


def test_many_ticks_at_once_carry_each_out_once(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    granted = grant(desk, *"abcdef")
    gate = threading.Barrier(4)

    def tick() -> Any:
        gate.wait(30)
        return desk.graph.instances.tick()

    with ThreadPoolExecutor(4) as pool:
        ticks = [one.result() for one in [pool.submit(tick) for _ in range(4)]]
    desk.tick()
    assert sorted(shop.ran) == [f"refund 1 {number}" for number in range(1, 7)]
    assert {
        one for ticked in ticks for one in (*ticked.carried_out, *(failure.id for failure in ticked.failed))
    } >= set(granted)
    assert desk.kinds.count("transition") == 6


@HOWS
def test_one_that_fails_does_not_hold_up_those_behind_it_and_says_why(home: Home, shop: Shop, how: str) -> None:
    @command("card.charge", effect="at_most_once")
    def charge(number: int) -> int:
        """Charge a card."""
        raise TimeoutError("no answer")

    flow = shop.workflow([], approval=RULE)
    flow.add_edge("open", charge, "open", approval=RULE)
    broken, whole = Door(home.compile(flow), how), Door(home.compile(flow), how, case="case-2")
    broken.start()
    whole.start()
    charged = broken.propose("card.charge", key="x", number=1)
    assert isinstance(charged, Pending)
    broken.graph.instances.decide(charged.pending.proposal_id, "approve", by=BEN)
    (behind,) = grant(whole, "a")

    ticked = broken.tick()

    assert ticked.carried_out == [behind]
    (failed,) = ticked.failed
    assert (failed.id, type(failed.error)) == (charged.pending.proposal_id, OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        broken.proposal(charged)
    broken.graph.instances.resolve(CASE, "happened", output=1, by=BEN)
    assert code(broken.proposal(charged)) == "ok"
    assert broken.tick().failed == []


def test_a_slow_one_does_not_hold_up_those_behind_it(home: Home, shop: Shop) -> None:
    went_on = threading.Event()

    @command("note.slow", effect="idempotent")
    def slow() -> bool:
        """Take a long time."""
        return went_on.wait(30)

    @command("note.fast", effect="idempotent")
    def fast() -> bool:
        """Take no time."""
        went_on.set()
        return True

    flow = Workflow("notes").add_state("open")
    for tool in (slow, fast):
        flow.add_edge("open", tool, "open", approval=RULE)
    graph = home.compile(flow)
    for case, tool in (("case-1", slow), ("case-2", fast)):
        desk = Door(graph, case=case)
        desk.start()
        asked = desk.propose(tool.name, key="k")
        assert isinstance(asked, Pending)
        graph.instances.decide(asked.pending.proposal_id, "approve", by=BEN)

    graph.instances.tick()

    results = [graph.instances.get(case).last_result for case in ("case-1", "case-2")]
    assert [None if one is None else one["output"] for one in results] == [True, True]


def test_a_granted_proposal_that_became_void_is_answered_once(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    (granted,) = grant(desk, "a")
    desk.propose("desk.park", key="p", orderId="1")
    assert desk.tick().carried_out == [granted]
    assert desk.tick().carried_out == []
    assert code(desk.proposal(granted)) == "approval_void"
    assert shop.ran == ["park 1"]


def test_the_tick_takes_another_edge_where_nobody_decided(home: Home, shop: Shop) -> None:
    desk = door(home, shop, approval=Approval(role="supervisor", within="1h", on_expiry=TakeEdge("desk.park")))
    asked = desk.asked()
    home.clock.advance(2 * HOUR)
    assert code(desk.proposal(asked)) == "approval_expired"
    assert shop.ran == ["park 1"]


def test_a_threads_proposal_is_executed_only_by_its_graph(home: Home, shop: Shop) -> None:
    graph = home.compile(shop.workflow([call("order.refund", orderId="1", amount="5")], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    instances: Instances = graph.instances
    approval_id = pending(graph, thread())
    waiting = instances.proposal(approval_id, by=ADA)
    assert isinstance(waiting, Pending)
    assert waiting.pending.proposal_id == approval_id
    instances.decide(approval_id, "approve", by=BEN)
    with pytest.raises(ConflictError, match="its graph executes it"):
        instances.proposal(approval_id, by=ADA)
    assert approval_id not in instances.tick(resume=False).carried_out
    assert shop.ran == []
    instances.resume(thread())
    assert code(instances.proposal(approval_id, by=ADA)) == "ok"
    assert shop.ran == ["refund 1 5"]
