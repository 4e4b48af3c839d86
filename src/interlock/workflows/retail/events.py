"""The events of the desk; they are published through the outbox when the change commits."""

from ...tools.events import Event
from .shop import CancelReason, Money


class OrderCancelled(Event, name="order.cancelled"):
    """An order was cancelled and refunded."""

    order_id: str
    user_id: str
    reason: CancelReason


class OrderAddressChanged(Event, name="order.address_changed"):
    """An order goes to another address."""

    order_id: str
    user_id: str


class OrderPaymentChanged(Event, name="order.payment_changed"):
    """An order is paid for by another method."""

    order_id: str
    user_id: str
    payment_method_id: str


class OrderItemsChanged(Event, name="order.items_changed"):
    """Items of a pending order became others."""

    order_id: str
    user_id: str
    item_ids: tuple[str, ...]
    new_item_ids: tuple[str, ...]


class ReturnRequested(Event, name="order.return_requested"):
    """A customer sends items back; anyone who writes the mail about how to return them listens to this."""

    order_id: str
    user_id: str
    item_ids: tuple[str, ...]
    payment_method_id: str


class ExchangeRequested(Event, name="order.exchange_requested"):
    """A customer sends items back for others; anyone who writes the mail about how to return them listens to this."""

    order_id: str
    user_id: str
    item_ids: tuple[str, ...]
    new_item_ids: tuple[str, ...]
    price_difference: Money
    payment_method_id: str


class CustomerAddressChanged(Event, name="customer.address_changed"):
    """A customer's default address is another."""

    user_id: str


class HandOverRequested(Event, name="desk.hand_over_requested"):
    """The desk cannot help further: a human agent takes the customer over."""

    user_id: str | None
    """None where the customer was not identified."""
    summary: str
