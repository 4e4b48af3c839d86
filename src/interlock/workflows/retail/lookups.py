"""The desk's look-ups, restricted to the customer whom it serves.

`customer_id`, if given, is the customer whom the desk serves: orders and profiles of other customers are answered exactly as
if they did not exist, so that the answer does not reveal them.
"""

from sqlalchemy.orm import Session

from ...tools.errors import Refused
from .shop import (
    Order,
    Product,
    User,
    Variant,
    find_user_by_email,
    find_users_by_name,
    read_order,
    read_product,
    read_product_names,
    read_user,
    read_variants,
)


def find_customer_by_email(session: Session, email: str) -> str:
    """Find the ID of the customer with this email address, ignoring case.

    Raises:
        Refused: There is no such customer.
    """
    user_id = find_user_by_email(session, email)
    if user_id is None:
        raise Refused(
            f"User not found: no customer has the email address {email!r}. Ask the customer to check it, or for name "
            "and zip code.",
            code="user_not_found",
        )
    return user_id


def find_customer_by_name(session: Session, first_name: str, last_name: str, zip_code: str) -> str:
    """Find the ID of the customer with this name, ignoring case, and this zip code.

    Raises:
        Refused: There is no such customer, or several; then only the email address identifies one.
    """
    user_ids = find_users_by_name(session, first_name, last_name, zip_code)
    if not user_ids:
        raise Refused(
            f"User not found: no customer is called {first_name} {last_name} with zip code {zip_code}. Ask the "
            "customer to check them, or for the email address.",
            code="user_not_found",
        )
    if len(user_ids) > 1:
        raise Refused(
            f"Several customers are called {first_name} {last_name} with zip code {zip_code}. Ask the customer for "
            "the email address.",
            code="user_ambiguous",
        )
    return user_ids[0]


def get_user(session: Session, user_id: str, *, customer_id: str | None = None, lock: bool = False) -> User:
    """Look up a customer's profile.

    Raises:
        Refused: There is no such customer, or it is not the one served.
    """
    user = read_user(session, user_id, lock=lock) if customer_id in (None, user_id) else None
    if user is None:
        raise Refused(
            f"User not found: {user_id!r} is not a customer whom you serve. Only the identified customer's profile "
            "can be used.",
            code="user_not_found",
            details={"userId": user_id},
        )
    return user


def get_order(session: Session, order_id: str, *, customer_id: str | None = None, lock: bool = False) -> Order:
    """Look up an order.

    Raises:
        Refused: There is no such order, or it is another customer's.
    """
    order = read_order(session, order_id, lock=lock)
    if order is None or customer_id not in (None, order.user_id):
        raise Refused(
            f"Order not found: {order_id!r} is not an order of the customer's. Order IDs begin with '#W'; the "
            "customer's profile lists them.",
            code="order_not_found",
            details={"orderId": order_id},
        )
    return order


def get_product(session: Session, product_id: str) -> Product:
    """Look up a type of product with all of its variants.

    Raises:
        Refused: There is no product with this ID.
    """
    product = read_product(session, product_id)
    if product is None:
        raise Refused(
            f"Product not found: there is no product {product_id!r}. Product IDs and item IDs are different things; "
            "list the product types to find one.",
            code="product_not_found",
            details={"productId": product_id},
        )
    return product


def get_item(session: Session, item_id: str) -> Variant:
    """Look up one variant of a product by its item ID.

    Raises:
        Refused: There is no item with this ID.
    """
    found = read_variants(session, [item_id]).get(item_id)
    if found is None:
        raise Refused(
            f"Item not found: there is no item {item_id!r}. Item IDs and product IDs are different things; look the "
            "product up to find its items.",
            code="item_not_found",
            details={"itemId": item_id},
        )
    return found[1]


def list_product_types(session: Session) -> dict[str, str]:
    """List the types of products: a mapping of names to IDs, sorted by name."""
    return read_product_names(session)
