"""What the shop's rules allow and refuse, and what becomes of an order: on the sample shop."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from interlock.tools.errors import Refused
from interlock.workflows.retail import lookups, operations
from interlock.workflows.retail.shop import Address, GiftCard, Order, load, read_order, read_shop, read_user
from interlock.workflows.retail.shop.tables import orders

HARBOUR = Address(address1="1 Harbour Row", address2="", city="Portsmere", country="USA", state="ME", zip="04101")


def order(session: Session, order_id: str) -> Order:
    found = read_order(session, order_id)
    assert found is not None
    return found


def balance(session: Session, user_id: str, card_id: str) -> Decimal:
    user = read_user(session, user_id)
    assert user is not None
    card = user.payment_methods[card_id]
    assert isinstance(card, GiftCard)
    return card.balance


def rows(found: Order) -> list[tuple[str, str, str]]:
    return [(row.transaction_type, str(row.amount), row.payment_method_id) for row in found.payment_history]


def in_status(session: Session, order_id: str, status: str) -> None:
    session.execute(update(orders).where(orders.c.order_id == order_id).values(status=status))


def test_a_cancelled_order_is_refunded_to_its_gift_card_at_once(session: Session) -> None:
    operations.cancel_order(session, "#W1006", "no longer needed")

    cancelled = order(session, "#W1006")
    assert cancelled.status == "cancelled"
    assert cancelled.cancel_reason == "no longer needed"
    assert rows(cancelled) == [("payment", "118.00", "gift_mei"), ("refund", "118.00", "gift_mei")]
    assert balance(session, "mei_castellano", "gift_mei") == Decimal("368.00")


def test_what_was_already_given_back_is_not_refunded_again(session: Session) -> None:
    operations.modify_order_payment(session, "#W1006", "paypal_mei")
    operations.cancel_order(session, "#W1006", "ordered by mistake")

    assert rows(order(session, "#W1006")) == [
        ("payment", "118.00", "gift_mei"),
        ("payment", "118.00", "paypal_mei"),
        ("refund", "118.00", "gift_mei"),
        ("refund", "118.00", "paypal_mei"),
    ]
    assert balance(session, "mei_castellano", "gift_mei") == Decimal("368.00")


def test_a_payment_moves_to_a_gift_card_that_covers_it(session: Session) -> None:
    operations.modify_order_payment(session, "#W1001", "gift_tove")

    assert rows(order(session, "#W1001")) == [
        ("payment", "50.10", "card_tove"),
        ("payment", "50.10", "gift_tove"),
        ("refund", "50.10", "card_tove"),
    ]
    assert order(session, "#W1001").status == "pending"
    assert balance(session, "tove_marklund", "gift_tove") == Decimal("9.90")


def test_copies_of_an_item_are_modified_one_by_one(session: Session) -> None:
    operations.modify_order_items(session, "#W1001", ["I5001", "I5001"], ["I5002", "I5003"], "gift_tove")

    modified = order(session, "#W1001")
    assert [(item.item_id, str(item.price)) for item in modified.items] == [
        ("I1001", "34.50"),
        ("I5002", "7.80"),
        ("I5003", "11.40"),
    ]
    assert [item.options["ruling"] for item in modified.items[1:]] == ["plain", "dotted"]
    assert modified.status == "pending (item modified)"
    assert rows(modified)[-1] == ("payment", "3.60", "gift_tove")
    assert balance(session, "tove_marklund", "gift_tove") == Decimal("56.40")


def test_an_item_does_not_become_another_one_on_its_way(session: Session) -> None:
    """The pair (I5001, I5002) must not make an I5002 that the pair (I5002, …) then takes for one that was ordered."""
    reason = operations.modify_order_items.check(session, "#W1001", ["I5001", "I5002"], ["I5002", "I5003"], "card_tove")

    assert reason is not None
    assert "has 0 of item I5002" in reason


def test_a_cheaper_item_is_refunded(session: Session) -> None:
    operations.modify_order_items(session, "#W1004", ["I3001"], ["I3002"], "paypal_idris")
    operations.modify_order_items(session, "#W1008", ["I4003", "I8003"], ["I4004", "I8001"], "card_jonas")

    assert rows(order(session, "#W1004"))[-1] == ("refund", "0.00", "paypal_idris"), (
        "no difference is a refund of nothing"
    )
    assert rows(order(session, "#W1008"))[-1] == ("refund", "7.00", "card_jonas")


def test_a_return_keeps_what_is_asked_for_in_order(session: Session) -> None:
    operations.return_order_items(session, "#W1007", ["I7002", "I1002"], "gift_mei")

    returned = order(session, "#W1007")
    assert returned.status == "return requested"
    assert returned.return_items == ("I1002", "I7002")
    assert returned.return_payment_method_id == "gift_mei"
    assert balance(session, "mei_castellano", "gift_mei") == Decimal("250.00"), "refunded when the items come back"


def test_an_exchange_keeps_items_and_price_difference(session: Session) -> None:
    operations.exchange_order_items(session, "#W1007", ["I7002", "I1002"], ["I7001", "I1003"], "gift_mei")

    exchanged = order(session, "#W1007")
    assert exchanged.status == "exchange requested"
    assert exchanged.exchange_items == ("I1002", "I7002")
    assert exchanged.exchange_new_items == ("I1003", "I7001")
    assert exchanged.exchange_price_difference == Decimal("-5.60")
    assert exchanged.items == order(session, "#W1007").items
    assert balance(session, "mei_castellano", "gift_mei") == Decimal("250.00")


def test_addresses_change_as_often_as_the_customer_likes(session: Session) -> None:
    for street in ("1 Harbour Row", "2 Harbour Row"):
        address = HARBOUR.model_copy(update={"address1": street})
        operations.modify_order_address(session, "#W1001", address)
        operations.modify_user_address(session, "tove_marklund", address)

    user = read_user(session, "tove_marklund")
    assert user is not None
    assert user.address.address1 == order(session, "#W1001").address.address1 == "2 Harbour Row"
    assert order(session, "#W1002").address.address1 == "12 Ferry Lane", "orders keep their own addresses"


REFUSED: list[tuple[str, tuple[Any, ...], str, str]] = [
    ("cancel_order", ("#W9999", "no longer needed"), "order_not_found", "not an order of the customer's"),
    ("cancel_order", ("#w1001", "no longer needed"), "order_not_found", "not an order of the customer's"),
    ("cancel_order", ("#W1001 ", "no longer needed"), "order_not_found", "not an order of the customer's"),
    ("cancel_order", ("#W1001\0", "no longer needed"), "order_not_found", "not an order of the customer's"),
    ("cancel_order", ("#W1001\ud800", "no longer needed"), "order_not_found", "not an order of the customer's"),
    ("cancel_order", ("#W1001", "too expensive"), "cancel_reason", "'ordered by mistake'"),
    ("cancel_order", ("#W1003", "no longer needed"), "order_status", "is 'processed'"),
    ("cancel_order", ("#W1011", "no longer needed"), "order_status", "is 'cancelled'"),
    ("cancel_order", ("#W1012", "no longer needed"), "order_status", "items were modified"),
    ("modify_order_address", ("#W1012", HARBOUR), "order_status", "items were modified"),
    ("modify_order_address", ("#W1002", HARBOUR), "order_status", "is 'delivered'"),
    ("modify_order_address", ("#W1001", HARBOUR.model_copy(update={"city": " "})), "address", "city is empty"),
    ("modify_order_address", ("#W1001", HARBOUR.model_copy(update={"zip": "0" * 33})), "address", "longer than 32"),
    ("modify_user_address", ("tove_marklund", HARBOUR.model_copy(update={"state": "M\0"})), "address", "state is"),
    ("modify_user_address", ("nobody", HARBOUR), "user_not_found", "not a customer"),
    ("modify_order_payment", ("#W1012", "paypal_idris"), "order_status", "items were modified"),
    ("modify_order_payment", ("#W1001", "card_tove"), "payment_method_same", "paid by card_tove already"),
    ("modify_order_payment", ("#W1001", "gift_mei"), "payment_method_not_found", "card_tove, gift_tove"),
    ("modify_order_payment", ("#W1006", "nothing"), "payment_method_not_found", "gift_mei, paypal_mei"),
    ("modify_order_items", ("#W1012", ["I6001"], ["I6002"], "card_idris"), "order_status", "items were modified"),
    ("modify_order_items", ("#W1001", [], [], "card_tove"), "items", "No item"),
    ("modify_order_items", ("#W1001", ["I5001"], ["I5002", "I5003"], "card_tove"), "items", "do not make pairs"),
    ("modify_order_items", ("#W1001", ["I5001"] * 3, ["I5002"] * 3, "card_tove"), "items", "has 2 of item I5001"),
    ("modify_order_items", ("#W1001", ["I2001"], ["I2002"], "card_tove"), "items", "has 0 of item I2001"),
    ("modify_order_items", ("#W1001", ["I1001"], ["I1001"], "card_tove"), "item_unavailable", "is the item itself"),
    ("modify_order_items", ("#W1001", ["I1001"], ["I1004"], "card_tove"), "item_unavailable", "is not available"),
    ("modify_order_items", ("#W1001", ["I1001"], ["I2001"], "card_tove"), "item_unavailable", "variant of Teapot"),
    ("modify_order_items", ("#W1001", ["I1001"], ["I0000"], "card_tove"), "item_unavailable", "variant of Teapot"),
    ("modify_order_items", ("#W1001", ["I1001"], ["I1002"], "card_jonas"), "payment_method_not_found", "gift_tove"),
    ("return_order_items", ("#W1001", ["I1001"], "card_tove"), "order_status", "only an order that is 'delivered'"),
    ("return_order_items", ("#W1013", ["I8002"], "paypal_mei"), "order_status", "is 'return requested'"),
    ("return_order_items", ("#W1005", ["I8001"], "paypal_idris"), "refund_method", "(card_idris)"),
    ("return_order_items", ("#W1009", ["I5003"] * 3, "card_jonas"), "items", "has 2 of item I5003"),
    ("return_order_items", ("#W1009", [], "card_jonas"), "items", "No item"),
    ("exchange_order_items", ("#W1014", ["I4001"], ["I4003"], "card_jonas"), "order_status", "'exchange requested'"),
    ("exchange_order_items", ("#W1008", ["I4003"], ["I4004"], "card_jonas"), "order_status", "is 'pending'"),
    ("exchange_order_items", ("#W1009", ["I5003"] * 3, ["I5001"] * 3, "card_jonas"), "items", "has 2 of item I5003"),
    ("exchange_order_items", ("#W1005", ["I8001"], ["I8001"], "card_idris"), "item_unavailable", "the item itself"),
]


@pytest.mark.parametrize(("name", "arguments", "code", "words"), REFUSED)
def test_what_is_against_the_rules_is_refused_and_changes_nothing(
    name: str, arguments: tuple[Any, ...], code: str, words: str, session: Session
) -> None:
    operation = getattr(operations, name)
    before = read_shop(session)

    reason = operation.check(session, *arguments)
    with pytest.raises(Refused) as refused:
        operation(session, *arguments)

    assert refused.value.reason == code
    assert words in refused.value.message
    assert reason == refused.value.message, "the gate gives the same reason beforehand"
    assert read_shop(session) == before


def test_a_gift_card_pays_only_what_it_holds(session: Session) -> None:
    """Samira's holds 12.35, which covers nothing here; Tove's holds 60.00."""
    in_status(session, "#W1010", "pending")
    in_status(session, "#W1003", "pending")
    refusals = [
        operations.modify_order_payment.check(session, "#W1010", "gift_samira"),
        operations.modify_order_items.check(session, "#W1001", ["I1001"], ["I1003"], "gift_tove"),
    ]
    assert refusals[0] == (
        "Insufficient gift card balance: gift_samira holds 12.35 and the amount of the order is 37.70. Ask the "
        "customer for "
        "another payment method."
    )
    assert refusals[1] is None

    in_status(session, "#W1010", "delivered")
    exchanged = operations.exchange_order_items.check(session, "#W1010", ["I5002"], ["I5003"], "gift_samira")
    assert exchanged is None
    operations.modify_order_items(session, "#W1001", ["I1001"], ["I1003"], "gift_tove")
    in_status(session, "#W1002", "pending")
    too_dear = operations.modify_order_payment.check(session, "#W1002", "gift_tove")
    assert too_dear is not None
    assert "gift_tove holds 52.60" in too_dear


def test_a_payment_is_changed_once(session: Session) -> None:
    operations.modify_order_payment(session, "#W1006", "paypal_mei")

    with pytest.raises(Refused, match="only once"):
        operations.modify_order_payment(session, "#W1006", "gift_mei")


@pytest.mark.parametrize("customer_id", ["idris_balogun", "nobody", ""])
def test_another_customers_order_is_answered_like_one_that_does_not_exist(customer_id: str, session: Session) -> None:
    anothers = operations.cancel_order.check(session, "#W1001", "no longer needed", customer_id=customer_id)
    missing = operations.cancel_order.check(session, "#W9999", "no longer needed", customer_id=customer_id)
    assert anothers is not None
    assert anothers.replace("#W1001", "#W9999") == missing
    with pytest.raises(Refused, match="Order not found"):
        lookups.get_order(session, "#W1001", customer_id=customer_id)
    with pytest.raises(Refused, match="User not found"):
        lookups.get_user(session, "tove_marklund", customer_id=customer_id)
    assert operations.modify_user_address.check(session, "tove_marklund", HARBOUR, customer_id=customer_id) is not None


def test_customers_do_what_they_like_with_their_own(session: Session) -> None:
    assert operations.cancel_order.check(session, "#W1001", "no longer needed", customer_id="tove_marklund") is None
    assert lookups.get_order(session, "#W1001", customer_id="tove_marklund").order_id == "#W1001"
    assert lookups.get_user(session, "tove_marklund", customer_id="tove_marklund").orders == (
        "#W1001",
        "#W1002",
        "#W1003",
    )


def test_a_preview_shows_the_change_and_makes_none(session: Session) -> None:
    statements: list[str] = []
    bind = session.get_bind()
    event.listen(bind, "before_cursor_execute", lambda *given: statements.append(given[2]))

    change = operations.modify_order_items.preview(session, "#W1001", ["I1001"], ["I1003"], "gift_tove")

    assert change.after.payment_history[-1].amount == Decimal("7.40")
    assert change.balances == {"gift_tove": Decimal("52.60")}
    assert statements
    assert all(statement.startswith("SELECT") for statement in statements)


def test_people_are_found_in_any_spelling_of_their_case(session: Session) -> None:
    assert lookups.find_customer_by_email(session, " TOVE.Marklund@Example.org") == "tove_marklund"
    assert lookups.find_customer_by_name(session, "tove", "MARKLUND", "04199") == "tove_marklund"
    for name in (("Tove", "Marklund", "04198"), ("Tove", "Whitlock", "04199"), ("Tove\0", "Marklund", "04199")):
        with pytest.raises(Refused, match="User not found"):
            lookups.find_customer_by_name(session, *name)
    for email in ("tove@example.org", "%", "\ud800"):
        with pytest.raises(Refused, match="User not found"):
            lookups.find_customer_by_email(session, email)


def test_two_customers_of_one_name_and_zip_code_are_told_apart_by_email(session: Session) -> None:
    tove = read_user(session, "tove_marklund")
    assert tove is not None
    twin = tove.model_copy(
        update={"user_id": "tove_two", "email": "t2@example.org", "orders": (), "payment_methods": {}}
    )
    load(session, {"products": {}, "orders": {}, "users": {"tove_two": twin}})

    with pytest.raises(Refused, match="Several customers"):
        lookups.find_customer_by_name(session, "Tove", "Marklund", "04199")
    assert lookups.find_customer_by_email(session, "t2@example.org") == "tove_two"


def test_the_catalogue_is_looked_up_by_either_id(session: Session) -> None:
    assert lookups.get_product(session, "P50").variants["I5003"] == lookups.get_item(session, "I5003")
    assert list(lookups.list_product_types(session).items())[:2] == [("Backpack", "P80"), ("Bicycle Pump", "P60")]
    with pytest.raises(Refused, match="Product not found"):
        lookups.get_product(session, "I5003")
    with pytest.raises(Refused, match="Item not found"):
        lookups.get_item(session, "P50")
