"""An approval is used up by the command that it was given for: carried out or refused, once, and by whoever asked for it."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import Confirmation, ConflictError, TakeEdge, Workflow, command
from interlock.commands.approvals.binding import use
from interlock.commands.approvals.deadlines import take
from interlock.commands.running.driver import run
from interlock.testing import ScriptedChatModel, call
from interlock.tools import Refused
from tests.commands.approvals.support import (
    ADA,
    BEN,
    CAT,
    HOUR,
    RULE,
    Home,
    Shop,
    asked,
    kinds,
    pending,
    refund,
    said,
    status,
    thread,
)


def test_a_command_that_says_no_has_used_its_approval(home: Home) -> None:
    @command("order.refund", effect="transactional")
    def refused() -> str:
        """Refund an order."""
        raise Refused("it was refunded already")

    flow = Workflow("shop", model=ScriptedChatModel([call("order.refund")], forever="I see."))
    flow.add_state("open")
    flow.add_edge("open", refused, "open", approval=RULE)
    graph = home.compile(flow)
    (request,) = asked(graph.invoke(said(), thread(), context=ADA))
    graph.instances.decide(request["approvalId"], "approve", by=BEN)

    graph.invoke(None, thread(), context=ADA)

    assert status(graph, request["approvalId"]) == "used"


def test_only_one_of_two_concurrent_uses_of_an_approval_commits(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    approval_id = pending_after(graph)
    graph.instances.decide(approval_id, "approve", by=BEN)
    store = graph.engine.store
    workflow_id = graph.instances.id_of(thread())
    read = store.approval(approval_id)
    with store.write() as connection:
        unit = store.unit(connection, workflow_id)
        assert unit is not None
        use(unit, read)
        unit.flush()

    with store.write() as connection:
        unit = store.unit(connection, workflow_id)
        assert unit is not None
        with pytest.raises(ConflictError, match="used or changed elsewhere"):
            use(unit, read)

    assert status(graph, approval_id) == "used"


def test_a_deadline_that_two_processes_find_is_followed_and_recorded_once(shop: Shop, home: Home) -> None:
    rule = Confirmation(within="24h", on_expiry=TakeEdge("desk.park"))
    graph = home.compile(shop.workflow([refund()], approval=rule))
    approval_id = pending_after(graph)
    home.clock.advance(25 * HOUR)
    overdue = graph.engine.store.approval(approval_id)

    first, second = (run(graph.engine.store, take(graph.engine, overdue)) for _ in range(2))

    assert first is not None
    assert (first.outcome, second) == ("taken", None)
    assert shop.ran == ["park 1"]
    assert kinds(graph, thread()).count("void") == 1


@pytest.mark.parametrize("decided", [False, True])
def test_a_call_under_the_key_of_an_approval_of_somebody_else_is_denied(decided: bool, shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE, run_by="tenant"))
    approval_id = pending_after(graph)
    if decided:
        graph.instances.decide(approval_id, "approve", by=BEN)
    key = graph.engine.store.approval(approval_id).idempotency_key
    arguments: dict[str, Any] = {"orderId": "1", "amount": "5"}

    result = graph.instances.execute(thread(), "order.refund", arguments, idempotency_key=key, principal=CAT)

    assert result["error"]["code"] == "approval_required"
    assert "asked for by" in result["error"]["message"]
    assert shop.ran == []


def pending_after(graph: Any) -> str:
    graph.invoke(said(), thread(), context=ADA)
    return pending(graph, thread())
