"""What is read can be written, and what was written can be read: for arguments and for output."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from interlock.tools import InvalidArguments, command


class Line(BaseModel):
    product_id: str
    unit_price: Decimal
    sold_on: dt.date | None = None


class Order(BaseModel):
    order_lines: list[Line]
    labels_by_key: dict[str, int | str | None]
    status_now: Literal["open", "closed"]


@command("order.keep")
def keep(
    order: Order,
    tags: frozenset[str],
    weight_kg: float,
    opened_at: dt.datetime,
    lines_by_day: dict[str, list[Line]],
    note: str | None = None,
    how_many: int = 1,
) -> Order:
    """Keep an order."""
    return order


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
LINES = st.lists(
    st.fixed_dictionaries(
        {"productId": TEXT, "unitPrice": st.decimals(-(10**6), 10**6, places=2).map(str) | st.integers(-99, 99)},
        optional={"soldOn": st.none() | st.dates().map(str)},
    ),
    max_size=2,
)
ARGUMENTS = st.fixed_dictionaries(
    {
        "order": st.fixed_dictionaries(
            {
                "orderLines": LINES,
                "labelsByKey": st.dictionaries(TEXT, st.none() | st.integers(-9, 9) | TEXT, max_size=2),
                "statusNow": st.sampled_from(["open", "closed"]),
            }
        ),
        "tags": st.lists(TEXT, max_size=3),
        "weightKg": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
        "openedAt": st.datetimes(timezones=st.just(dt.UTC)).map(lambda moment: moment.isoformat()),
        "linesByDay": st.dictionaries(TEXT, LINES, max_size=2),
    },
    optional={"note": st.none() | TEXT, "howMany": st.integers(-(2**53), 2**53)},
)
INPUT, OUTPUT = Draft202012Validator(keep.input_schema()), Draft202012Validator(keep.output_schema())


@given(ARGUMENTS)
def test_canonical_arguments_are_read_back_as_the_same_call(arguments: Any) -> None:
    read = keep.parse(arguments)
    canonical = keep.canonical_arguments(read)

    stored = json.loads(json.dumps(canonical))

    assert stored == canonical
    assert keep.parse(stored) == read
    assert keep.canonical_arguments(keep.parse(stored)) == canonical
    assert keep.fingerprint(keep.parse(stored)) == keep.fingerprint(read)
    INPUT.validate(canonical)


@given(ARGUMENTS)
def test_output_fits_its_schema_and_is_read_back(arguments: Any) -> None:
    read: Any = keep.parse(arguments)

    output = keep.dump_output(keep.call(read))

    OUTPUT.validate(output)
    assert keep.parse({**arguments, "order": output}).order == read.order  # type: ignore[attr-defined]


@given(ARGUMENTS, st.data())
def test_one_unknown_key_anywhere_is_refused(arguments: Any, data: st.DataObject) -> None:
    places = [arguments, arguments["order"], *arguments["order"]["orderLines"]]
    data.draw(st.sampled_from(places))["unheardOf"] = 1

    with pytest.raises(InvalidArguments) as caught:
        keep.parse(arguments)

    assert [problem["field"].split(".")[-1] for problem in caught.value.problems] == ["unheardOf"]
