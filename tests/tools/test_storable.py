"""What every database keeps: which values are refused and why, and the form in which anything can be recorded."""

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.tools.storable import (
    DEEPEST,
    LARGEST_INTEGER,
    SMALLEST_INTEGER,
    storable,
    storable_text,
    why_not_storable,
)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Liar(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")


HOSTILE: dict[str, tuple[Any, str]] = {
    "NaN": (math.nan, "nan"),
    "an infinity": (-math.inf, "inf"),
    "a Decimal that is no number": (Decimal("NaN"), "NaN"),
    "half of a surrogate pair": ("a\ud83d", "surrogate"),
    "half of a surrogate pair as a key": ({"\udc00": 1}, "surrogate"),
    "NUL": ("a\0b", "NUL"),
    "NUL in a key": ({"a\0": 1}, "NUL"),
    "an integer beyond 64 bits": (LARGEST_INTEGER + 1, "64 bits"),
    "a negative integer beyond 64 bits": (SMALLEST_INTEGER - 1, "64 bits"),
    "an integer of ten thousand digits": (10**10_000, "digits"),
    "too deep": (nested(DEEPEST + 1), "levels deep"),
    "much too deep": (nested(100_000), "nested too deeply"),
    "a list that holds itself": (endless(), "nested too deeply"),
    "too long": ("x" * 1_000_001, "longer than"),
    "too many": ([[]] * 350_000, "longer than"),
    "a long key": ({"k" * 1_001: 1}, "key of more than"),
    "a key that is no text": ({1: 2}, "only strings"),
    "an object": (object(), "no JSON form"),
    "an object that cannot be shown": (Hostile(), "no JSON form"),
    "a dict that raises": (Liar(a=1), "cannot be read"),
}
WRAPPED = [
    lambda value: value,
    lambda value: [value],
    lambda value: {"a": {"b": [1, value]}},
]


@pytest.mark.parametrize("wrap", WRAPPED, ids=["alone", "in a list", "deeper"])
@pytest.mark.parametrize(("value", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_no_database_keeps_is_refused_with_a_reason_and_has_a_form_for_the_record(
    value: Any, reason: str, wrap: Any
) -> None:
    problem = why_not_storable(wrap(value))
    recorded = storable(wrap(value))

    assert problem is not None
    assert reason in problem
    assert why_not_storable(recorded) is None
    assert json.loads(json.dumps(recorded, allow_nan=False)) == recorded


def test_the_reason_says_where_the_value_stands() -> None:
    assert "'lines.1.price'" in (why_not_storable({"lines": [{}, {"price": math.nan}]}) or "")
    assert "'lines.0.note'" in (why_not_storable({"lines": [{"note": "\0"}]}) or "")


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1, LARGEST_INTEGER, SMALLEST_INTEGER, 1.5, 1e300, "", "é😀", [], {}, nested(DEEPEST)),
        {"": {"a": [1, None, "x" * 10_000]}},
    ],
)
def test_what_can_be_kept_is_kept_as_it_is(value: Any) -> None:
    assert why_not_storable(value) is None
    assert storable(value) == value


def test_what_has_a_json_form_is_recorded_in_it() -> None:
    assert storable({"at": dt.date(2026, 1, 2), "amount": Decimal("1.50")}) == {"at": "2026-01-02", "amount": "1.50"}


def test_one_bad_value_does_not_hide_the_others_from_the_record() -> None:
    assert storable({"order": "7", "amount": math.nan, "note": "a\ud83d\0"}) == {
        "order": "7",
        "amount": "nan",
        "note": "a\\ud83d\\x00",
    }


def test_a_record_of_much_is_cut_off() -> None:
    recorded = storable({"text": "x" * 2_000_000, "many": [math.nan] * 100_000})

    assert len(json.dumps(recorded)) < 20_000


@pytest.mark.parametrize("text", ["a\ud83d", "a\0", "x" * 10_000, 5, None, Hostile()])
def test_any_text_is_recorded(text: Any) -> None:
    assert why_not_storable(storable_text(text)) is None


JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters()) | st.integers() | st.none(), inner)
        | st.sets(st.integers())
    ),
)


@given(JSON_LIKE)
def test_anything_has_a_form_that_can_be_kept_and_is_itself_where_it_can_be_kept(value: Any) -> None:
    recorded = storable(value)

    assert why_not_storable(recorded) is None
    assert storable(recorded) == recorded
