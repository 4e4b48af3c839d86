"""A tool whose parameters are of every kind that people write, and arguments for it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, JsonValue

from interlock.tools import (
    command,
)


class Colour(enum.StrEnum):
    DARK_RED = "dark red"
    BLUE = "blue"


class Line(BaseModel):
    product_id: str
    how_many: Annotated[int, Field(ge=1), AfterValidator(lambda count: count)] = 1


@dataclasses.dataclass
class Parcel:
    parcel_id: str
    lines_in: list[int] = dataclasses.field(default_factory=list)


class Tree(BaseModel):
    node_name: str
    sub_trees: list[Tree] = []


class Person(BaseModel):
    full_name: str
    best_friend: Pet | None = None


class Pet(BaseModel):
    pet_name: str
    its_owner: Person | None = None


Tree.model_rebuild()
Person.model_rebuild()


class Card(BaseModel):
    kind: Literal["card"]
    card_number: str


class Voucher(BaseModel):
    kind: Literal["voucher"]
    voucher_code: str


FIRST = Line(product_id="p-0")


@command("order.place", effect="idempotent")
def place_order(
    order_id: str,
    total_amount: Decimal,
    lines: list[Line],
    due_on: dt.date,
    placed_at: dt.datetime,
    reference: uuid.UUID,
    colour: Colour,
    weight: float,
    tags: set[str],
    pair: tuple[int, str],
    payment: Annotated[Card | Voucher, Field(discriminator="kind")],
    notes: dict[str, JsonValue],
    tree: Tree,
    person: Person,
    parcel: Parcel,
    express: bool = False,
    first_line: Line = FIRST,
    remark: str | None = None,
    limit: Annotated[int | None, Field(description="At most so many.", ge=1)] = None,
) -> list[Line]:
    """Place an order."""
    assert isinstance(parcel, Parcel)
    assert isinstance(payment, Card | Voucher)
    return lines


ORDER: dict[str, Any] = {
    "orderId": "o-1",
    "totalAmount": "12.50",
    "lines": [{"productId": "p-1", "howMany": 2}],
    "dueOn": "2026-02-03",
    "placedAt": "2026-02-03T04:05:06Z",
    "reference": "6e1f0ae2-9f4c-4b3f-8c6f-2a4a5f3b1c00",
    "colour": "dark red",
    "weight": 3,
    "tags": ["b", "a", "c"],
    "pair": [1, "x"],
    "payment": {"kind": "card", "cardNumber": "4"},
    "notes": {"some_key": [1, None]},
    "tree": {"nodeName": "a", "subTrees": [{"nodeName": "b", "subTrees": []}]},
    "person": {"fullName": "Ada", "bestFriend": {"petName": "Rex", "itsOwner": {"fullName": "Bo"}}},
    "parcel": {"parcelId": "x", "linesIn": [1]},
}
