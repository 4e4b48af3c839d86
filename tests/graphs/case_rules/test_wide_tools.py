"""Checks and previews of wide tools take what the tool takes, without naming it again, and share what they computed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Approval, GuardView, Principal, ToolContext, Workflow, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ContractError
from tests.graphs.case_rules.support import Place, codes

asked: list[str] = []


class Address(BaseModel):
    street: str
    city: str
    country: str = "FR"


class Move(Address):
    order_id: str


def in_france(move: Move, view: GuardView) -> bool:
    """The shop sends to France"""
    return move.country == "FR" and view.state == "open"


def where_to(to: Address) -> dict[str, str]:
    return to.model_dump()


@command("order.move", effect="transactional", input_model=Move, check=in_france, preview=where_to)
def move_order(move: Move) -> str:
    """Send an order to another address."""
    return f"{move.order_id} to {move.city}"


def priced(ctx: ToolContext, **arguments: Any) -> bool:
    return ctx.once("price", lambda: price(**arguments)) < 100


def shown(ctx: ToolContext, **arguments: Any) -> dict[str, Any]:
    return {"price": ctx.once("price", lambda: price(**arguments)), **arguments}


def price(weight: int, **_: Any) -> int:
    asked.append(f"{weight} kg")
    return weight * 10


@command("order.send", effect="transactional", check=priced, preview=shown)
def send(order_id: str, weight: int, carrier: str, ctx: ToolContext, note: str = "") -> int:
    """Send an order."""
    return ctx.once("price", lambda: price(weight))


def unasked(model: ScriptedChatModel) -> Workflow:
    made = Workflow("wide", model=model)
    made.add_state("open").add_edge("open", send, "open")
    return made


def flow(model: ScriptedChatModel) -> Workflow:
    made = Workflow("wide", model=model)
    made.add_state("open")
    made.add_edge("open", move_order, "open", approval=Approval(when=lambda move: move.city == "Nice"))
    made.add_edge("open", send, "open", approval=True)
    return made


def test_a_check_a_preview_and_a_condition_take_the_input_model_of_the_tool(file: Place) -> None:
    steps = [
        call("order.move", orderId="1", street="a", city="Lyon"),
        call("order.move", orderId="1", street="a", city="Rome", country="IT"),
        call("order.move", orderId="1", street="a", city="Nice"),
    ]
    case = file.open(flow, steps)
    assert codes(case.say()) == ["ok", "check_failed"]
    assert case.waiting()[0].shown["preview"] == {
        "order_id": "1",
        "street": "a",
        "city": "Nice",
        "country": "FR",
    }


def test_a_computed_value_is_shared_by_the_rules_and_the_tool_of_one_transaction(file: Place) -> None:
    asked.clear()
    case = file.open(unasked, [call("order.send", orderId="1", weight=2, carrier="x")])
    assert case.say()["last_result"]["output"] == 20
    assert asked == ["2 kg"]
    again = file.open(flow, [call("order.send", orderId="1", weight=7, carrier="x")])
    again.thread = "t-2"
    again.say()
    assert asked == ["2 kg", "7 kg"]
    (request,) = again.waiting()
    assert request.shown["preview"] == {"price": 70, "order_id": "1", "weight": 7, "carrier": "x", "note": ""}
    edited = {"type": "edit", "args": {"orderId": "1", "weight": 8, "carrier": "x", "note": ""}}
    again.instances.decide(request.approval_id, edited, by=Principal("boss"))
    again.instances.resume(again.config)
    assert asked == ["2 kg", "7 kg", "8 kg", "8 kg"]


def test_a_function_that_asks_for_what_the_tool_does_not_take_is_still_refused() -> None:
    for function in (lambda *arguments: True, lambda other: True, lambda other, /: True):
        with pytest.raises(ContractError):
            command("order.none", effect="transactional", check=function)(_none)


def _none(order_id: str) -> str:
    """Do nothing."""
    return order_id
