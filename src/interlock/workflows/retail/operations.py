"""The desk's operations on orders and profiles: each can be checked, previewed and executed.

An operation takes a SQLAlchemy `Session` on the shop and its arguments, and writes in the transaction of that session; the caller
commits. Its `check` and `preview` apply the same rules without writing:

    cancel_order(session, "#W1", "no longer needed", customer_id="ada")            # the changed order, or raises Refused
    cancel_order.check(session, "#W1", "no longer needed", customer_id="ada")      # None, or the reason why not
    cancel_order.preview(session, "#W1", "no longer needed", customer_id="ada")    # the change that it would make

All three use the same rules (`rules`). `customer_id`, if given, is the customer whom the desk serves: only that customer's orders
and profile can be changed.
"""

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Concatenate, Generic, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from ...tools.errors import Refused
from . import lookups, rules
from .rules import Catalogue, Change
from .shop import Address, Order, User, read_variants, save_balances, save_order, save_user

P = ParamSpec("P")
R = TypeVar("R", bound=Order | User)


class Counter:
    """Looks up the records for an operation's rules, with locks if the operation will write."""

    def __init__(self, session: Session, *, lock: bool = False) -> None:
        self.session = session
        self._lock = lock

    def order(self, order_id: str, customer_id: str | None) -> Order:
        """Find an order, as `lookups.get_order` does."""
        return lookups.get_order(self.session, order_id, customer_id=customer_id, lock=self._lock)

    def user(self, user_id: str, customer_id: str | None) -> User:
        """Find a profile, as `lookups.get_user` does."""
        return lookups.get_user(self.session, user_id, customer_id=customer_id, lock=self._lock)

    def owner(self, order: Order) -> User:
        """Find the customer of an order."""
        return self.user(order.user_id, None)

    def catalogue(self, item_ids: Sequence[str]) -> Catalogue:
        """Find variants; those that do not exist are left out."""
        return read_variants(self.session, item_ids)


class Operation(Generic[P, R]):
    """One operation on an order or a profile."""

    def __init__(self, plan: Callable[Concatenate[Counter, P], Change[R]]) -> None:
        self._plan: Callable[Concatenate[Counter, P], Change[R]] = plan
        update_wrapper(self, plan)

    def __call__(self, session: Session, *args: P.args, **kwargs: P.kwargs) -> R:
        """Execute it, and return the changed record.

        Raises:
            Refused: A rule does not allow it; nothing was written.
        """
        change = self._plan(Counter(session, lock=True), *args, **kwargs)
        if isinstance(change.before, Order) and isinstance(change.after, Order):
            save_order(session, change.before, change.after, change.exchanged)
        elif isinstance(change.before, User) and isinstance(change.after, User):
            save_user(session, change.before, change.after)
        save_balances(session, change.before.user_id, change.balances)
        return change.after

    def check(self, session: Session, *args: P.args, **kwargs: P.kwargs) -> str | None:
        """Return None if the operation is possible now, else the reason why not. Nothing is written or locked."""
        try:
            self.preview(session, *args, **kwargs)
        except Refused as refused:
            return refused.message
        return None

    def preview(self, session: Session, *args: P.args, **kwargs: P.kwargs) -> Change[R]:
        """Return the change that the operation would make now. Nothing is written or locked.

        Raises:
            Refused: A rule does not allow it.
        """
        return self._plan(Counter(session), *args, **kwargs)


@Operation
def cancel_order(counter: Counter, order_id: str, reason: str, *, customer_id: str | None = None) -> Change[Order]:
    """Cancel a pending order and refund it."""
    order = counter.order(order_id, customer_id)
    return rules.cancel(order, counter.owner(order), reason)


@Operation
def modify_order_address(
    counter: Counter, order_id: str, address: Address, *, customer_id: str | None = None
) -> Change[Order]:
    """Send a pending order to another address."""
    return rules.move_order(counter.order(order_id, customer_id), address)


@Operation
def modify_order_payment(
    counter: Counter, order_id: str, payment_method_id: str, *, customer_id: str | None = None
) -> Change[Order]:
    """Pay for a pending order by another method."""
    order = counter.order(order_id, customer_id)
    return rules.pay_otherwise(order, counter.owner(order), payment_method_id)


@Operation
def modify_order_items(
    counter: Counter,
    order_id: str,
    item_ids: Sequence[str],
    new_item_ids: Sequence[str],
    payment_method_id: str,
    *,
    customer_id: str | None = None,
) -> Change[Order]:
    """Replace items of a pending order by other variants of the same products."""
    order = counter.order(order_id, customer_id)
    catalogue = counter.catalogue(new_item_ids)
    return rules.modify_items(
        order,
        counter.owner(order),
        catalogue,
        item_ids=item_ids,
        new_item_ids=new_item_ids,
        payment_method_id=payment_method_id,
    )


@Operation
def return_order_items(
    counter: Counter,
    order_id: str,
    item_ids: Sequence[str],
    payment_method_id: str,
    *,
    customer_id: str | None = None,
) -> Change[Order]:
    """Ask for the return of items of a delivered order."""
    order = counter.order(order_id, customer_id)
    return rules.return_items(order, counter.owner(order), item_ids, payment_method_id)


@Operation
def exchange_order_items(
    counter: Counter,
    order_id: str,
    item_ids: Sequence[str],
    new_item_ids: Sequence[str],
    payment_method_id: str,
    *,
    customer_id: str | None = None,
) -> Change[Order]:
    """Ask for the exchange of items of a delivered order for other variants of the same products."""
    order = counter.order(order_id, customer_id)
    catalogue = counter.catalogue(new_item_ids)
    return rules.exchange_items(
        order,
        counter.owner(order),
        catalogue,
        item_ids=item_ids,
        new_item_ids=new_item_ids,
        payment_method_id=payment_method_id,
    )


@Operation
def modify_user_address(
    counter: Counter, user_id: str, address: Address, *, customer_id: str | None = None
) -> Change[User]:
    """Give a customer another default address."""
    return rules.move_user(counter.user(user_id, customer_id), address)
