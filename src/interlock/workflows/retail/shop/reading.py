"""Reads complete records from the tables.

The number of statements is fixed, for one record or for all. With `lock=True`, every row on which a decision depends is read
`FOR UPDATE`, so that the operation decides on the rows that it overwrites: a plain read in a repeatable-read transaction of MySQL
or MariaDB could return the snapshot from before a concurrent commit. SQLite has one writer and needs no such lock.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter
from sqlalchemy import Connection, RowMapping, Select, Table, bindparam, select
from sqlalchemy.orm import Session

from . import tables as t
from .loading import casefolded
from .models import (
    Address,
    Fulfillment,
    Name,
    Order,
    OrderItem,
    OrderStatus,
    Payment,
    PaymentMethod,
    Product,
    Shop,
    User,
    Variant,
)

Reader = Session | Connection
Kind = Literal["products", "users", "orders"]
_PAYMENT_METHOD: TypeAdapter[PaymentMethod] = TypeAdapter(PaymentMethod)
_ADDRESS = tuple(Address.model_fields)


def is_empty(session: Reader) -> bool:
    """Whether no shop was loaded yet: there are no customers and no products."""
    return all(session.execute(select(table).limit(1)).first() is None for table in (t.users, t.products))


def read_order(session: Reader, order_id: str, *, lock: bool = False) -> Order | None:
    """Read one order; None if it does not exist."""
    return _orders(session, [order_id], lock=lock).get(order_id)


def read_user(session: Reader, user_id: str, *, lock: bool = False) -> User | None:
    """Read one user's profile; None if it does not exist."""
    return _users(session, [user_id], lock=lock).get(user_id)


def read_product(session: Reader, product_id: str) -> Product | None:
    """Read one product with its variants; None if it does not exist."""
    return _products(session, [product_id]).get(product_id)


def read_variants(session: Reader, item_ids: Iterable[str]) -> dict[str, tuple[str, Variant]]:
    """Read variants by their item IDs, each with the ID of its product; missing ones are left out."""
    wanted = set(item_ids)
    rows = _rows(session, t.variants, "item_id", wanted, lock=False)
    return {row["item_id"]: (row["product_id"], _variant(row)) for row in rows if row["item_id"] in wanted}


def read_shop(session: Reader) -> Shop:
    """Read everything."""
    return Shop(products=_products(session, None), users=_users(session, None), orders=_orders(session, None))


def find_user_by_email(session: Reader, email: str) -> str | None:
    """Find the ID of the user with this email address, ignoring case; None if there is none."""
    found = _user_ids(session, email_key=casefolded(email))
    return found[0] if found else None


def find_users_by_name(session: Reader, first_name: str, last_name: str, postcode: str) -> list[str]:
    """Find the IDs of the users with this name, ignoring case, and this zip code in their default address."""
    return _user_ids(
        session, first_name_key=casefolded(first_name), last_name_key=casefolded(last_name), zip=postcode.strip()
    )


def read_product_names(session: Reader) -> dict[str, str]:
    """Read the ID of every type of product, by its name, in the order of names."""
    return dict(sorted(tuple(row) for row in session.execute(select(t.products.c.name, t.products.c.product_id))))


def record(session: Reader, kind: Kind, record_id: str) -> dict[str, Any] | None:
    """Read one record as plain JSON data without null fields; None if it does not exist.

    Args:
        session: A session or connection on the shop's database.
        kind: `products`, `users` or `orders`.
        record_id: The record's ID.
    """
    found: Product | User | Order | None
    match kind:
        case "products":
            found = read_product(session, record_id)
        case "users":
            found = read_user(session, record_id)
        case "orders":
            found = read_order(session, record_id)
    return None if found is None else found.as_record()


def _user_ids(session: Reader, **keys: str) -> list[str]:
    if not all(map(storable, keys.values())):
        return []
    statement = select(t.users.c.user_id).order_by(t.users.c.user_id)
    for name, key in keys.items():
        statement = statement.where(t.users.c[name] == key)
    return list(session.scalars(statement))


def storable(text: str) -> bool:
    """Whether a database can store a text at all: drivers raise for one that they cannot store, instead of finding nothing."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


@cache
def _statement(table: Table, key: str, among: bool, lock: bool) -> Select[Any]:
    """Built once per kind, because building a statement costs as much as executing it."""
    statement: Select[Any] = select(table).order_by(*table.primary_key.columns)
    if among:
        statement = statement.where(table.c[key].in_(bindparam("ids", expanding=True)))
    return statement.with_for_update() if lock else statement


def _rows(session: Reader, table: Table, key: str, ids: Iterable[str] | None, *, lock: bool) -> Iterable[RowMapping]:
    statement = _statement(table, key, ids is not None, lock)
    parameters = {} if ids is None else {"ids": [known for known in ids if storable(known)]}
    return session.execute(statement, parameters).mappings()


def _grouped(
    session: Reader, table: Table, key: str, ids: Iterable[str] | None, *, lock: bool
) -> Mapping[str, list[RowMapping]]:
    groups: defaultdict[str, list[RowMapping]] = defaultdict(list)
    for row in _rows(session, table, key, ids, lock=lock):
        groups[row[key]].append(row)
    return groups


def _address(row: RowMapping) -> Address:
    return Address(**{field: row[field] for field in _ADDRESS})


def _variant(row: RowMapping) -> Variant:
    return Variant(item_id=row["item_id"], options=row["options"], available=row["available"], price=row["price"])


def _products(session: Reader, ids: list[str] | None) -> dict[str, Product]:
    variants = _grouped(session, t.variants, "product_id", ids, lock=False)
    return {
        row["product_id"]: Product(
            name=row["name"],
            product_id=row["product_id"],
            variants={variant["item_id"]: _variant(variant) for variant in variants[row["product_id"]]},
        )
        for row in _rows(session, t.products, "product_id", ids, lock=False)
    }


def _payment_method(row: RowMapping) -> PaymentMethod:
    fields = {name: row[name] for name in ("source", "brand", "last_four", "balance") if row[name] is not None}
    return _PAYMENT_METHOD.validate_python({"id": row["payment_method_id"], **fields})


def _users(session: Reader, ids: list[str] | None, *, lock: bool = False) -> dict[str, User]:
    rows = list(_rows(session, t.users, "user_id", ids, lock=lock))
    methods = _grouped(session, t.payment_methods, "user_id", ids, lock=lock)
    theirs: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for order in _rows(session, t.orders, "user_id", ids, lock=False):
        theirs[order["user_id"]].append((order["user_position"], order["order_id"]))
    return {
        row["user_id"]: User(
            user_id=row["user_id"],
            name=Name(first_name=row["first_name"], last_name=row["last_name"]),
            address=_address(row),
            email=row["email"],
            payment_methods={
                method["payment_method_id"]: _payment_method(method) for method in methods[row["user_id"]]
            },
            orders=tuple(order_id for _, order_id in sorted(theirs[row["user_id"]])),
        )
        for row in rows
    }


def _orders(session: Reader, ids: list[str] | None, *, lock: bool = False) -> dict[str, Order]:
    def lists(table: Table) -> Mapping[str, list[RowMapping]]:
        return _grouped(session, table, "order_id", ids, lock=lock)

    rows = list(_rows(session, t.orders, "order_id", ids, lock=lock))
    items, fulfillments, payments = lists(t.order_items), lists(t.fulfillments), lists(t.payments)
    after: dict[str, dict[str, Any]] = defaultdict(dict)
    if any(row["status"] == OrderStatus.RETURN_REQUESTED for row in rows):
        _add_returns(after, lists(t.returns), lists(t.return_items))
    if any(row["status"] == OrderStatus.EXCHANGE_REQUESTED for row in rows):
        _add_exchanges(after, lists(t.exchanges), lists(t.exchange_items))
    return {row["order_id"]: _order(row, items, fulfillments, payments, after) for row in rows}


def _add_returns(
    after: dict[str, dict[str, Any]],
    returns: Mapping[str, list[RowMapping]],
    items: Mapping[str, list[RowMapping]],
) -> None:
    for order_id, (row,) in returns.items():
        after[order_id] |= {
            "return_items": [item["item_id"] for item in items[order_id]],
            "return_payment_method_id": row["payment_method_id"],
        }


def _add_exchanges(
    after: dict[str, dict[str, Any]],
    exchanges: Mapping[str, list[RowMapping]],
    items: Mapping[str, list[RowMapping]],
) -> None:
    for order_id, (row,) in exchanges.items():
        after[order_id] |= {
            "exchange_items": sorted(item["item_id"] for item in items[order_id]),
            "exchange_new_items": sorted(item["new_item_id"] for item in items[order_id]),
            "exchange_payment_method_id": row["payment_method_id"],
            "exchange_price_difference": row["price_difference"],
        }


def _order(
    row: RowMapping,
    items: Mapping[str, list[RowMapping]],
    fulfillments: Mapping[str, list[RowMapping]],
    payments: Mapping[str, list[RowMapping]],
    after: dict[str, dict[str, Any]],
) -> Order:
    order_id = row["order_id"]
    return Order(
        order_id=order_id,
        user_id=row["user_id"],
        address=_address(row),
        items=tuple(OrderItem(**{field: item[field] for field in OrderItem.model_fields}) for item in items[order_id]),
        status=row["status"],
        fulfillments=tuple(
            Fulfillment(tracking_id=tuple(parcel["tracking_ids"]), item_ids=tuple(parcel["item_ids"]))
            for parcel in fulfillments[order_id]
        ),
        payment_history=tuple(
            Payment(**{field: payment[field] for field in Payment.model_fields}) for payment in payments[order_id]
        ),
        cancel_reason=row["cancel_reason"],
        **after[order_id],
    )
