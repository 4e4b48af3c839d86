"""What a contract makes of what its function returned."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, computed_field

from interlock.tools import (
    InvalidOutput,
    read,
)
from tests.tools.orders import Line, Parcel
from tests.tools.support import lookup


class Receipt(BaseModel):
    receipt_id: str
    total_amount: Decimal
    line_items: dict[str, Line]
    sent: Annotated[bool, Field(alias="wasSent")] = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def is_free(self) -> bool:
        return self.total_amount == 0


def test_output_is_camel_case_at_every_depth_and_fits_its_schema() -> None:
    @read("receipt.get")
    def get(order_id: str) -> Receipt:
        """Look up."""
        return Receipt(receipt_id=order_id, total_amount=Decimal("1.10"), line_items={"line_1": Line(product_id="p")})

    output = get.dump_output(get.call(get.parse({"orderId": "r-1"})))

    assert output == {
        "receiptId": "r-1",
        "totalAmount": "1.10",
        "lineItems": {"line_1": {"productId": "p", "howMany": 1}},
        "wasSent": False,
        "isFree": False,
    }
    Draft202012Validator(get.output_schema()).validate(output)


@pytest.mark.parametrize("value", [5, None, "\ud800", b"\xff"])
def test_output_that_the_contract_does_not_promise_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOutput) as caught:
        read("order.get")(lookup).dump_output(value)

    assert caught.value.code == "invalid_output"
    assert "order.get returned what its contract does not promise" in caught.value.message


def test_output_that_was_spoilt_after_it_was_made_is_refused() -> None:
    contract = read("order.get", output_model=Line)(lookup)

    spoilt: Any = object()

    with pytest.raises(InvalidOutput):
        contract.dump_output(Line.model_construct(product_id=spoilt, how_many=1))


def test_output_without_a_json_form_is_refused() -> None:
    with pytest.raises(InvalidOutput):
        read("order.get", output_model=list[float])(lookup).dump_output([float("nan")])


def test_a_dataclass_is_written_in_camel_case() -> None:
    contract = read("parcel.get", output_model=list[Parcel])(lookup)

    assert contract.dump_output([Parcel("x", [1])]) == [{"parcelId": "x", "linesIn": [1]}]


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    all_items: list[T]


def test_a_generic_model_is_written_in_camel_case() -> None:
    contract = read("line.list", output_model=Page[Line])(lookup)

    assert contract.dump_output(Page[Line](all_items=[Line(product_id="p")])) == {
        "allItems": [{"productId": "p", "howMany": 1}]
    }
    assert contract.output_schema()["required"] == ["allItems"]
