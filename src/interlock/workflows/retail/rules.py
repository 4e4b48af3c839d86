"""The shop's rules: which changes of orders and profiles are allowed, and their results.

Each rule is a pure function of records. It returns the `Change` that would be made, or raises `Refused` with the
reason. So the gate's check, the preview for the customer, and the operation itself always agree.

The rules are those of the retail policy of tau2-bench (Sierra Research, repository sierra-research/tau2-bench, commit
a2c0247, `data/tau2/domains/retail/policy.md`), and the amounts are the same as those of that benchmark's own tools, in
whole cents. Where its policy is stricter than its tools, the policy is followed:

- *No change after the items were modified.* The policy allows an order to be modified or cancelled only while it is `pending`,
  and not after its items were modified. The benchmark's tools for the address and the payment only look for the word `pending`
  in the status, which also matches `pending (item modified)`. None of the benchmark's 74 tasks needs that: where a task changes
  both, the address comes first. So every change requires exactly `pending`.
- *An exchange must be for another item.* The policy requires "a different product option" for exchanges too, not only when items
  of a pending order are modified.
- *A cancelled order is refunded once.* After a change of payment, the history contains a payment that was already refunded.
  One refund per row, as in the benchmark's tool, would refund it again, and refund the refund as well; the policy refunds "the
  total". If the history contains only payments, as in all tasks that cancel, that is one refund per row.
- *At least one item*, and only items of the shop's catalogue.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, TypeVar

from ...tools.errors import Refused
from .shop import (
    Address,
    CancelReason,
    GiftCard,
    Order,
    OrderItem,
    OrderStatus,
    Payment,
    PaymentMethod,
    User,
    Variant,
)

R = TypeVar("R", bound=Order | User)

Catalogue = Mapping[str, tuple[str, Variant]]
"""The variants that a rule needs, by item ID, each with the ID of its product."""

_TEXT_LIMITS = {"address1": 255, "address2": 255, "city": 128, "country": 64, "state": 64, "zip": 32}


@dataclass(frozen=True, kw_only=True)
class Change(Generic[R]):
    """The effect of an operation on a record.

    Attributes:
        before: The record as it was read.
        after: The record as it will be.
        balances: The new balances of the affected gift cards.
        exchanged: For an exchange, pairs of an item and its replacement.
    """

    before: R
    after: R
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    exchanged: tuple[tuple[str, str], ...] = ()


def cancel(order: Order, owner: User, reason: str) -> Change[Order]:
    """Cancel a pending order and refund it: to a gift card immediately, otherwise in 5 to 7 business days."""
    _require_status(order, OrderStatus.PENDING, "cancelled")
    if reason not in list(CancelReason):
        raise Refused(
            f"{reason!r} is not a reason for which an order can be cancelled. Ask the "
            f"customer for one of: {', '.join(repr(known.value) for known in CancelReason)}.",
            code="cancel_reason",
            details={"reason": reason, "reasons": [known.value for known in CancelReason]},
        )
    refunds = tuple(
        Payment(transaction_type="refund", amount=payment.amount, payment_method_id=payment.payment_method_id)
        for payment in _outstanding(order)
    )
    balances = dict[str, Decimal]()
    for refund in refunds:
        card = owner.payment_methods.get(refund.payment_method_id)
        if isinstance(card, GiftCard):
            balances[card.id] = balances.get(card.id, card.balance) + refund.amount
    after = order.model_copy(
        update={
            "status": OrderStatus.CANCELLED,
            "cancel_reason": CancelReason(reason),
            "payment_history": order.payment_history + refunds,
        }
    )
    return Change(before=order, after=after, balances=balances)


def move_order(order: Order, address: Address) -> Change[Order]:
    """Send a pending order to another address."""
    _require_status(order, OrderStatus.PENDING, "sent to another address")
    _require_storable(address)
    return Change(before=order, after=order.model_copy(update={"address": address}))


def move_user(user: User, address: Address) -> Change[User]:
    """Give a customer another default address."""
    _require_storable(address)
    return Change(before=user, after=user.model_copy(update={"address": address}))


def pay_otherwise(order: Order, owner: User, payment_method_id: str) -> Change[Order]:
    """Pay for a pending order by another method, once; the previous method is refunded."""
    _require_status(order, OrderStatus.PENDING, "paid for by another method")
    method = _method_of(owner, payment_method_id)
    if len(order.payment_history) != 1 or order.payment_history[0].transaction_type != "payment":
        raise Refused(
            f"The payment of order {order.order_id} was changed before, and it can be changed only once. Tell the "
            "customer so.",
            code="payment_history",
            details={"orderId": order.order_id, "rows": len(order.payment_history)},
        )
    (paid,) = order.payment_history
    if paid.payment_method_id == method.id:
        raise Refused(
            f"Order {order.order_id} is paid by {method.id} already. Ask the customer for another payment method.",
            code="payment_method_same",
            details={"orderId": order.order_id, "paymentMethodId": method.id},
        )
    balances = _charged(method, paid.amount, "the amount of the order")
    before = owner.payment_methods.get(paid.payment_method_id)
    if isinstance(before, GiftCard):
        balances[before.id] = before.balance + paid.amount
    history = (
        paid,
        Payment(transaction_type="payment", amount=paid.amount, payment_method_id=method.id),
        Payment(transaction_type="refund", amount=paid.amount, payment_method_id=paid.payment_method_id),
    )
    return Change(before=order, after=order.model_copy(update={"payment_history": history}), balances=balances)


def modify_items(
    order: Order,
    owner: User,
    catalogue: Catalogue,
    *,
    item_ids: Sequence[str],
    new_item_ids: Sequence[str],
    payment_method_id: str,
) -> Change[Order]:
    """Replace items of a pending order by other variants of the same products: once, and nothing after it."""
    _require_status(order, OrderStatus.PENDING, "given other items")
    places = _places(order, item_ids)
    variants = _replacements(order, places, catalogue, new_item_ids)
    method = _method_of(owner, payment_method_id)
    items, difference = list(order.items), Decimal(0)
    for place, new in zip(places, variants, strict=True):
        old = items[place]
        difference += new.price - old.price
        items[place] = OrderItem(
            name=old.name, product_id=old.product_id, item_id=new.item_id, price=new.price, options=new.options
        )
    settlement = Payment(
        transaction_type="payment" if difference > 0 else "refund",
        amount=abs(difference),
        payment_method_id=method.id,
    )
    after = order.model_copy(
        update={
            "status": OrderStatus.ITEMS_MODIFIED,
            "items": tuple(items),
            "payment_history": (*order.payment_history, settlement),
        }
    )
    return Change(before=order, after=after, balances=_charged(method, difference, "the price difference"))


def return_items(order: Order, owner: User, item_ids: Sequence[str], payment_method_id: str) -> Change[Order]:
    """Ask for the return of items of a delivered order, refunded to its payment method or to a gift card."""
    _require_status(order, OrderStatus.DELIVERED, "returned")
    method = _method_of(owner, payment_method_id)
    paid_by = order.payment_history[0].payment_method_id if order.payment_history else None
    if not isinstance(method, GiftCard) and method.id != paid_by:
        raise Refused(
            f"The refund for order {order.order_id} can only go to the method that paid for it ({paid_by}) or to a "
            f"gift card of the customer's; {method.id} is neither. Ask the customer for one of these.",
            code="refund_method",
            details={"orderId": order.order_id, "paymentMethodId": method.id, "paidBy": paid_by},
        )
    _places(order, item_ids)
    after = order.model_copy(
        update={
            "status": OrderStatus.RETURN_REQUESTED,
            "return_items": tuple(sorted(item_ids)),
            "return_payment_method_id": method.id,
        }
    )
    return Change(before=order, after=after)


def exchange_items(
    order: Order,
    owner: User,
    catalogue: Catalogue,
    *,
    item_ids: Sequence[str],
    new_item_ids: Sequence[str],
    payment_method_id: str,
) -> Change[Order]:
    """Ask for the exchange of items of a delivered order for other variants of the same products, once.

    The price difference is settled when the items come back: no balance moves now, but a gift card must cover it.
    """
    _require_status(order, OrderStatus.DELIVERED, "exchanged")
    places = _places(order, item_ids)
    variants = _replacements(order, places, catalogue, new_item_ids)
    method = _method_of(owner, payment_method_id)
    difference = sum(
        (new.price - order.items[place].price for place, new in zip(places, variants, strict=True)), Decimal(0)
    )
    _charged(method, difference, "the price difference")
    after = order.model_copy(
        update={
            "status": OrderStatus.EXCHANGE_REQUESTED,
            "exchange_items": tuple(sorted(item_ids)),
            "exchange_new_items": tuple(sorted(new_item_ids)),
            "exchange_payment_method_id": method.id,
            "exchange_price_difference": difference,
        }
    )
    return Change(before=order, after=after, exchanged=tuple(zip(item_ids, new_item_ids, strict=True)))


def _require_status(order: Order, status: OrderStatus, done: str) -> None:
    if order.status is status:
        return
    once = (
        " Its items were modified, which can be done only once and ends all other changes."
        if order.status is OrderStatus.ITEMS_MODIFIED
        else ""
    )
    raise Refused(
        f"Order {order.order_id} is {order.status.value!r}, and only an order that is {status.value!r} can be "
        f"{done}.{once} Tell the customer so.",
        code="order_status",
        details={"orderId": order.order_id, "status": order.status.value, "requiredStatus": status.value},
    )


def _require_storable(address: Address) -> None:
    for name, limit in _TEXT_LIMITS.items():
        text: str = getattr(address, name)
        unprintable = any(unicodedata.category(char) in {"Cc", "Cs"} for char in text)
        if len(text) > limit or unprintable or (not text.strip() and name != "address2"):
            raise Refused(
                f"{name} is empty, longer than {limit} characters or holds characters that no address has. "
                "Ask the customer to spell it out.",
                code="address",
                details={"field": name},
            )


def _method_of(owner: User, payment_method_id: str) -> PaymentMethod:
    method = owner.payment_methods.get(payment_method_id)
    if method is None:
        raise Refused(
            f"Payment method not found: the customer has no {payment_method_id!r}. Ask for one of: "
            f"{', '.join(owner.payment_methods)}.",
            code="payment_method_not_found",
            details={"paymentMethodId": payment_method_id, "paymentMethods": list(owner.payment_methods)},
        )
    return method


def _charged(method: PaymentMethod, amount: Decimal, what: str) -> dict[str, Decimal]:
    """The new balance of a gift card that pays `amount`, or receives it if it is negative; empty for other methods."""
    if not isinstance(method, GiftCard):
        return {}
    if method.balance < amount:
        raise Refused(
            f"Insufficient gift card balance: {method.id} holds {method.balance} and {what} is {amount}. Ask the "
            "customer for another payment method.",
            code="gift_card_balance",
            details={"paymentMethodId": method.id, "balance": str(method.balance), "amount": str(amount)},
        )
    return {method.id: method.balance - amount}


def _outstanding(order: Order) -> list[Payment]:
    """The payments of an order without a later refund of the same amount to the same method."""
    payments = [row for row in order.payment_history if row.transaction_type == "payment"]
    for refund in order.payment_history:
        if refund.transaction_type == "refund":
            answered = next(
                (
                    place
                    for place, paid in enumerate(payments)
                    if (paid.payment_method_id, paid.amount) == (refund.payment_method_id, refund.amount)
                ),
                None,
            )
            if answered is not None:
                del payments[answered]
    return payments


def _places(order: Order, item_ids: Sequence[str]) -> list[int]:
    """The position of each wanted item in the order, each copy once."""
    if not item_ids:
        raise Refused(
            f"No item of order {order.order_id} was named. Ask the customer which items are meant, all of them at "
            "once.",
            code="items",
            details={"orderId": order.order_id},
        )
    free: dict[str, list[int]] = {}
    for place, item in enumerate(order.items):
        free.setdefault(item.item_id, []).append(place)
    places = []
    for item_id in item_ids:
        left = free.get(item_id)
        if not left:
            has = sum(item.item_id == item_id for item in order.items)
            raise Refused(
                f"Order {order.order_id} has {has} of item {item_id}, and {list(item_ids).count(item_id)} were asked "
                "for. Look the order up and name only items that it has, as often as it has them.",
                code="items",
                details={"orderId": order.order_id, "itemId": item_id, "has": has},
            )
        places.append(left.pop(0))
    return places


def _replacements(
    order: Order, places: Sequence[int], catalogue: Catalogue, new_item_ids: Sequence[str]
) -> list[Variant]:
    """The variants that replace the items, after a check of each pair."""
    if len(places) != len(new_item_ids):
        raise Refused(
            f"{len(places)} items and {len(new_item_ids)} new items do not make pairs. Name one new item for each "
            "item, in the same order.",
            code="items",
            details={"orderId": order.order_id, "items": len(places), "newItems": len(new_item_ids)},
        )
    variants = []
    for place, new_item_id in zip(places, new_item_ids, strict=True):
        old = order.items[place]
        product_id, variant = catalogue.get(new_item_id, (None, None))
        if variant is None or product_id != old.product_id:
            problem = f"is not a variant of {old.name} (product {old.product_id})"
        elif new_item_id == old.item_id:
            problem = "is the item itself"
        elif not variant.available:
            problem = "is not available"
        else:
            variants.append(variant)
            continue
        raise Refused(
            f"Item {old.item_id} of order {order.order_id} cannot become {new_item_id}, which {problem}. Look product "
            f"{old.product_id} up and choose another variant of it that is available.",
            code="item_unavailable",
            details={"orderId": order.order_id, "itemId": old.item_id, "newItemId": new_item_id},
        )
    return variants
