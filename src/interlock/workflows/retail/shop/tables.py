"""The shop's tables, normalized, for SQLite, PostgreSQL, MySQL and MariaDB.

They have their own `MetaData`: the shop may belong to another application, and the workflow store's migrations never change it.
Two choices need an explanation:

- Money is stored as a whole number of cents. SQLite has no exact decimal type, and sums of binary fractions drift.
- Searchable texts that people type (an email address, a name) are also stored casefolded, because databases handle the case of
  letters outside ASCII differently.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
)
from sqlalchemy.schema import SchemaItem

from ....checkpointing.tables.columns import TABLE_OPTIONS, ident

metadata = MetaData()


class Cents(TypeDecorator[Decimal]):
    """An amount of money: a `Decimal` with at most two places in Python, a whole number of cents in the database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Convert an amount to cents; an amount with a fraction of a cent raises, instead of being rounded silently."""
        if value is None:
            return None
        cents = value * 100
        if cents != cents.to_integral_value():
            msg = f"{value} is finer than a cent: round amounts where they are computed"
            raise ValueError(msg)
        return int(cents)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Convert cents to an amount with two places."""
        return None if value is None else Decimal(value).scaleb(-2)


def _table(name: str, *parts: SchemaItem) -> Table:
    return Table(name, metadata, *parts, **TABLE_OPTIONS)


def _address() -> list[Column[Any]]:
    return [
        Column("address1", String(255), nullable=False),
        Column("address2", String(255), nullable=False),
        Column("city", String(128), nullable=False),
        Column("country", String(64), nullable=False),
        Column("state", String(64), nullable=False),
        Column("zip", ident(32), nullable=False),
    ]


users = _table(
    "retail_users",
    Column("user_id", ident(64), primary_key=True),
    Column("first_name", String(128), nullable=False),
    Column("last_name", String(128), nullable=False),
    Column("email", ident(254), nullable=False),
    *_address(),
    Column("first_name_key", ident(128), nullable=False),
    Column("last_name_key", ident(128), nullable=False),
    Column("email_key", ident(254), nullable=False, unique=True),
    Index("retail_users_by_name", "last_name_key", "first_name_key", "zip"),
)

payment_methods = _table(
    "retail_payment_methods",
    Column("user_id", ForeignKey("retail_users.user_id"), primary_key=True),
    Column("payment_method_id", ident(64), primary_key=True),
    Column("source", ident(32), nullable=False),
    Column("brand", String(64)),
    Column("last_four", String(4)),
    Column("balance", Cents),
)

products = _table(
    "retail_products",
    Column("product_id", ident(64), primary_key=True),
    Column("name", String(255), nullable=False),
)

variants = _table(
    "retail_variants",
    Column("item_id", ident(64), primary_key=True),
    Column("product_id", ForeignKey("retail_products.product_id"), nullable=False, index=True),
    Column("options", JSON, nullable=False),
    Column("available", Boolean, nullable=False),
    Column("price", Cents, nullable=False),
)

orders = _table(
    "retail_orders",
    Column("order_id", ident(64), primary_key=True),
    Column("user_id", ForeignKey("retail_users.user_id"), nullable=False),
    Column("user_position", Integer, nullable=False),
    Column("status", ident(32), nullable=False),
    Column("cancel_reason", String(64)),
    *_address(),
    Index("retail_orders_by_user", "user_id", "user_position"),
)


def _of_an_order(name: str, *columns: Column[Any]) -> Table:
    """A table of entries of an order, with their positions."""
    return _table(
        name,
        Column("order_id", ForeignKey("retail_orders.order_id"), primary_key=True),
        Column("position", Integer, primary_key=True, autoincrement=False),
        *columns,
    )


# Items with their name, price and options at the time of the order: the catalogue may change, an order does not.
order_items = _of_an_order(
    "retail_order_items",
    Column("item_id", ident(64), nullable=False),
    Column("product_id", ident(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("price", Cents, nullable=False),
    Column("options", JSON, nullable=False),
)

fulfillments = _of_an_order(
    "retail_fulfillments",
    Column("tracking_ids", JSON, nullable=False),
    Column("item_ids", JSON, nullable=False),
)

payments = _of_an_order(
    "retail_payments",
    Column("transaction_type", ident(16), nullable=False),
    Column("amount", Cents, nullable=False),
    Column("payment_method_id", ident(64), nullable=False),
)

returns = _table(
    "retail_returns",
    Column("order_id", ForeignKey("retail_orders.order_id"), primary_key=True),
    Column("payment_method_id", ident(64), nullable=False),
)

return_items = _table(
    "retail_return_items",
    Column("order_id", ident(64), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("item_id", ident(64), nullable=False),
    ForeignKeyConstraint(["order_id"], ["retail_returns.order_id"]),
)

exchanges = _table(
    "retail_exchanges",
    Column("order_id", ForeignKey("retail_orders.order_id"), primary_key=True),
    Column("payment_method_id", ident(64), nullable=False),
    Column("price_difference", Cents, nullable=False),
)

# The old item and its replacement are in one row; the lists of an order's record are derived from these rows.
exchange_items = _table(
    "retail_exchange_items",
    Column("order_id", ident(64), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("item_id", ident(64), nullable=False),
    Column("new_item_id", ident(64), nullable=False),
    ForeignKeyConstraint(["order_id"], ["retail_exchanges.order_id"]),
)


def create_tables(bind: Engine | Connection) -> None:
    """Create missing tables."""
    metadata.create_all(bind)
