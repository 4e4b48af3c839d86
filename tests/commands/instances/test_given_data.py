"""Which keys of initial data a model knows."""

from __future__ import annotations

from pydantic import AliasChoices, AliasPath, BaseModel, Field

from interlock.commands.instances.given_data import unknown_keys


class Order(BaseModel):
    order_id: str = Field("", alias="orderId")
    total: int = Field(0, validation_alias=AliasChoices("sum", AliasPath("totals", 0)))
    note: str = Field("", validation_alias="remark")


def test_a_key_is_known_by_its_name_and_by_every_alias() -> None:
    known = ["order_id", "orderId", "total", "sum", "totals", "note", "remark"]
    assert unknown_keys(Order, dict.fromkeys([*known, "colour", "None"])) == ["colour", "None"]
