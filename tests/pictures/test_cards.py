"""An approval as a card: functions that decide, a widget that only calls them, text and a picture where there are no widgets."""

import sys
import xml.etree.ElementTree as ET
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Approval, Principal, Workflow, WorkflowGraph, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ConflictError, PrincipalError

ANN, BOB = Principal("ann"), Principal("bob", roles=frozenset({"lead"}))
CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Refund(BaseModel):
    amount: Decimal


@command("order.refund", effect="transactional")
def refund(order_id: str, amount: Decimal) -> Refund:
    """Refund an order."""
    return Refund(amount=amount)


def asked() -> tuple[WorkflowGraph, str]:
    model = ScriptedChatModel(forever=lambda messages, offered: call("order.refund", orderId="1", amount="5"))
    workflow = Workflow("desk", model=model)
    workflow.add_state("open")
    workflow.add_state("closed", final=True)
    workflow.add_edge("open", refund, "closed", approval=Approval(role="lead", edit=frozenset({"amount"})))
    graph = workflow.compile()
    out = graph.invoke({"messages": [("user", "x")]}, CONFIG, context=ANN)
    return graph, out["__interrupt__"][0].value["approvalId"]


def status(graph: WorkflowGraph, approval_id: str) -> Any:
    return graph.instances.approval(approval_id)["status"]


def test_approving_on_a_card_decides_and_runs_the_thread_on() -> None:
    graph, approval_id = asked()
    card = graph.instances.card(approval_id, by=BOB)

    assert card.approve() == "order.refund was approved by bob, and ran"

    assert graph.instances.get(CONFIG).state == "closed"
    assert card.output is not None


def test_editing_changes_only_what_is_named() -> None:
    graph, approval_id = asked()

    graph.instances.card(approval_id, by=BOB).edit(amount="4")

    last: Any = graph.instances.get(CONFIG).last_result
    assert last["output"] == {"amount": "4"}


def test_a_card_can_decide_without_running_on() -> None:
    graph, approval_id = asked()

    graph.instances.card(approval_id, by=BOB, resume=False).reject("too much")

    assert status(graph, approval_id) == "rejected"
    assert graph.instances.get(CONFIG).state == "open"


def test_who_may_not_decide_is_told_so_and_the_approval_still_waits() -> None:
    graph, approval_id = asked()
    card = graph.instances.card(approval_id, by=ANN)

    with pytest.raises(PrincipalError):
        card.approve()

    assert status(graph, approval_id) == "requested"
    assert "nobody approves their own request" in card.answer({"do": "approve"})


def test_showing_a_card_decides_nothing() -> None:
    graph, approval_id = asked()
    card = graph.instances.card(approval_id, by=BOB)

    for _ in range(3):
        card._repr_mimebundle_()
        str(card)

    assert status(graph, approval_id) == "requested"


def test_a_click_calls_the_cards_function_and_says_what_came_of_it() -> None:
    graph, approval_id = asked()
    card = graph.instances.card(approval_id, by=BOB)
    data, _ = card._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    widget = card._widget

    widget.clicked = {"do": "edit", "arguments": "no json", "at": 1}
    assert "not a JSON object" in widget.outcome
    assert status(graph, approval_id) == "requested"
    widget.clicked = {"do": "edit", "arguments": '{"orderId": "2"}', "at": 2}
    assert "may not be edited" in widget.outcome
    assert widget.waiting
    widget.clicked = {"do": "edit", "arguments": '{"amount": "3"}', "at": 3}

    assert widget.outcome == "order.refund was edited by bob, and ran"
    assert not widget.waiting


def test_a_click_on_what_somebody_else_decided_says_so() -> None:
    graph, approval_id = asked()
    card = graph.instances.card(approval_id, by=BOB)
    card._repr_mimebundle_()
    graph.instances.decide(approval_id, "reject", by=BOB)

    card._widget.clicked = {"do": "approve", "at": 1}

    assert "already rejected" in card._widget.outcome
    with pytest.raises(ConflictError):
        card.approve()


def test_without_widgets_a_card_is_a_picture_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, approval_id = asked()
    monkeypatch.setitem(sys.modules, "interlock.pictures.card_widget", None)

    bundle: Any = graph.instances.card(approval_id, by=BOB)._repr_mimebundle_()

    assert set(bundle) == {"image/svg+xml", "text/plain"}
    ET.fromstring(bundle["image/svg+xml"])
    assert "card.approve()" in bundle["text/plain"]
    assert "amount: 5" in bundle["text/plain"]
