"""How a contract reads arguments, refuses them and tells one call from another."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import pickle
import uuid
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict

from interlock.tools import (
    InvalidArguments,
    read,
)
from tests.tools.orders import ORDER, Colour, Line, Parcel, Person, Pet, place_order
from tests.tools.support import problems


def test_arguments_of_every_type_are_read_and_written_back() -> None:
    arguments = place_order.parse(ORDER)

    canonical = place_order.canonical_arguments(arguments)

    assert canonical["orderId"] == "o-1"
    assert canonical["lines"] == [{"productId": "p-1", "howMany": 2}]
    assert canonical["tags"] == ["a", "b", "c"]
    assert canonical["notes"] == {"some_key": [1, None]}
    assert canonical["tree"] == ORDER["tree"]
    assert canonical["parcel"] == ORDER["parcel"]
    assert canonical["firstLine"] == {"productId": "p-0", "howMany": 1}
    assert "remark" not in canonical
    assert "limit" not in canonical
    assert place_order.canonical_arguments(place_order.parse(canonical)) == canonical
    Draft202012Validator(place_order.input_schema()).validate(canonical)


def test_snake_case_is_accepted_at_every_depth() -> None:
    snake = {**ORDER, "lines": [{"product_id": "p-1", "how_many": 2}], "tree": {"node_name": "a", "sub_trees": []}}
    snake["order_id"] = snake.pop("orderId")

    canonical = place_order.canonical_arguments(place_order.parse(snake))

    assert canonical["orderId"] == "o-1"
    assert canonical["lines"] == [{"productId": "p-1", "howMany": 2}]


def test_models_that_hold_each_other_are_read() -> None:
    person = place_order.parse(ORDER).person  # type: ignore[attr-defined]

    assert isinstance(person, Person)
    assert isinstance(person.best_friend, Pet)
    assert person.best_friend.its_owner is not None
    assert person.best_friend.its_owner.full_name == "Bo"


@pytest.mark.parametrize("amount", [12, 12.5, "12", "12.50", "-0.1"])
def test_a_decimal_is_read_from_a_number_or_a_string(amount: float | str) -> None:
    assert place_order.parse({**ORDER, "totalAmount": amount}).total_amount == Decimal(str(amount))  # type: ignore[attr-defined]


class Place(BaseModel):
    model_config = ConfigDict(frozen=True)
    zip_code: str


@dataclasses.dataclass(frozen=True, slots=True)
class Spot:
    spot_id: str


def test_arguments_pass_for_instances_of_the_classes_that_the_user_wrote() -> None:
    @read("order.find")
    def find(place: Place, spot: Spot, parcel: Parcel, line: Line) -> str:
        """Find."""
        return ""

    given: Any = find.parse(
        {
            "place": {"zipCode": "1"},
            "spot": {"spotId": "2"},
            "parcel": {"parcelId": "3", "linesIn": []},
            "line": {"productId": "4"},
        }
    )

    for argument, own, other in (
        (given.place, Place(zip_code="1"), Place(zip_code="2")),
        (given.spot, Spot("2"), Spot("3")),
        (given.parcel, Parcel("3"), Parcel("4")),
        (given.line, Line(product_id="4"), Line(product_id="4", how_many=2)),
    ):
        assert argument == own
        assert own == argument
        assert argument != other
        assert argument == copy.deepcopy(argument)
        assert type(pickle.loads(pickle.dumps(argument))) is type(own)  # noqa: S301
        assert pickle.loads(pickle.dumps(argument)) == own  # noqa: S301
    assert {given.place, given.spot} == {Place(zip_code="1"), Spot("2")}


def test_python_values_are_accepted_as_their_json_is() -> None:
    values = {
        **ORDER,
        "totalAmount": Decimal("12.50"),
        "dueOn": dt.date(2026, 2, 3),
        "tags": {"c", "b", "a"},
        "colour": Colour.DARK_RED,
    }
    values["reference"] = uuid.UUID(ORDER["reference"])

    assert place_order.parse(values) == place_order.parse(ORDER)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("orderId", 5),
        ("orderId", None),
        ("totalAmount", "much"),
        ("totalAmount", True),
        ("totalAmount", None),
        ("weight", "3"),
        ("weight", True),
        ("dueOn", "soon"),
        ("dueOn", 20260203),
        ("colour", "red"),
        ("express", 1),
        ("express", "yes"),
        ("limit", 0),
        ("limit", 1.5),
        ("limit", "5"),
        ("limit", True),
        ("tags", "a"),
        ("remark", 1),
        ("reference", "x"),
    ],
)
def test_arguments_of_a_wrong_type_are_refused_by_their_name_on_the_wire(field: str, value: Any) -> None:
    assert set(problems(place_order, {**ORDER, field: value})) == {field}


def test_every_problem_is_named_at_once_with_its_path() -> None:
    wrong = {**ORDER, "lines": [{"productId": "p-1"}, {"productId": 2, "howMany": 0, "colour": "x"}], "extra": 1}
    del wrong["orderId"]

    found = problems(place_order, wrong)

    assert set(found) == {"orderId", "lines.1.productId", "lines.1.howMany", "lines.1.colour", "extra"}
    assert found["orderId"] == "is required"
    assert found["lines.1.colour"] == "is not known"
    assert found["extra"].startswith("is not known; the arguments are orderId, totalAmount")


def test_a_required_argument_is_named_by_its_name_on_the_wire() -> None:
    assert "orderId" in problems(place_order, {})


def test_one_argument_under_two_names_is_refused() -> None:
    assert "given twice" in problems(place_order, {**ORDER, "order_id": "o-2"})["orderId"]


@pytest.mark.parametrize("value", ["{}", None, [], 5, True])
def test_arguments_that_are_no_object_are_refused(value: Any) -> None:
    assert "must be an object" in problems(place_order, value)[""]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), {1: 2}])
def test_values_without_a_json_form_are_refused(value: Any) -> None:
    assert problems(place_order, {**ORDER, "notes": {"a": value}})


def test_endless_nesting_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)

    assert "nested too deeply" in problems(place_order, {**ORDER, "notes": {"a": loop}})[""]


def test_the_message_names_no_tool_since_the_model_knows_it_by_another_name() -> None:
    with pytest.raises(InvalidArguments) as caught:
        place_order.parse({})

    assert "order.place" not in caught.value.message


def test_the_same_call_has_one_fingerprint_however_it_is_written() -> None:
    one = place_order.parse(ORDER)
    other = place_order.parse({**ORDER, "weight": 3.0, "tags": ["c", "a", "b", "a"], "remark": None, "express": False})

    assert place_order.fingerprint(one) == place_order.fingerprint(other)


def test_another_value_tool_or_version_has_another_fingerprint() -> None:
    def get(order_id: str) -> str:
        """Look up."""
        return order_id

    first, second, other = read("order.get")(get), read("order.get", version=2)(get), read("order.find")(get)

    prints = {
        first.fingerprint(first.parse({"orderId": "1"})),
        first.fingerprint(first.parse({"orderId": "2"})),
        second.fingerprint(second.parse({"orderId": "1"})),
        other.fingerprint(other.parse({"orderId": "1"})),
    }

    assert len(prints) == 4
