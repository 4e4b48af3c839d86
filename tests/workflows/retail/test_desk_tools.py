"""The desk's sixteen contracts: what they take, whom they serve, what their checks stop and their previews show."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy.orm import Session

from interlock.tools.context import ToolContext
from interlock.tools.contracts import ToolContract
from interlock.tools.errors import InvalidArguments, Refused
from interlock.tools.kinds import Effect, ToolKind
from interlock.workflows.retail import tools
from interlock.workflows.retail.shop import read_shop
from interlock.workflows.retail.tools import BY_TAU2_NAME, DeskData
from tests.tools.support import context
from tests.workflows.retail import tau2

Contract = ToolContract[..., Any]
COMMANDS = [contract for contract in BY_TAU2_NAME.values() if contract.kind is ToolKind.COMMAND]


def in_transaction(session: Session, contract: Contract, customer_id: str | None) -> ToolContext[DeskData]:
    return context(contract.kind, state="serving", data=DeskData(customer_id=customer_id), session=session)


class Desk:
    """The contracts as a runtime calls them, without one."""

    def __init__(self, session: Session, customer_id: str | None) -> None:
        self.session = session
        self.customer_id = customer_id
        self.emitted: list[Any] = []

    def _asked(self, contract: Contract, arguments: dict[str, Any]) -> tuple[BaseModel, ToolContext[DeskData]]:
        return contract.parse(arguments), in_transaction(self.session, contract, self.customer_id)

    def why_not(self, contract: Contract, **arguments: Any) -> str | None:
        try:
            return contract.failed_check(*self._asked(contract, arguments))
        except Refused as refused:
            return refused.message

    def preview(self, contract: Contract, **arguments: Any) -> Any:
        return contract.show_preview(*self._asked(contract, arguments))

    def call(self, contract: Contract, **arguments: Any) -> Any:
        parsed, ctx = self._asked(contract, arguments)
        output = contract.call(parsed, ctx)
        self.customer_id = ctx.data.customer_id
        self.emitted += ctx.emitted
        return contract.dump_output(output)


@pytest.fixture
def desk(session: Session) -> Desk:
    return Desk(session, "tove_marklund")


SAMPLE_CALLS: dict[str, dict[str, Any]] = {
    "order.cancel": {"order_id": "#W1001", "reason": "no longer needed"},
    "order.change_address": {
        "order_id": "#W1001",
        "address1": "1 Harbour Row",
        "address2": "",
        "city": "Portsmere",
        "state": "ME",
        "country": "USA",
        "zip": "04101",
    },
    "order.change_payment": {"order_id": "#W1001", "payment_method_id": "gift_tove"},
    "order.change_items": {
        "order_id": "#W1001",
        "item_ids": ["I1001"],
        "new_item_ids": ["I1003"],
        "payment_method_id": "card_tove",
    },
    "order.return_items": {"order_id": "#W1002", "item_ids": ["I6002"], "payment_method_id": "gift_tove"},
    "order.exchange_items": {
        "order_id": "#W1002",
        "item_ids": ["I4002"],
        "new_item_ids": ["I4004"],
        "payment_method_id": "card_tove",
    },
    "customer.change_address": {
        "user_id": "tove_marklund",
        "address1": "1 Harbour Row",
        "address2": "",
        "city": "Portsmere",
        "state": "ME",
        "country": "USA",
        "zip": "04101",
    },
}
EMITTED = {
    "order.cancel": "order.cancelled.v1",
    "order.change_address": "order.address_changed.v1",
    "order.change_payment": "order.payment_changed.v1",
    "order.change_items": "order.items_changed.v1",
    "order.return_items": "order.return_requested.v1",
    "order.exchange_items": "order.exchange_requested.v1",
    "customer.change_address": "customer.address_changed.v1",
}


def named(contract: Contract) -> str:
    return contract.name


def test_there_are_sixteen_tools_of_distinct_names() -> None:
    assert len(BY_TAU2_NAME) == 16
    assert len({contract.name for contract in BY_TAU2_NAME.values()}) == 16
    assert len({contract.wire_name for contract in BY_TAU2_NAME.values()}) == 16
    assert {contract.name for contract in COMMANDS} == set(SAMPLE_CALLS)


@tau2.needs_tau2
def test_they_take_what_the_benchmarks_tools_take() -> None:
    theirs = {tool["name"]: tool for tool in json.loads((tau2.FOLDER / "tools.json").read_bytes())}
    assert theirs.keys() == BY_TAU2_NAME.keys()
    for name, contract in BY_TAU2_NAME.items():
        assert set(contract.input_model.model_fields) == set(theirs[name]["parameters"]), name
        assert (contract.kind is ToolKind.COMMAND) == theirs[name]["writes"], name
    for task in tau2.tasks():
        for call in task["calls"]:
            BY_TAU2_NAME[call["name"]].parse(call["arguments"])


@pytest.mark.parametrize("contract", COMMANDS, ids=named)
def test_a_command_is_carried_out_told_and_then_stopped_by_its_check(contract: Contract, desk: Desk) -> None:
    arguments = SAMPLE_CALLS[contract.name]
    assert contract.effect is Effect.TRANSACTIONAL
    assert desk.why_not(contract, **arguments) is None

    output = desk.call(contract, **arguments)

    assert output["userId"] == "tove_marklund"
    assert [type(told).name_on_wire for told in desk.emitted] == [EMITTED[contract.name]]
    if not contract.name.endswith("change_address"):
        assert desk.why_not(contract, **arguments) is not None


@pytest.mark.parametrize("customer_id", [None, "idris_balogun"])
@pytest.mark.parametrize("contract", COMMANDS, ids=named)
def test_a_command_is_for_the_identified_customer_alone(
    contract: Contract, customer_id: str | None, session: Session
) -> None:
    desk, before = Desk(session, customer_id), read_shop(session)
    arguments = SAMPLE_CALLS[contract.name]

    reason = desk.why_not(contract, **arguments)

    assert reason is not None
    assert ("not identified" if customer_id is None else "not found") in reason
    with pytest.raises(Refused):
        desk.call(contract, **arguments)
    assert read_shop(session) == before


@pytest.mark.parametrize("contract", COMMANDS, ids=named)
def test_a_preview_says_what_the_command_then_does(contract: Contract, desk: Desk, session: Session) -> None:
    arguments = SAMPLE_CALLS[contract.name]
    before = read_shop(session)

    shown = desk.preview(contract, **arguments)

    assert read_shop(session) == before
    output = desk.call(contract, **arguments)
    for field, change in shown["changes"].items():
        if isinstance(change, list):
            assert all((entry.get("to") or entry["added"]) in output[field] for entry in change)
        else:
            assert change["to"] == output[field]
            assert change["from"] != change["to"]


def test_a_preview_of_other_items_shows_these_and_the_money(desk: Desk) -> None:
    shown = desk.preview(tools.change_order_items, **SAMPLE_CALLS["order.change_items"])

    assert shown["orderId"] == "#W1001"
    assert shown["changes"].keys() == {"items", "status", "paymentHistory"}
    assert shown["changes"]["items"] == [
        {
            "from": {
                "name": "Teapot",
                "productId": "P10",
                "itemId": "I1001",
                "price": 34.5,
                "options": {"colour": "slate", "volume": "0.7 l", "strainer": "steel"},
            },
            "to": {
                "name": "Teapot",
                "productId": "P10",
                "itemId": "I1003",
                "price": 41.9,
                "options": {"colour": "slate", "volume": "1.2 l", "strainer": "steel"},
            },
        }
    ]
    assert shown["changes"]["paymentHistory"] == [
        {"added": {"transactionType": "payment", "amount": 7.4, "paymentMethodId": "card_tove"}}
    ]


def test_another_change_to_the_same_gift_card_leaves_what_is_shown_alone(session: Session) -> None:
    """Two confirmations of one conversation are asked for at once: carrying out the first must not void the second."""
    desk = Desk(session, "mei_castellano")
    cancel = {"order_id": "#W1006", "reason": "no longer needed"}
    exchange = {
        "order_id": "#W1007",
        "item_ids": ["I1002"],
        "new_item_ids": ["I1003"],
        "payment_method_id": "gift_mei",
    }
    before = desk.preview(tools.exchange_order_items, **exchange)

    desk.call(tools.cancel_order, **cancel)

    assert desk.preview(tools.exchange_order_items, **exchange) == before


def test_finding_the_customer_makes_the_desk_serve_that_one_alone(session: Session) -> None:
    desk = Desk(session, None)
    with pytest.raises(Refused, match="not identified"):
        desk.call(tools.get_order, order_id="#W1001")

    assert desk.call(tools.find_customer_by_email, email="Idris@example.net") == {"userId": "idris_balogun"}

    assert desk.customer_id == "idris_balogun"
    assert desk.call(tools.find_customer_by_name, first_name="Idris", last_name="Balogun", zip="05099")
    with pytest.raises(Refused, match="serves another customer"):
        desk.call(tools.find_customer_by_email, email="samira@example.com")
    assert desk.customer_id == "idris_balogun"
    assert desk.call(tools.get_customer, user_id="idris_balogun")["orders"] == ["#W1004", "#W1005", "#W1012"]
    assert desk.call(tools.get_order, order_id="#W1004")["status"] == "pending"
    for contract, arguments in (
        (tools.get_customer, {"user_id": "tove_marklund"}),
        (tools.get_order, {"order_id": "#W1001"}),
    ):
        with pytest.raises(Refused, match="not found"):
            desk.call(contract, **arguments)


def test_the_catalogue_and_the_calculator_are_open(desk: Desk) -> None:
    products = desk.call(tools.list_products)
    assert list(products) == sorted(products)
    assert desk.call(tools.get_product, product_id=products["Teapot"])["variants"]["I1004"]["available"] is False
    assert desk.call(tools.get_item, item_id="I1003")["price"] == 41.9
    assert desk.call(tools.calculate, expression="41.90 - 34.50") == 7.4
    assert tools.calculate("1 / 8") == Decimal("0.12")


def test_handing_over_states_who_and_why(desk: Desk) -> None:
    stated = desk.call(tools.hand_over, summary="wants to order anew")

    assert stated == {"userId": "tove_marklund", "summary": "wants to order anew"}


def test_only_the_two_reasons_of_the_policy_are_arguments_at_all(desk: Desk) -> None:
    with pytest.raises(InvalidArguments, match="reason"):
        desk.call(tools.cancel_order, order_id="#W1001", reason="too expensive")


def test_an_output_says_nothing_of_what_never_happened(desk: Desk) -> None:
    output = desk.call(tools.get_order, order_id="#W1001")

    assert None not in output.values()
    assert "cancelReason" not in output
    fields = tools.get_order.output_schema()["properties"]
    assert isinstance(fields, dict)
    assert {"items", "cancelReason"} <= fields.keys()


def test_a_flood_of_items_is_refused_before_anything_is_looked_up(desk: Desk) -> None:
    with pytest.raises(InvalidArguments, match="itemIds"):
        desk.why_not(
            tools.return_order_items, order_id="#W1002", item_ids=["I6002"] * 101, payment_method_id="gift_tove"
        )
