"""One JSON text per value."""

import dataclasses
import datetime as dt
import enum
import json
import os
import subprocess
import sys
import uuid
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from interlock.tools import JSON, NotJson, canonical, canonical_json, digest, to_json

VALUES: st.SearchStrategy[JSON] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def shuffled(value: JSON) -> JSON:
    match value:
        case dict():
            return {key: shuffled(value[key]) for key in sorted(value, reverse=True)}
        case list():
            return [shuffled(item) for item in value]
        case _:
            return value


@given(VALUES)
def test_the_text_reads_back_as_the_value(value: JSON) -> None:
    assert json.loads(canonical_json(value)) == value


@given(VALUES)
def test_the_text_does_not_depend_on_the_order_of_keys(value: JSON) -> None:
    assert canonical_json(shuffled(value)) == canonical_json(value)


@given(VALUES)
def test_reading_and_writing_again_changes_nothing(value: JSON) -> None:
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Model(BaseModel):
    item_id: str = Field("a", alias="itemId")
    amount: Decimal = Decimal("1.50")


@dataclasses.dataclass
class Point:
    x: int
    at: dt.date


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": "ä"}, '{"a":"ä","b":1}'),
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (True, "true"),
        ((1, 2), "[1,2]"),
        ({"b", "a"}, '["a","b"]'),
        (frozenset({3, 1}), "[1,3]"),
        (Decimal("12.50"), '"12.50"'),
        (dt.date(2026, 2, 3), '"2026-02-03"'),
        (dt.datetime(2026, 2, 3, tzinfo=dt.UTC), '"2026-02-03T00:00:00+00:00"'),
        (dt.timedelta(seconds=-1.5), '"-PT1.500000S"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        ({Colour.RED: 1}, '{"red":1}'),
        (Model(), '{"amount":"1.50","itemId":"a"}'),
        (Point(1, dt.date(2026, 1, 1)), '{"at":"2026-01-01","x":1}'),
        (OrderedDict(b=1, a=2), '{"a":2,"b":1}'),
        ("\x7f\u2028", '"\x7f\u2028"'),
    ],
)
def test_python_values_have_one_form(value: Any, text: str) -> None:
    assert canonical_json(value) == text


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (float("nan"), "the value is nan"),
        ({"a": [1, float("-inf")]}, "'a.1'"),
        (Decimal("NaN"), "NaN"),
        ({1: 2}, "the key 1"),
        ({"a": {None: 2}}, "'a'"),
        ("\ud800", "surrogate"),
        ({"\ud800": 1}, "surrogate"),
        (b"a", "bytes"),
        ({"a": 10**5000}, "digits"),
        ({"a": object()}, "'a' is a object"),
        (Point, "type"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(NotJson) as caught:
        canonical_json(value)

    assert place in caught.value.message


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(NotJson, match="contains itself"):
        to_json(loop)


def test_a_digest_is_the_same_in_a_process_with_another_hash_seed() -> None:
    code = "from interlock.tools import digest; print(digest({'b': {'x', 'y', 'z'}, 'a': 1.0}))"

    def printed(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert printed("1") == printed("2") == digest({"a": 1, "b": ["x", "y", "z"]}) + "\n"
    assert digest(None) == "sha256:74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"


class Loud(str):
    """Text of a class of its own."""


class Colour(enum.StrEnum):
    """Text that is an enum."""

    RED = "red"


ODD = st.sampled_from(
    [None, True, 1, -1, 2**63, 2**64, 1.0, -0.0, 1.5, float("nan"), "a", "\ud800", "\0", "é", b"a", bytearray(b"b"), (1, 2), {1},
     Loud("x"), Colour.RED, Decimal("1.0"), object]
)  # fmt: skip
ANYTHING = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "é", "", "\ud800", 1, None, Loud("z"), Colour.RED]), inner, max_size=2)
    ),
    max_leaves=6,
)


def outcome(work: Any, value: Any) -> Any:
    try:
        return work(value)
    except NotJson as error:
        return error.message


@given(ANYTHING)
def test_a_value_is_written_alike_whether_it_is_looked_at_in_c_or_in_python(value: Any) -> None:
    def in_python(given: Any) -> str:
        return canonical._write(canonical._converted(given, integral=True))

    assert outcome(canonical_json, value) == outcome(in_python, value)
    copied = outcome(lambda given: canonical._converted(given, integral=False), value)
    assert repr(outcome(to_json, value)) == repr(copied)


@pytest.mark.parametrize("depth", [200, 400, 900, 2_000])
def test_how_deep_a_value_may_go_is_the_same_for_plain_data(depth: int) -> None:
    value: Any = "x"
    for _ in range(depth):
        value = [value]

    assert canonical._packed(value) is None if depth > canonical._FLAT else canonical._packed(value) is not None
    if depth >= 900:
        with pytest.raises(NotJson, match="nested too deeply"):
            to_json(value)
