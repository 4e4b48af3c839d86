"""What the shop's records look like to the desk: users, products and orders, frozen and typed."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from ....tools.origins import Id, Label, Own
from ....tools.wire import camel

OrderKey = Annotated[str, Id("order")]
CustomerKey = Annotated[str, Id("customer")]
ProductKey = Annotated[str, Id("product")]
ItemKey = Annotated[str, Id("item")]
PaymentMethodKey = Annotated[str, Id("payment_method")]
"""What the shop alone gives, and what names one record of its kind and no other: see `interlock.tools.origins`."""

Money = Annotated[
    Decimal,
    PlainSerializer(float, return_type=float, when_used="json"),
    WithJsonSchema({"type": "number"}),
]
"""An amount in the shop's currency: a `Decimal` in Python, a plain number in JSON."""


class Record(BaseModel):
    """A record of the shop: snake_case in Python and in `record`, camelCase where a tool returns it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=camel, validate_by_name=True, validate_by_alias=True
    )

    def as_record(self) -> dict[str, Any]:
        """Give the record as plain JSON data, without the fields that are null."""
        return self.model_dump(mode="json", by_alias=False, exclude_none=True)


class OrderStatus(StrEnum):
    """Every status that an order can have."""

    PENDING = "pending"
    ITEMS_MODIFIED = "pending (item modified)"
    PROCESSED = "processed"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURN_REQUESTED = "return requested"
    EXCHANGE_REQUESTED = "exchange requested"


class CancelReason(StrEnum):
    """The two reasons for which an order may be cancelled."""

    NO_LONGER_NEEDED = "no longer needed"
    ORDERED_BY_MISTAKE = "ordered by mistake"


class Address(Record):
    """A postal address."""

    address1: str
    address2: str
    city: str
    country: str
    state: str
    zip: str


class Name(Record):
    """A person's name."""

    first_name: str
    last_name: str


class CreditCard(Record):
    """A credit card; its refunds take 5 to 7 business days."""

    source: Literal["credit_card"] = "credit_card"
    id: PaymentMethodKey
    brand: str
    last_four: str


class PayPal(Record):
    """A PayPal account; its refunds take 5 to 7 business days."""

    source: Literal["paypal"] = "paypal"
    id: PaymentMethodKey


class GiftCard(Record):
    """A gift card: its balance moves at once, and must cover what it pays for."""

    source: Literal["gift_card"] = "gift_card"
    id: PaymentMethodKey
    balance: Money


PaymentMethod = Annotated[CreditCard | PayPal | GiftCard, Field(discriminator="source")]


class User(Record):
    """A customer's profile."""

    user_id: CustomerKey
    name: Name
    address: Annotated[Address, Own]
    email: Annotated[str, Own]
    payment_methods: dict[str, PaymentMethod]
    orders: tuple[OrderKey, ...]


class Variant(Record):
    """One variant of a product: what an item ID names."""

    item_id: ItemKey
    options: dict[str, str]
    available: bool
    price: Money


class Product(Record):
    """A type of product with all of its variants, by item ID."""

    name: Annotated[str, Label]
    product_id: ProductKey
    variants: dict[str, Variant]


class OrderItem(Record):
    """One item of an order, at the name, price and options it was ordered with."""

    name: Annotated[str, Label]
    product_id: ProductKey
    item_id: ItemKey
    price: Money
    options: dict[str, str]


class Fulfillment(Record):
    """A parcel: its tracking IDs and the items in it."""

    tracking_id: tuple[str, ...]
    item_ids: tuple[ItemKey, ...]


class Payment(Record):
    """One row of an order's payment history; the amount is never negative."""

    transaction_type: Literal["payment", "refund"]
    amount: Money
    payment_method_id: PaymentMethodKey


class Order(Record):
    """An order, with what has been done to it."""

    order_id: OrderKey
    user_id: CustomerKey
    address: Annotated[Address, Own]
    items: tuple[OrderItem, ...]
    status: OrderStatus
    fulfillments: tuple[Fulfillment, ...]
    payment_history: tuple[Payment, ...]
    cancel_reason: CancelReason | None = None
    return_items: tuple[ItemKey, ...] | None = None
    return_payment_method_id: PaymentMethodKey | None = None
    exchange_items: tuple[ItemKey, ...] | None = None
    exchange_new_items: tuple[ItemKey, ...] | None = None
    exchange_payment_method_id: PaymentMethodKey | None = None
    exchange_price_difference: Money | None = None

    # A return type would take the place of the fields in the JSON schema.
    @model_serializer(mode="wrap")
    def _without_nulls(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        return {name: value for name, value in serialize(self).items() if value is not None}

    @model_validator(mode="after")
    def _outcome_goes_with_status(self) -> Self:
        outcomes = {
            OrderStatus.RETURN_REQUESTED: (self.return_items, self.return_payment_method_id),
            OrderStatus.EXCHANGE_REQUESTED: (
                self.exchange_items,
                self.exchange_new_items,
                self.exchange_payment_method_id,
                self.exchange_price_difference,
            ),
        }
        for status, fields in outcomes.items():
            if any((value is not None) != (self.status is status) for value in fields):
                msg = (
                    f"order {self.order_id} is {self.status.value!r}, which does not go with its {status.value} fields"
                )
                raise ValueError(msg)
        return self


class Shop(Record):
    """A whole shop, as `load` takes it."""

    products: dict[str, Product]
    users: dict[str, User]
    orders: dict[str, Order]
