"""A tool at most once per order, and only after another one on the same order: said on the edge, drawn, and known to claims."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import After, Approval, Principal, Workflow, command, read
from interlock.rules.claims import at_most, before, calls
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ClaimError, WorkflowDefinitionError
from tests.graphs.case_rules.support import WAYS, Place, codes, results


@command("order.cancel", effect="transactional")
def cancel(order_id: str) -> str:
    """Cancel an order."""
    return order_id


@command("order.change", effect="transactional")
def change(order_id: str, to: str = "blue") -> str:
    """Change an order."""
    return order_id


@command("order.voucher", effect="transactional")
def voucher(order_id: str, amount: int = 5) -> str:
    """Give a voucher for an order."""
    return order_id


@command("desk.close", effect="transactional", sensitive=["pin"])
def close(pin: str) -> str:
    """Close the desk."""
    return "closed"


@read("order.get")
def get_order(order_id: str) -> str:
    """Look up an order."""
    return order_id


def flow(model: ScriptedChatModel | None = None, **more: Any) -> Workflow:
    made = Workflow("order", model=model)
    made.add_state("open", tools=[get_order])
    made.add_state("closed", final=True)
    made.add_edge("open", cancel, "open", once_per="order_id")
    made.add_edge("open", change, "open")
    rule: dict[str, Any] = {"after": After(cancel, change, same="order_id"), "once_per": "order_id"}
    made.add_edge("open", voucher, "open", **(rule | more))
    made.add_edge("open", close, "closed", after=voucher)
    return made


STEPS: list[tuple[str, dict[str, Any], str]] = [
    ("order.voucher", {"orderId": "1"}, "guard_failed"),
    ("order.cancel", {"orderId": "1"}, "ok"),
    ("order.cancel", {"orderId": "1"}, "check_failed"),
    ("order.voucher", {"orderId": "2"}, "check_failed"),
    ("order.change", {"orderId": "2"}, "ok"),
    ("order.change", {"orderId": "2", "to": "red"}, "ok"),
    ("order.voucher", {"orderId": "2"}, "ok"),
    ("order.voucher", {"orderId": "2", "amount": 7}, "check_failed"),
    ("order.voucher", {"orderId": "1"}, "ok"),
    ("desk.close", {"pin": "1234"}, "ok"),
]


@pytest.mark.parametrize("way", WAYS)
def test_each_tool_in_its_order_and_once_for_each_order(way: str, file: Place) -> None:
    case = file.open(flow, [call(tool, **arguments) for tool, arguments, _ in STEPS], way=way)
    if way == "door":
        case.begin()
        found = []
        for number, (tool, arguments, _) in enumerate(STEPS):
            case = file.open(flow, [], way=way)  # each in a process of its own, as far as memory goes
            answer = case.propose(tool, f"k-{number}", **arguments)
            found.append("ok" if answer.ok else answer.error.code.value)
            case.engine.store.close()
    else:
        found = codes(case.say())
    assert found == [code for _, _, code in STEPS]


def test_the_order_of_tools_is_enforced_on_postgresql(home: Place) -> None:
    case = home.open(flow, [], way="door")
    case.begin()
    for number, (tool, arguments, expected) in enumerate(STEPS[:4]):
        answer = case.propose(tool, f"k-{number}", **arguments)
        assert ("ok" if answer.ok else answer.error.code.value) == expected
    assert (
        "order_cancel was carried out for orderId 1 already"
        in case.propose("order.cancel", "k-9", orderId="1").error.message
    )


def test_the_denial_says_what_comes_first(file: Place) -> None:
    case = file.open(
        flow,
        [call("order.voucher", orderId="1"), call("order.cancel", orderId="2"), call("order.voucher", orderId="1")],
    )
    said = [one.get("error", {}).get("message") for one in results(case.say())]
    assert "order_cancel or order_change comes first. Nothing was done" in said[0]
    assert "order_cancel or order_change comes first, with the same orderId" in said[2]
    assert case.allowed() == ["order.get", "order.cancel", "order.change", "order.voucher"]


def test_two_that_were_approved_for_one_order_are_carried_out_once(file: Place) -> None:
    def asking(model: ScriptedChatModel) -> Workflow:
        return flow(model, approval=Approval(role="boss"))

    case = file.open(asking, [], way="door")
    case.begin()
    assert case.propose("order.cancel", "c", orderId="1").ok
    first, second = (case.propose("order.voucher", key, orderId="1").pending.proposal_id for key in ("a", "b"))
    for one in (first, second):
        case.instances.decide(one, "approve", by=Principal("boss", roles=frozenset({"boss"})))
    answers = [case.instances.proposal(one) for one in (first, second)]
    assert [one.ok for one in answers] == [True, False]
    assert answers[1].error.code == "check_failed"


def test_it_is_read_off_the_picture_the_review_and_the_explanation(file: Place) -> None:
    drawn = flow().to_mermaid()
    assert "once per order_id" in drawn
    assert "after order.cancel or order.change with the same order_id" in drawn
    case = file.open(flow, [], way="door")
    case.begin()
    explained = str(case.instances.explain(case.id))
    assert "after order.cancel or order.change" in explained
    assert flow().definition().fingerprint != flow(after=None).definition().fingerprint


def test_claims_know_what_comes_after_what() -> None:
    flow().claims(before(voucher, calls(cancel, change))).compile()
    flow().claims(before(close, voucher)).compile()
    with pytest.raises(ClaimError):
        flow(after=None).claims(before(close, cancel)).compile()
    with pytest.raises(ClaimError):
        flow().claims(at_most(voucher, 1)).compile()  # once per order is not once


def test_orders_that_cannot_be_kept_are_refused_where_they_are_written() -> None:
    for more, said in (
        ({"after": get_order}, "is a read and not in the ledger"),
        ({"after": After(cancel, same="item_id")}, "takes orderId"),
        ({"after": After(close, same="pin")}, "which is sensitive|takes orderId"),
        ({"after": "order.cancel"}, "give a tool, or After"),
        ({"after": After()}, "give a tool, or After"),
        ({"once_per": "item_id"}, "takes orderId, amount"),
    ):
        with pytest.raises(WorkflowDefinitionError, match=said):
            flow(**more).compile()
    made = Workflow("lost")
    made.add_state("open").add_edge("open", voucher, "open", after=cancel)
    with pytest.raises(WorkflowDefinitionError, match="no edge of the workflow carries"):
        made.compile()
