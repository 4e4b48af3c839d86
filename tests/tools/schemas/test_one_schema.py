"""One schema: what a model is offered is what is enforced, and what an approver is shown is what runs.

The schema is held against another library than the one that enforces it. What no schema can say is the list of exceptions:

- a text with a `format` must be one that its type reads (a `date-time` may do without an offset);
- snake_case spellings of names are taken beside those on the wire;
- the bounds and digits of a Decimal that comes as text, but for its sign;
- what a validator of the tool's own refuses;
- what no database keeps: NUL, halves of surrogate pairs, integers beyond 64 bits, too deep, too long.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import ipaddress
import pathlib
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    TypeAdapter,
    computed_field,
    create_model,
)
from typing_extensions import TypedDict

from interlock.tools import InvalidArguments, ToolContract, command
from interlock.tools.canonical import same_json
from interlock.tools.contracts import Bound

# The formats that pydantic writes, read by the types that it writes them for.
FORMATS: dict[str, Any] = {
    "date": dt.date,
    "date-time": dt.datetime,
    "time": dt.time,
    "duration": dt.timedelta,
    "uuid": uuid.UUID,
    "ipv4": ipaddress.IPv4Address,
}
CHECKER = FormatChecker(formats=())


def _reads(kind: Any) -> Any:
    def reads(value: object) -> bool:
        if not isinstance(value, str):
            return True
        TypeAdapter(kind).validate_json(TypeAdapter(str).dump_json(value), strict=True)
        return True

    return reads


for _name, _kind in FORMATS.items():
    CHECKER.checks(_name, raises=ValueError)(_reads(_kind))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Rank(enum.IntEnum):
    ONE = 1
    TWO = 2


class Inner(BaseModel):
    user_name: str
    how_many: Annotated[int, Field(ge=0, le=9)] = 1


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    user_name: str


class Ignoring(BaseModel):
    model_config = ConfigDict(extra="ignore")
    user_name: str
    inner: Inner | None = None


class Counting(BaseModel):
    user_name: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def long_name(self) -> str:
        return self.user_name * 2


class Named(BaseModel):
    from_: str = Field(alias="from")
    tags: set[str] = Field(default_factory=set)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives_left: Annotated[int, Field(gt=0)]


class Dog(BaseModel):
    kind: Literal["dog"]
    best_friend: Inner | None = None


@dataclasses.dataclass(frozen=True)
class Parcel:
    """A parcel."""

    parcel_id: str
    inner_one: Inner
    line_items: tuple[Inner, ...] = ()


class Typed(TypedDict):
    user_name: str
    inner_one: NotRequired[Inner]


class Pair(NamedTuple):
    first: int
    inner: Inner
    last: str = "x"


class Root(RootModel[list[Inner]]):
    pass


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
INTEGERS = st.integers(-(2**53), 2**53)
INNER = st.fixed_dictionaries({"userName": TEXT}, optional={"howMany": st.integers(0, 9)})
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, TEXT),
    (Annotated[str, StringConstraints(min_length=1, max_length=3)], st.text("ab", min_size=1, max_size=3)),
    (Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}$")], st.text("abc", min_size=2, max_size=4)),
    (int, INTEGERS | INTEGERS.filter(lambda number: abs(number) < 2**50).map(float)),
    (Annotated[int, Field(ge=1, lt=10)], st.integers(1, 9)),
    (Annotated[int, Field(multiple_of=3)], st.integers(-5, 5).map(lambda number: number * 3)),
    (float, st.floats(-1e6, 1e6) | st.integers(-9, 9)),
    (Annotated[float, Field(gt=0, le=1)], st.floats(0.1, 1)),
    (bool, st.booleans()),
    (Decimal, st.decimals(-99, 99, places=2).map(str) | st.integers(-9, 9) | st.sampled_from(["1E+3", "-.5", "2."])),
    (Annotated[Decimal, Field(gt=0)], st.decimals("0.01", 99, places=2).map(str) | st.integers(1, 9)),
    (dt.date, st.dates().map(str)),
    (dt.datetime, st.datetimes(min_value=dt.datetime(1970, 1, 1)).map(dt.datetime.isoformat)),
    (dt.time, st.times().map(dt.time.isoformat)),
    (dt.timedelta, st.integers(0, 10**6).map(lambda seconds: f"PT{seconds}S")),
    (uuid.UUID, st.uuids().map(str)),
    (ipaddress.IPv4Address, st.ip_addresses(v=4).map(str)),
    (pathlib.PurePosixPath, st.sampled_from(["a", "/a/b", "../c"])),
    (bytes, TEXT),
    (Colour, st.sampled_from(["red", "blue"])),
    (Rank, st.sampled_from([1, 2])),
    (Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    (Inner, INNER),
    (Open, st.fixed_dictionaries({"userName": TEXT}, optional={"more": TEXT, "other_one": INTEGERS})),
    (Ignoring, st.fixed_dictionaries({"userName": TEXT}, optional={"more": TEXT, "inner": st.none() | INNER})),
    (Counting, st.fixed_dictionaries({"userName": TEXT})),
    (Named, st.fixed_dictionaries({"from": TEXT}, optional={"tags": st.lists(TEXT, max_size=2)})),
    (
        Annotated[Cat | Dog, Field(discriminator="kind")],
        st.fixed_dictionaries({"kind": st.just("cat"), "livesLeft": st.integers(1, 9)})
        | st.fixed_dictionaries({"kind": st.just("dog")}, optional={"bestFriend": INNER}),
    ),
    (
        Parcel,
        st.fixed_dictionaries(
            {"parcelId": TEXT, "innerOne": INNER}, optional={"lineItems": st.lists(INNER, max_size=2)}
        ),
    ),
    (Typed, st.fixed_dictionaries({"userName": TEXT}, optional={"innerOne": INNER})),
    (Pair, st.tuples(INTEGERS, INNER).map(list) | st.tuples(INTEGERS, INNER, TEXT).map(list)),
    (Root, st.lists(INNER, max_size=2)),
]
Typing = tuple[Any, st.SearchStrategy[Any]]


def containers(inner: st.SearchStrategy[Typing]) -> st.SearchStrategy[Typing]:
    def listed(one: Typing, bounded: bool) -> Typing:
        kind, values = one
        if bounded:
            return Annotated[list[kind], Field(min_length=1, max_length=2)], st.lists(values, min_size=1, max_size=2)
        return list[kind], st.lists(values, max_size=3)

    def model(one: Typing, two: Typing) -> Typing:
        made = create_model("Made", first_one=(one[0], ...), second_one=(two[0] | None, None))
        return made, st.fixed_dictionaries({"firstOne": one[1]}, optional={"secondOne": two[1] | st.none()})

    return (
        st.builds(listed, inner, st.booleans())
        | st.builds(lambda one: (dict[str, one[0]], st.dictionaries(TEXT, one[1], max_size=2)), inner)
        | st.builds(lambda one: (dict[int, one[0]], st.dictionaries(INTEGERS.map(str), one[1], max_size=2)), inner)
        | st.builds(lambda one: (dict[Rank, one[0]], st.dictionaries(st.sampled_from("12"), one[1])), inner)
        | st.builds(lambda one: (one[0] | None, one[1] | st.none()), inner)
        | st.builds(lambda a, b: (tuple[a[0], b[0]], st.tuples(a[1], b[1]).map(list)), inner, inner)
        | st.builds(lambda one: (tuple[one[0], ...], st.lists(one[1], max_size=2)), inner)
        | st.builds(model, inner, inner)
    )


TYPES = st.recursive(st.sampled_from(LEAVES), containers, max_leaves=4)
SETS = st.sampled_from([set[int], frozenset[str], set[Colour], Annotated[set[int], Field(min_length=2)]])
ANYTHING = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=3,
)


def taking(annotation: Any) -> ToolContract:
    def take(value: Any) -> str:
        """Take a value."""
        return repr(value)

    take.__annotations__ = {"value": annotation, "return": str}
    return command("value.take")(take)


def bound_or_not(contract: ToolContract, arguments: Any) -> tuple[Bound | None, str | None]:
    try:
        return contract.bind(arguments), None
    except InvalidArguments as error:
        return None, error.message


def agree(contract: ToolContract, arguments: Any) -> bool:
    """Whether arguments are admitted; the schema and the contract say the same, and what is shown is what runs."""
    schema = contract.tool_definition()["function"]["parameters"]
    offered = Draft202012Validator(schema, format_checker=CHECKER)
    bound, refused = bound_or_not(contract, arguments)
    assert offered.is_valid(arguments) == (refused is None), (schema, arguments, refused)
    if bound is None:
        return False
    shown = contract.bind(bound.canonical)
    assert offered.is_valid(bound.canonical), (schema, bound.canonical)
    assert same_json(shown.canonical, bound.canonical)
    assert contract.call(shown.parsed) == contract.call(bound.parsed)
    return True


def placed(value: Any) -> list[tuple[Any, Any]]:
    """The places in a value where something else could stand."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += [(value, key), *placed(item)]
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(TYPES, st.data())
def test_what_is_offered_is_what_is_read(typing: Typing, data: st.DataObject) -> None:
    annotation, values = typing
    contract = taking(annotation)
    arguments = {"value": data.draw(values)}

    assert agree(contract, arguments)

    container, key = data.draw(st.sampled_from(placed(arguments)))
    container[key] = data.draw(ANYTHING)
    agree(contract, arguments)
    if isinstance(container, dict):
        del container[key]
        agree(contract, arguments)
        container["unheardOf"] = 1
        agree(contract, arguments)


@settings(max_examples=60, deadline=None)
@given(SETS, st.lists(st.integers(0, 3) | st.sampled_from(["red", "blue", "x"]), max_size=4))
def test_a_set_may_name_an_item_twice_unless_that_would_hide_how_few_there_are(kind: Any, items: list[Any]) -> None:
    agree(taking(kind), {"value": items})


@pytest.mark.parametrize("value", [5.0, 5, -0.0, 1e15, 1e17])
def test_a_whole_number_is_an_integer_however_it_is_written(value: float) -> None:
    contract = taking(int)

    assert agree(contract, {"value": value})
    assert contract.bind({"value": value}).parsed.value == int(value)


@pytest.mark.parametrize("value", [True, "5", 5.5, 1e19, None, [5]])
def test_nothing_else_is(value: object) -> None:
    with pytest.raises(InvalidArguments):
        taking(int).bind({"value": value})
