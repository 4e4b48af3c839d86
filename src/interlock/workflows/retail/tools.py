"""The sixteen tools of the retail desk, as contracts.

The two that find a customer move the desk on: from then on it serves that customer, and no other
(`DeskData.customer_id`). Every command has a check, so that what the rules do not allow is stopped at the gate, before
a customer is asked to confirm it, and a preview, which is what the customer confirms. Both are those of the operation
that the command carries out (`operations`).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field

from ...tools.canonical import JSON
from ...tools.context import ToolContext
from ...tools.contracts import ToolContract, command, event, read
from ...tools.errors import Refused
from ...tools.origins import Content, Reaches
from . import calculator, lookups, operations
from .events import (
    CustomerAddressChanged,
    ExchangeRequested,
    HandOverRequested,
    OrderAddressChanged,
    OrderCancelled,
    OrderItemsChanged,
    OrderPaymentChanged,
    ReturnRequested,
)
from .operations import Operation
from .rules import Change
from .shop import Address, CancelReason, Money, Order, Product, User, Variant
from .shop.models import CustomerKey, ItemKey, OrderKey, PaymentMethodKey, ProductKey


class DeskData(BaseModel):
    """The workflow data of the desk."""

    customer_id: str | None = None
    """The user ID of the identified customer, the only one whom this instance of the desk serves."""


class CustomerFound(BaseModel):
    """Who the customer is."""

    user_id: CustomerKey


DeskContext = ToolContext[DeskData]

MOST_ITEMS = 100
"""Of one call; what a model sends is bounded before anything is looked up."""

OrderId = Annotated[OrderKey, Field(description="It begins with '#W'.")]
ItemIds = Annotated[
    list[ItemKey],
    Field(max_length=MOST_ITEMS, description="The item IDs, an ID twice where two copies of it are meant."),
]
NewItemIds = Annotated[
    list[ItemKey],
    Field(max_length=MOST_ITEMS, description="The items that take their places, one for each, in the same order."),
]
PaymentMethodId = Annotated[PaymentMethodKey, Field(description="One of the customer's payment methods.")]
Destination = Annotated[str, Reaches]
"""A part of where parcels go."""


class NewAddress(BaseModel):
    """An address in the arguments of a tool."""

    address1: Destination
    address2: Destination
    city: Destination
    state: Destination
    country: Destination
    zip: Destination

    @property
    def address(self) -> Address:
        """The address as the shop keeps it."""
        return Address(**{name: getattr(self, name) for name in Address.model_fields})


class NewOrderAddress(NewAddress):
    """The arguments of `order.change_address`."""

    order_id: OrderId


class NewCustomerAddress(NewAddress):
    """The arguments of `customer.change_address`."""

    user_id: CustomerKey


# Whom the desk serves


@read("customer.find_by_email")
def find_customer_by_email(email: str, ctx: DeskContext) -> CustomerFound:
    """Identify the customer by email address."""
    return _identified(ctx, lookups.find_customer_by_email(ctx.session, email))


@read("customer.find_by_name")
def find_customer_by_name(
    first_name: str,
    last_name: str,
    zip: str,  # noqa: A002 -- what the shop calls it
    ctx: DeskContext,
) -> CustomerFound:
    """Identify the customer by first name, last name and zip code, when the email address is not known or not found."""
    return _identified(ctx, lookups.find_customer_by_name(ctx.session, first_name, last_name, zip))


def _identified(ctx: DeskContext, user_id: str) -> CustomerFound:
    if ctx.data.customer_id not in {None, user_id}:
        raise Refused(
            "This desk serves another customer already, and only one. Nothing was changed; continue with that "
            "customer's requests.",
            code="other_customer",
        )
    ctx.data.customer_id = user_id
    return CustomerFound(user_id=user_id)


# Looking things up


@read("customer.get")
def get_customer(user_id: CustomerKey, ctx: DeskContext) -> User:
    """Look up the identified customer's profile: address, payment methods and the IDs of all orders."""
    return lookups.get_user(ctx.session, user_id, customer_id=_customer(ctx))


@read("order.get")
def get_order(order_id: OrderId, ctx: DeskContext) -> Order:
    """Look up one of the customer's orders: its status, items, address, parcels and payments."""
    return lookups.get_order(ctx.session, order_id, customer_id=_customer(ctx))


@read("product.get")
def get_product(product_id: ProductKey, ctx: DeskContext) -> Product:
    """Look up a type of product with all of its variants, by product ID (not item ID)."""
    return lookups.get_product(ctx.session, product_id)


@read("item.get")
def get_item(item_id: ItemKey, ctx: DeskContext) -> Variant:
    """Look up one variant of a product, by item ID (not product ID)."""
    return lookups.get_item(ctx.session, item_id)


@read("product.list")
def list_products(ctx: DeskContext) -> dict[str, ProductKey]:
    """List all types of products: the product ID of each, by name."""
    return lookups.list_product_types(ctx.session)


@read("desk.calculate")
def calculate(
    expression: Annotated[str, Field(description="Decimal numbers with + - * / and parentheses.")],
) -> Money:
    """Calculate an expression; the result is rounded to two places."""
    return calculator.calculate(expression)


# Changing orders and profiles


def _looking_at(operation: Operation[..., Any]) -> dict[str, Any]:
    """The check and the preview of a tool that carries an operation out: both look at what it would change, once."""

    def change(ctx: DeskContext, call: dict[str, Any]) -> Change[Any]:
        told = {name: value for name, value in call.items() if name not in Address.model_fields}
        if len(told) < len(call):
            told["address"] = Address(**{name: call[name] for name in Address.model_fields})
        return ctx.once("change", lambda: operation.preview(ctx.session, **told, customer_id=_customer(ctx)))

    def is_possible(ctx: DeskContext, **call: Any) -> bool:
        change(ctx, call)
        return True

    def preview(ctx: DeskContext, **call: Any) -> dict[str, JSON]:
        return shown(change(ctx, call))

    return {"check": is_possible, "preview": preview}


@command("order.cancel", effect="transactional", **_looking_at(operations.cancel_order))
def cancel_order(order_id: OrderId, reason: CancelReason, ctx: DeskContext) -> Order:
    """Cancel a pending order and refund it: at once to a gift card, otherwise in 5 to 7 business days."""
    order = operations.cancel_order(ctx.session, order_id, reason, customer_id=_customer(ctx))
    ctx.emit(OrderCancelled(order_id=order_id, user_id=order.user_id, reason=reason))
    return order


@command(
    "order.change_address",
    effect="transactional",
    input_model=NewOrderAddress,
    **_looking_at(operations.modify_order_address),
)
def change_order_address(new: NewOrderAddress, ctx: DeskContext) -> Order:
    """Send a pending order to another address."""
    order = operations.modify_order_address(ctx.session, new.order_id, new.address, customer_id=_customer(ctx))
    ctx.emit(OrderAddressChanged(order_id=new.order_id, user_id=order.user_id))
    return order


@command("order.change_payment", effect="transactional", **_looking_at(operations.modify_order_payment))
def change_order_payment(order_id: OrderId, payment_method_id: PaymentMethodId, ctx: DeskContext) -> Order:
    """Pay for a pending order by another of the customer's payment methods; the one before is refunded."""
    order = operations.modify_order_payment(ctx.session, order_id, payment_method_id, customer_id=_customer(ctx))
    ctx.emit(OrderPaymentChanged(order_id=order_id, user_id=order.user_id, payment_method_id=payment_method_id))
    return order


@command("order.change_items", effect="transactional", **_looking_at(operations.modify_order_items))
def change_order_items(
    order_id: OrderId,
    item_ids: ItemIds,
    new_item_ids: NewItemIds,
    payment_method_id: PaymentMethodId,
    ctx: DeskContext,
) -> Order:
    """Replace items of a pending order by other variants of the same products. Only once per order, and nothing can be
    changed or cancelled after it: name all items at once.
    """
    order = operations.modify_order_items(
        ctx.session, order_id, item_ids, new_item_ids, payment_method_id, customer_id=_customer(ctx)
    )
    ctx.emit(
        OrderItemsChanged(
            order_id=order_id, user_id=order.user_id, item_ids=tuple(item_ids), new_item_ids=tuple(new_item_ids)
        )
    )
    return order


@command("order.return_items", effect="transactional", **_looking_at(operations.return_order_items))
def return_order_items(
    order_id: OrderId, item_ids: ItemIds, payment_method_id: PaymentMethodId, ctx: DeskContext
) -> Order:
    """Return items of a delivered order, refunded to the method that paid for it or to a gift card. Only once per
    order: name all items at once.
    """
    order = operations.return_order_items(
        ctx.session, order_id, item_ids, payment_method_id, customer_id=_customer(ctx)
    )
    ctx.emit(
        ReturnRequested(
            order_id=order_id, user_id=order.user_id, item_ids=tuple(item_ids), payment_method_id=payment_method_id
        )
    )
    return order


@command("order.exchange_items", effect="transactional", **_looking_at(operations.exchange_order_items))
def exchange_order_items(
    order_id: OrderId,
    item_ids: ItemIds,
    new_item_ids: NewItemIds,
    payment_method_id: PaymentMethodId,
    ctx: DeskContext,
) -> Order:
    """Exchange items of a delivered order for other variants of the same products. Only once per order: name all items
    at once.
    """
    order = operations.exchange_order_items(
        ctx.session, order_id, item_ids, new_item_ids, payment_method_id, customer_id=_customer(ctx)
    )
    ctx.emit(
        ExchangeRequested(
            order_id=order_id,
            user_id=order.user_id,
            item_ids=tuple(item_ids),
            new_item_ids=tuple(new_item_ids),
            price_difference=order.exchange_price_difference or Decimal(0),
            payment_method_id=payment_method_id,
        )
    )
    return order


@command(
    "customer.change_address",
    effect="transactional",
    input_model=NewCustomerAddress,
    **_looking_at(operations.modify_user_address),
)
def change_customer_address(new: NewCustomerAddress, ctx: DeskContext) -> User:
    """Give the customer another default address; orders keep theirs."""
    user = operations.modify_user_address(ctx.session, new.user_id, new.address, customer_id=_customer(ctx))
    ctx.emit(CustomerAddressChanged(user_id=new.user_id))
    return user


# Giving up


@event("desk.hand_over")
def hand_over(
    summary: Annotated[str, Content, Field(description="What the customer wants, and why the desk cannot do it.")],
    ctx: DeskContext,
) -> HandOverRequested:
    """Hand the customer over to a human agent, if and only if the request is beyond what the desk can do."""
    return HandOverRequested(user_id=ctx.data.customer_id, summary=summary)


IDENTIFYING: tuple[ToolContract, ...] = (find_customer_by_email, find_customer_by_name)
LOOKING_UP: tuple[ToolContract, ...] = (get_customer, get_order, get_product, get_item, list_products, calculate)
CHANGING: tuple[ToolContract, ...] = (
    cancel_order,
    change_order_address,
    change_order_payment,
    change_order_items,
    return_order_items,
    exchange_order_items,
    change_customer_address,
)
BY_TAU2_NAME: Mapping[str, ToolContract[..., Any]] = {
    "calculate": calculate,
    "cancel_pending_order": cancel_order,
    "exchange_delivered_order_items": exchange_order_items,
    "find_user_id_by_email": find_customer_by_email,
    "find_user_id_by_name_zip": find_customer_by_name,
    "get_item_details": get_item,
    "get_order_details": get_order,
    "get_product_details": get_product,
    "get_user_details": get_customer,
    "list_all_product_types": list_products,
    "modify_pending_order_address": change_order_address,
    "modify_pending_order_items": change_order_items,
    "modify_pending_order_payment": change_order_payment,
    "modify_user_address": change_customer_address,
    "return_delivered_order_items": return_order_items,
    "transfer_to_human_agents": hand_over,
}
"""Every tool of the desk, by its name in tau2-bench; the arguments are those of the benchmark as well."""


def _customer(ctx: DeskContext) -> str:
    if ctx.data.customer_id is None:
        raise Refused(
            "The customer is not identified, and without that nothing can be looked up or changed. Find the "
            "customer by email address, or by name and zip code, first.",
            code="not_identified",
        )
    return ctx.data.customer_id


def shown(change: Change[Any]) -> dict[str, JSON]:
    """Give what somebody who confirms a change has to see of it: each field that becomes another, and of lists only
    what is replaced or added.

    Balances of gift cards are left out: they also move with other changes of the same conversation, which must not
    make a confirmation void, and the amounts are among the payments.
    """
    before, after = (record.model_dump(mode="json", by_alias=True) for record in (change.before, change.after))
    key = "orderId" if isinstance(change.after, Order) else "userId"
    changes = {name: _difference(before.get(name), value) for name, value in after.items() if value != before.get(name)}
    return {key: after[key], "changes": changes}


def _difference(old: Any, new: Any) -> JSON:
    if isinstance(old, list) and isinstance(new, list):
        replaced = [{"from": one, "to": other} for one, other in zip(old, new, strict=False) if one != other]
        return [*replaced, *({"added": one} for one in new[len(old) :])]
    return {"from": old, "to": new}
