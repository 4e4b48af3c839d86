"""Fills the tables with a shop, in bulk."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.orm import Session

from . import tables as t
from .models import Order, Shop, User


def load(session: Session | Connection, shop: Shop | Mapping[str, Any]) -> Shop:
    """Load a shop into empty tables.

    Args:
        session: A session or connection on a database with the shop's tables; the caller commits.
        shop: A `Shop`, or the same as JSON data: `{"products": {id: …}, "users": {id: …}, "orders": {id: …}}`.

    Returns:
        The validated shop.

    Raises:
        pydantic.ValidationError: The data does not have the shape of a shop.
        ValueError: The orders and the users' lists of orders disagree.
    """
    whole = shop if isinstance(shop, Shop) else Shop.model_validate(shop)
    places = _places(whole)
    for table, rows in (
        (t.users, [_user_row(user) for user in whole.users.values()]),
        (t.payment_methods, list(_payment_method_rows(whole.users.values()))),
        (t.products, [{"product_id": it.product_id, "name": it.name} for it in whole.products.values()]),
        (
            t.variants,
            [
                variant.model_dump() | {"product_id": product.product_id}
                for product in whole.products.values()
                for variant in product.variants.values()
            ],
        ),
        (t.orders, [_order_row(order, places[order.order_id]) for order in whole.orders.values()]),
        *_order_lists(whole.orders.values()),
    ):
        if rows:
            session.execute(insert(table), rows)
    return whole


def casefolded(text: str) -> str:
    """Normalize a text for searches: texts that differ only in case or in surrounding space are equal."""
    return text.strip().casefold()


def _places(shop: Shop) -> dict[str, int]:
    places = {order_id: place for user in shop.users.values() for place, order_id in enumerate(user.orders)}
    owners = {order_id: user.user_id for user in shop.users.values() for order_id in user.orders}
    strays = {order.order_id for order in shop.orders.values() if owners.pop(order.order_id, None) != order.user_id}
    if strays or owners:
        msg = f"orders and their users' lists disagree about {', '.join(sorted(strays | owners.keys()))}"
        raise ValueError(msg)
    return places


def _user_row(user: User) -> dict[str, Any]:
    return {
        "user_id": user.user_id,
        "first_name": user.name.first_name,
        "last_name": user.name.last_name,
        "email": user.email,
        "first_name_key": casefolded(user.name.first_name),
        "last_name_key": casefolded(user.name.last_name),
        "email_key": casefolded(user.email),
        **user.address.model_dump(),
    }


def _payment_method_rows(users: Iterable[User]) -> Iterable[dict[str, Any]]:
    nothing = {"brand": None, "last_four": None, "balance": None}
    for user in users:
        for method in user.payment_methods.values():
            fields = method.model_dump()
            yield nothing | {"user_id": user.user_id, "payment_method_id": fields.pop("id")} | fields


def _order_row(order: Order, place: int) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "user_id": order.user_id,
        "user_position": place,
        "status": order.status.value,
        "cancel_reason": order.cancel_reason and order.cancel_reason.value,
        **order.address.model_dump(),
    }


def _order_lists(orders: Iterable[Order]) -> Iterable[tuple[Table, list[dict[str, Any]]]]:
    tables = (t.order_items, t.fulfillments, t.payments, t.returns, t.return_items, t.exchanges, t.exchange_items)
    rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in tables}

    def add(table: Table, order_id: str, entries: Iterable[dict[str, Any]]) -> None:
        rows[table] += [{"order_id": order_id, "position": place, **entry} for place, entry in enumerate(entries)]

    for order in orders:
        order_id = order.order_id
        add(t.order_items, order_id, (item.model_dump() for item in order.items))
        add(t.payments, order_id, (payment.model_dump() for payment in order.payment_history))
        add(
            t.fulfillments,
            order_id,
            ({"tracking_ids": parcel.tracking_id, "item_ids": parcel.item_ids} for parcel in order.fulfillments),
        )
        if order.return_items is not None:
            rows[t.returns].append({"order_id": order_id, "payment_method_id": order.return_payment_method_id})
            add(t.return_items, order_id, ({"item_id": item} for item in order.return_items))
        if order.exchange_items is not None and order.exchange_new_items is not None:
            rows[t.exchanges].append(
                {
                    "order_id": order_id,
                    "payment_method_id": order.exchange_payment_method_id,
                    "price_difference": order.exchange_price_difference,
                }
            )
            pairs = zip(order.exchange_items, order.exchange_new_items, strict=True)
            add(t.exchange_items, order_id, ({"item_id": old, "new_item_id": new} for old, new in pairs))
    return rows.items()
