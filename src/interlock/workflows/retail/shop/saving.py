"""Saves a changed record: only the rows that differ."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from sqlalchemy import Connection, insert, update
from sqlalchemy.orm import Session

from . import tables as t
from .models import Order, User


def save_user(session: Session | Connection, before: User, after: User) -> None:
    """Save the part of a profile that can change: its address."""
    if after.address != before.address:
        session.execute(update(t.users).where(t.users.c.user_id == before.user_id).values(after.address.model_dump()))


def save_balances(session: Session | Connection, user_id: str, balances: Mapping[str, Decimal]) -> None:
    """Save the new balances of a user's gift cards."""
    for payment_method_id, balance in balances.items():
        session.execute(
            update(t.payment_methods)
            .where(t.payment_methods.c.user_id == user_id, t.payment_methods.c.payment_method_id == payment_method_id)
            .values(balance=balance)
        )


def save_order(
    session: Session | Connection, before: Order, after: Order, exchanged: Sequence[tuple[str, str]] = ()
) -> None:
    """Save the differences between an order as it was read and as it will be.

    Args:
        session: A session or connection in the transaction in which `before` was read.
        before: The order as it is in the tables.
        after: The order as it will be; its payment history starts with the previous one.
        exchanged: For an exchange, pairs of an item and its replacement.
    """
    order_id = before.order_id
    session.execute(
        update(t.orders)
        .where(t.orders.c.order_id == order_id)
        .values(
            status=after.status.value,
            cancel_reason=after.cancel_reason and after.cancel_reason.value,
            **after.address.model_dump(),
        )
    )
    for place, (old, new) in enumerate(zip(before.items, after.items, strict=True)):
        if new != old:
            session.execute(
                update(t.order_items)
                .where(t.order_items.c.order_id == order_id, t.order_items.c.position == place)
                .values(new.model_dump())
            )
    known = len(before.payment_history)
    added = [
        {"order_id": order_id, "position": known + place, **payment.model_dump()}
        for place, payment in enumerate(after.payment_history[known:])
    ]
    if added:
        session.execute(insert(t.payments), added)
    if after.return_items is not None and before.return_items is None:
        _save_return(session, after, after.return_items)
    if after.exchange_items is not None and before.exchange_items is None:
        _save_exchange(session, after, exchanged)


def _save_return(session: Session | Connection, order: Order, items: Sequence[str]) -> None:
    requested = {"order_id": order.order_id, "payment_method_id": order.return_payment_method_id}
    session.execute(insert(t.returns), [requested])
    session.execute(
        insert(t.return_items),
        [{"order_id": order.order_id, "position": place, "item_id": item} for place, item in enumerate(items)],
    )


def _save_exchange(session: Session | Connection, order: Order, exchanged: Sequence[tuple[str, str]]) -> None:
    requested = {
        "order_id": order.order_id,
        "payment_method_id": order.exchange_payment_method_id,
        "price_difference": order.exchange_price_difference,
    }
    session.execute(insert(t.exchanges), [requested])
    session.execute(
        insert(t.exchange_items),
        [
            {"order_id": order.order_id, "position": place, "item_id": old, "new_item_id": new}
            for place, (old, new) in enumerate(exchanged)
        ],
    )
