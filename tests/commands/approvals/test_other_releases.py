"""Requests that a later release finds without their tool: they can be answered, and an edit of the call is refused."""

from __future__ import annotations

import pytest

from interlock import Workflow
from interlock.testing import ScriptedChatModel
from interlock.tools import InvalidResume
from tests.commands.approvals.support import ADA, BEN, RULE, Home, Shop, ShopData, pending, refund, said, status, thread


def later_release(shop: Shop) -> Workflow:
    """The desk without refunds."""
    flow = Workflow(
        "shop",
        model=ScriptedChatModel([], forever="Refunds are gone."),
        data=ShopData,
        version=2,
        state_mapping={"open": "open"},
    )
    flow.add_state("open", tools=[shop.get_order]).add_state("closed", final=True)
    return flow.add_edge("open", shop.close, "closed")


def test_an_edit_of_a_tool_that_is_gone_is_refused_and_the_request_still_waits(shop: Shop, home: Home) -> None:
    before = home.compile(shop.workflow([refund()], approval=RULE))
    before.invoke(said(), thread(), context=ADA)
    approval_id = pending(before, thread())
    graph = home.compile(later_release(shop))
    edit = {"type": "edit", "args": {"orderId": "2", "amount": "5"}}
    with pytest.raises(InvalidResume, match=r"no tool order\.refund any more"):
        graph.instances.decide(approval_id, edit, by=BEN)
    assert status(graph, approval_id) == "requested"
    graph.instances.decide(approval_id, "reject", by=BEN)
    assert status(graph, approval_id) == "rejected"
