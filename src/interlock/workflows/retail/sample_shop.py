"""A small fictional shop for the demo, the notebooks and first steps.

Five customers, eight products, and fourteen orders with every possible status. All people and addresses are invented.
"""

from decimal import Decimal

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from .shop import (
    Address,
    CancelReason,
    CreditCard,
    Fulfillment,
    GiftCard,
    Name,
    Order,
    OrderItem,
    OrderStatus,
    Payment,
    PaymentMethod,
    PayPal,
    Product,
    Shop,
    User,
    Variant,
    load,
)


def load_sample_shop(session: Session | Connection) -> Shop:
    """Load the sample shop into empty tables; the caller commits."""
    return load(session, sample_shop())


def sample_shop() -> Shop:
    """Build the sample shop."""
    catalogue = {item_id: (product, variant) for product in _PRODUCTS for item_id, variant in product.variants.items()}
    orders = [_order(catalogue, placed) for placed in _ORDERS] + _finished(catalogue)
    users = [
        user.model_copy(update={"orders": tuple(order.order_id for order in orders if order.user_id == user.user_id)})
        for user in _USERS
    ]
    return Shop(
        products={product.product_id: product for product in _PRODUCTS},
        users={user.user_id: user for user in users},
        orders={order.order_id: order for order in orders},
    )


def _product(product_id: str, name: str, *variants: tuple[str, str, str, dict[str, str]]) -> Product:
    """Build a product from its variants: item ID, price, whether it is in stock, options."""
    made = {
        item_id: Variant(item_id=item_id, options=options, available=stock == "available", price=Decimal(price))
        for item_id, price, stock, options in variants
    }
    return Product(name=name, product_id=product_id, variants=made)


_PRODUCTS = (
    _product(
        "P10",
        "Teapot",
        ("I1001", "34.50", "available", {"colour": "slate", "volume": "0.7 l", "strainer": "steel"}),
        ("I1002", "34.50", "available", {"colour": "sand", "volume": "0.7 l", "strainer": "steel"}),
        ("I1003", "41.90", "available", {"colour": "slate", "volume": "1.2 l", "strainer": "steel"}),
        ("I1004", "38.20", "sold out", {"colour": "moss", "volume": "1.2 l", "strainer": "cotton"}),
    ),
    _product(
        "P20",
        "Reading Lamp",
        ("I2001", "79.00", "available", {"finish": "brass", "switch": "dimmer"}),
        ("I2002", "64.00", "available", {"finish": "black", "switch": "on/off"}),
        ("I2003", "71.50", "available", {"finish": "black", "switch": "dimmer"}),
    ),
    _product(
        "P30",
        "Wool Blanket",
        ("I3001", "118.00", "available", {"size": "130 x 180", "pattern": "plain", "colour": "oat"}),
        ("I3002", "118.00", "available", {"size": "130 x 180", "pattern": "herringbone", "colour": "rust"}),
        ("I3003", "156.00", "available", {"size": "200 x 220", "pattern": "plain", "colour": "oat"}),
        ("I3004", "149.00", "sold out", {"size": "200 x 220", "pattern": "herringbone", "colour": "rust"}),
    ),
    _product(
        "P40",
        "Rain Jacket",
        ("I4001", "139.95", "available", {"size": "S", "colour": "navy"}),
        ("I4002", "139.95", "available", {"size": "M", "colour": "navy"}),
        ("I4003", "139.95", "available", {"size": "L", "colour": "navy"}),
        ("I4004", "144.95", "available", {"size": "M", "colour": "signal yellow"}),
    ),
    _product(
        "P50",
        "Pocket Notebook",
        ("I5001", "7.80", "available", {"ruling": "dotted", "pages": "96"}),
        ("I5002", "7.80", "available", {"ruling": "plain", "pages": "96"}),
        ("I5003", "11.40", "available", {"ruling": "dotted", "pages": "192"}),
    ),
    _product(
        "P60",
        "Bicycle Pump",
        ("I6001", "29.90", "available", {"valve": "universal", "gauge": "yes"}),
        ("I6002", "22.90", "available", {"valve": "universal", "gauge": "no"}),
    ),
    _product(
        "P70",
        "Kitchen Scale",
        ("I7001", "45.00", "available", {"range": "5 kg", "power": "battery"}),
        ("I7002", "58.00", "available", {"range": "10 kg", "power": "USB-C"}),
        ("I7003", "49.00", "sold out", {"range": "5 kg", "power": "USB-C"}),
    ),
    _product(
        "P80",
        "Backpack",
        ("I8001", "92.00", "available", {"volume": "18 l", "colour": "olive"}),
        ("I8002", "104.00", "available", {"volume": "24 l", "colour": "olive"}),
        ("I8003", "104.00", "available", {"volume": "24 l", "colour": "graphite"}),
    ),
)


def _user(user_id: str, name: str, email: str, address: Address, *methods: PaymentMethod) -> User:
    first_name, last_name = name.split(" ", 1)
    return User(
        user_id=user_id,
        name=Name(first_name=first_name, last_name=last_name),
        address=address,
        email=email,
        payment_methods={method.id: method for method in methods},
        orders=(),
    )


def _address(address1: str, address2: str, city: str, state: str, zip_code: str) -> Address:
    return Address(address1=address1, address2=address2, city=city, country="USA", state=state, zip=zip_code)


_USERS = (
    _user(
        "tove_marklund",
        "Tove Marklund",
        "tove.marklund@example.org",
        _address("12 Ferry Lane", "Apt 3", "Portsmere", "ME", "04199"),
        CreditCard(id="card_tove", brand="visa", last_four="4471"),
        GiftCard(id="gift_tove", balance=Decimal("60.00")),
    ),
    _user(
        "idris_balogun",
        "Idris Balogun",
        "idris@example.net",
        _address("4 Quarry Road", "", "Stonebridge", "VT", "05099"),
        PayPal(id="paypal_idris"),
        CreditCard(id="card_idris", brand="mastercard", last_four="9020"),
    ),
    _user(
        "mei_castellano",
        "Mei Castellano",
        "mei.castellano@example.com",
        _address("880 Orchard Street", "Floor 2", "Lakeford", "WA", "98299"),
        GiftCard(id="gift_mei", balance=Decimal("250.00")),
        PayPal(id="paypal_mei"),
    ),
    _user(
        "jonas_achterberg",
        "Jonas Achterberg",
        "j.achterberg@example.org",
        _address("31 Mill Court", "Unit B", "Harrow Falls", "OR", "97099"),
        CreditCard(id="card_jonas", brand="visa", last_four="1138"),
    ),
    _user(
        "samira_whitlock",
        "Samira Whitlock",
        "samira@example.com",
        _address("7 Beacon Hill", "", "Portsmere", "ME", "04199"),
        PayPal(id="paypal_samira"),
        GiftCard(id="gift_samira", balance=Decimal("12.35")),
    ),
)

_Placed = tuple[str, str, OrderStatus, tuple[str, ...], str]

_ORDERS: tuple[_Placed, ...] = (
    ("#W1001", "tove_marklund", OrderStatus.PENDING, ("I1001", "I5001", "I5001"), "card_tove"),
    ("#W1002", "tove_marklund", OrderStatus.DELIVERED, ("I4002", "I6002"), "card_tove"),
    ("#W1003", "tove_marklund", OrderStatus.PROCESSED, ("I7001",), "gift_tove"),
    ("#W1004", "idris_balogun", OrderStatus.PENDING, ("I2002", "I3001"), "paypal_idris"),
    ("#W1005", "idris_balogun", OrderStatus.DELIVERED, ("I8001",), "card_idris"),
    ("#W1006", "mei_castellano", OrderStatus.PENDING, ("I3001",), "gift_mei"),
    ("#W1007", "mei_castellano", OrderStatus.DELIVERED, ("I1002", "I2001", "I7002"), "paypal_mei"),
    ("#W1008", "jonas_achterberg", OrderStatus.PENDING, ("I4003", "I8003"), "card_jonas"),
    ("#W1009", "jonas_achterberg", OrderStatus.DELIVERED, ("I5003", "I5003"), "card_jonas"),
    ("#W1010", "samira_whitlock", OrderStatus.PROCESSED, ("I6001", "I5002"), "paypal_samira"),
)

_Catalogue = dict[str, tuple[Product, Variant]]
_SENT = (OrderStatus.PROCESSED, OrderStatus.DELIVERED)


def _order(catalogue: _Catalogue, placed: _Placed) -> Order:
    """Build an order to its customer's address, paid in full by one method, in one parcel once it is on its way."""
    order_id, user_id, status, item_ids, paid_by = placed
    bought = [catalogue[item_id] for item_id in item_ids]
    amount = sum((variant.price for _, variant in bought), Decimal(0))
    parcel = Fulfillment(tracking_id=(f"T{order_id[2:]}",), item_ids=tuple(variant.item_id for _, variant in bought))
    return Order(
        order_id=order_id,
        user_id=user_id,
        address=next(user.address for user in _USERS if user.user_id == user_id),
        items=tuple(
            OrderItem(
                name=product.name,
                product_id=product.product_id,
                item_id=variant.item_id,
                price=variant.price,
                options=variant.options,
            )
            for product, variant in bought
        ),
        status=status,
        fulfillments=(parcel,) if status in _SENT else (),
        payment_history=(Payment(transaction_type="payment", amount=amount, payment_method_id=paid_by),),
    )


def _finished(catalogue: _Catalogue) -> list[Order]:
    """Build the orders that were changed before the demo starts."""
    cancelled = _order(catalogue, ("#W1011", "samira_whitlock", OrderStatus.PENDING, ("I3003",), "paypal_samira"))
    modified = _order(catalogue, ("#W1012", "idris_balogun", OrderStatus.PENDING, ("I6001",), "card_idris"))
    returned = _order(
        catalogue,
        (
            "#W1013",
            "mei_castellano",
            OrderStatus.DELIVERED,
            (
                "I8002",
                "I5001",
            ),
            "paypal_mei",
        ),
    )
    exchanged = _order(catalogue, ("#W1014", "jonas_achterberg", OrderStatus.DELIVERED, ("I4001",), "card_jonas"))
    (paid,) = cancelled.payment_history
    refund = paid.model_copy(update={"transaction_type": "refund"})
    settled = Payment(transaction_type="payment", amount=Decimal("7.00"), payment_method_id="card_idris")
    before = _order(catalogue, ("#W1012", "idris_balogun", OrderStatus.PENDING, ("I6002",), "card_idris"))
    return [
        cancelled.model_copy(
            update={
                "status": OrderStatus.CANCELLED,
                "cancel_reason": CancelReason.ORDERED_BY_MISTAKE,
                "payment_history": (paid, refund),
            }
        ),
        modified.model_copy(
            update={"status": OrderStatus.ITEMS_MODIFIED, "payment_history": (*before.payment_history, settled)}
        ),
        returned.model_copy(
            update={
                "status": OrderStatus.RETURN_REQUESTED,
                "return_items": ("I5001",),
                "return_payment_method_id": "paypal_mei",
            }
        ),
        exchanged.model_copy(
            update={
                "status": OrderStatus.EXCHANGE_REQUESTED,
                "exchange_items": ("I4001",),
                "exchange_new_items": ("I4002",),
                "exchange_payment_method_id": "card_jonas",
                "exchange_price_difference": Decimal("0.00"),
            }
        ),
    ]
