"""The shop on each kind of database: records read back as loaded, identifiers are exact, writers take turns."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, select
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from interlock.tools.errors import Refused
from interlock.workflows.retail import lookups, operations
from interlock.workflows.retail.sample_shop import load_sample_shop, sample_shop
from interlock.workflows.retail.shop import (
    Address,
    GiftCard,
    OrderStatus,
    create_tables,
    load,
    read_order,
    read_shop,
    read_user,
    record,
)
from interlock.workflows.retail.shop.tables import exchange_items, payment_methods
from tests.workflows.retail import tau2


def test_the_sample_shop_reads_back_as_it_was_loaded(any_engine: Engine) -> None:
    with Session(any_engine) as session:
        loaded = load_sample_shop(session)
        session.commit()
        assert read_shop(session) == loaded == sample_shop()
        assert {order.status for order in loaded.orders.values()} == set(OrderStatus)


@tau2.needs_tau2
def test_the_benchmarks_shop_reads_back_exactly(any_engine: Engine) -> None:
    with any_engine.begin() as connection:
        load(connection, tau2.shop_json())
    with any_engine.connect() as connection:
        assert read_shop(connection).as_record() == tau2.shop_json()
        for kind in ("products", "users", "orders"):
            record_id, wanted = next(iter(tau2.shop_json()[kind].items()))
            assert record(connection, kind, record_id) == wanted
            assert record(connection, kind, "nothing") is None


@tau2.needs_tau2
def test_the_benchmarks_writes_come_out_alike_on_every_database(any_engine: Engine) -> None:
    """One task of each writing tool, over a real connection to each database."""
    wanted = set(tau2.WRITES) - {"modify_pending_order_payment"}  # no task has a call of it
    with any_engine.begin() as connection:
        load(connection, tau2.shop_json())
    for task in tau2.tasks():
        writes = [call for call in task["calls"] if call["name"] in tau2.WRITES and call["error"] is None]
        if not wanted & {call["name"] for call in writes} or task["last_variant_defect"]:
            continue
        wanted -= {call["name"] for call in writes}
        with Session(any_engine) as session:
            for call in writes:
                tau2.call(session, call["name"], call["arguments"])
            session.flush()
            for kind in ("users", "orders"):
                for record_id, expected in task["expected"][kind].items():
                    found = record(session, kind, record_id)
                    assert found is not None
                    assert tau2.comparable(found) == tau2.comparable(expected)
            session.rollback()
    assert not wanted


def test_identifiers_are_exact_on_every_database(any_engine: Engine) -> None:
    with Session(any_engine) as session:
        load_sample_shop(session)
        session.commit()
        for near in ("#w1001", "#W1001 ", " #W1001", "#W1001\0", "#Ẃ1001", "#W1001\udcff", "", "x" * 10_000):
            assert read_order(session, near) is None
            assert record(session, "users", near.replace("#W1001", "Tove_Marklund")) is None
        assert lookups.find_customer_by_email(session, "TOVE.MARKLUND@EXAMPLE.ORG") == "tove_marklund"
        with pytest.raises(Refused):
            lookups.find_customer_by_email(session, "tôve.marklund@example.org")


def test_tables_can_be_asked_for_again(any_engine: Engine) -> None:
    create_tables(any_engine)
    with any_engine.begin() as connection:
        create_tables(connection)
        load_sample_shop(connection)


def test_what_is_exchanged_for_what_is_kept(session: Session) -> None:
    operations.exchange_order_items(session, "#W1007", ["I7002", "I1002"], ["I7001", "I1003"], "paypal_mei")

    pairs = session.execute(
        select(exchange_items.c.item_id, exchange_items.c.new_item_id).where(exchange_items.c.order_id == "#W1007")
    )
    assert {tuple(pair) for pair in pairs} == {("I7002", "I7001"), ("I1002", "I1003")}


def at_once(*work: Callable[[], object]) -> list[object]:
    """Run each in a thread of its own, and give what each returned or raised."""
    ready = threading.Barrier(len(work))
    outcomes: list[object] = [None] * len(work)

    def run(place: int) -> None:
        ready.wait(timeout=30)
        try:
            outcomes[place] = work[place]()
        except Exception as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    return outcomes


@pytest.mark.parametrize("any_engine", ["postgresql", "mysql"], indirect=True)
def test_two_orders_do_not_spend_one_gift_card_twice(any_engine: Engine) -> None:
    """Both were allowed when they were asked for; the balance of 60.00 covers either, not both."""
    shop = sample_shop()
    pending = shop.orders["#W1003"].model_copy(
        update={
            "status": OrderStatus.PENDING,
            "payment_history": (
                shop.orders["#W1003"].payment_history[0].model_copy(update={"payment_method_id": "card_tove"}),
            ),
        }
    )
    with any_engine.begin() as connection:
        load(connection, shop.model_copy(update={"orders": shop.orders | {"#W1003": pending}}))
    asked = threading.Barrier(2)

    def pay_by_gift_card(order_id: str) -> Callable[[], object]:
        def work() -> object:
            with Session(any_engine) as session, session.begin():
                assert operations.modify_order_payment.check(session, order_id, "gift_tove") is None
                asked.wait(timeout=30)
                return operations.modify_order_payment(session, order_id, "gift_tove")

        return work

    outcomes = at_once(pay_by_gift_card("#W1001"), pay_by_gift_card("#W1003"))

    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert [type(error) for error in refused] == [Refused], outcomes
    assert "gift_tove holds" in str(refused[0])
    with Session(any_engine) as session:
        balance = session.scalar(
            select(payment_methods.c.balance).where(payment_methods.c.payment_method_id == "gift_tove")
        )
    assert balance in {Decimal("9.90"), Decimal("15.00")}


@pytest.mark.parametrize("any_engine", ["postgresql", "mysql"], indirect=True)
def test_one_order_is_not_cancelled_twice_at_once(any_engine: Engine) -> None:
    with any_engine.begin() as connection:
        load_sample_shop(connection)
    asked = threading.Barrier(2)

    def cancel() -> object:
        with Session(any_engine) as session, session.begin():
            assert operations.cancel_order.check(session, "#W1006", "no longer needed") is None
            asked.wait(timeout=30)
            return operations.cancel_order(session, "#W1006", "no longer needed")

    outcomes = at_once(cancel, cancel)

    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 1, outcomes
    with Session(any_engine) as session:
        mei = read_user(session, "mei_castellano")
    assert mei is not None
    card = mei.payment_methods["gift_mei"]
    assert isinstance(card, GiftCard)
    assert card.balance == Decimal("368.00")


def broken(**changes: Any) -> dict[str, Any]:
    """The sample shop as JSON, with order #W1001 changed."""
    shop: dict[str, Any] = json.loads(json.dumps(sample_shop().as_record()))
    shop["orders"]["#W1001"] |= changes
    return shop


@pytest.mark.parametrize(
    ("shop", "words"),
    [
        (broken(status="lost"), "status"),
        (broken(colour="red"), "colour"),
        (broken(return_items=["I1001"]), "does not go with"),
        (broken(user_id="idris_balogun"), "#W1001"),
        (broken(order_id="#W7777"), "#W7777"),
        ({"users": {}}, "products"),
    ],
)
def test_what_is_no_shop_is_not_loaded(shop: dict[str, Any], words: str, any_engine: Engine) -> None:
    with any_engine.connect() as connection:
        with pytest.raises((ValidationError, ValueError), match=words):
            load(connection, shop)
        assert read_shop(connection).users == {}


def test_an_amount_finer_than_a_cent_is_not_rounded_silently(session: Session) -> None:
    with pytest.raises(StatementError, match="finer than a cent"):
        session.execute(payment_methods.update().values(balance=Decimal("0.005")))


def test_the_sample_shop_names_nobody_twice_and_adds_up() -> None:
    shop = sample_shop()
    assert len({user.email for user in shop.users.values()}) == len(shop.users)
    for order in shop.orders.values():
        paid = sum(
            (row.amount if row.transaction_type == "payment" else -row.amount for row in order.payment_history),
            Decimal(0),
        )
        worth = Decimal(0) if order.status is OrderStatus.CANCELLED else sum(item.price for item in order.items)
        assert paid == worth, order.order_id
        assert Address.model_validate(order.address.model_dump()) == shop.users[order.user_id].address
