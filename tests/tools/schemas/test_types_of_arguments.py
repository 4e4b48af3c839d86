"""Types that arguments may have: models inside of other types read the wire as well, and what cannot be shown is refused."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import pytest
import typing_extensions
from pydantic import AliasChoices, BaseModel, Field, ImportString, Json, RootModel, computed_field

from interlock.tools import ContractError, InvalidArguments, ToolContract, command


class Inner(BaseModel):
    user_name: str


@dataclasses.dataclass
class Plain:
    my_inner: Inner
    my_list: list[Inner] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    my_inner: Inner


class Typed(TypedDict):
    my_inner: Inner


class Pair(NamedTuple):
    first_one: Inner
    second_one: int = 1


class Root(RootModel[list[Inner]]):
    pass


T = TypeVar("T")


class Generically(BaseModel, Generic[T]):
    my_inner: T


Aliased = typing_extensions.TypeAliasType("Aliased", list[Inner])


class Counting(BaseModel):
    user_name: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def long_name(self) -> str:
        return self.user_name * 2


class Colour(enum.Enum):
    RED = "red"


class Rank(enum.IntEnum):
    ONE = 1


def taking(annotation: Any) -> ToolContract:
    def take(value: Any) -> Any:
        """Take a value."""
        return repr(value)

    take.__annotations__ = {"value": annotation, "return": str}
    return command("value.take")(take)


INNER = {"userName": "a"}
READ: dict[str, tuple[Any, Any, Any]] = {
    "a dataclass": (Plain, {"myInner": INNER, "myList": [INNER]}, {"my_inner": {"user_name": "a"}, "my_list": [INNER]}),
    "a frozen dataclass": (Frozen, {"myInner": INNER}, {"my_inner": {"user_name": "a"}}),
    "a TypedDict": (Typed, {"myInner": INNER}, {"my_inner": {"user_name": "a"}}),
    "a NamedTuple": (Pair, [INNER, 1], [{"user_name": "a"}]),
    "a root model": (Root, [INNER], [{"user_name": "a"}]),
    "a generic model": (Generically[Inner], {"myInner": INNER}, {"my_inner": {"user_name": "a"}}),
    "an alias of a type": (Aliased, [INNER], [{"user_name": "a"}]),
    "a dict by numbers": (dict[int, Inner], {"1": INNER}, {"1": {"user_name": "a"}}),
    "a dict by an enum of numbers": (dict[Rank, Inner], {"1": INNER}, {"1": {"user_name": "a"}}),
    "a computed field": (Counting, {"userName": "a"}, {"user_name": "a"}),
    "JSON as text": (Json[list[int]], "[1,2]", "[1, 2]"),
}


@pytest.mark.parametrize(("annotation", "wire", "other"), READ.values(), ids=READ.keys())
def test_models_inside_of_other_types_read_the_wire(annotation: Any, wire: Any, other: Any) -> None:
    contract = taking(annotation)

    bound = contract.bind({"value": wire})

    assert bound.canonical == {"value": wire}
    assert contract.bind({"value": other}).canonical == bound.canonical
    assert contract.call(contract.bind(bound.canonical).parsed) == contract.call(bound.parsed)


@pytest.mark.parametrize("annotation", [Plain, Frozen, Typed, Generically[Inner]])
def test_unknown_keys_inside_of_them_are_refused(annotation: Any) -> None:
    contract = taking(annotation)

    for place in ({"myInner": {**INNER, "more": 1}}, {"myInner": INNER, "more": 1}):
        with pytest.raises(InvalidArguments, match="more"):
            contract.bind({"value": place})


def test_the_docstring_that_a_dataclass_writes_itself_is_no_description() -> None:
    assert "description" not in taking(Plain).offered_schema()["properties"]["value"]


class Renamed(BaseModel):
    x_y: str = Field(validation_alias="xx", serialization_alias="yy")


class Choosing(BaseModel):
    x_y: str = Field(validation_alias=AliasChoices("xx", "x_y"))


REFUSED: dict[str, tuple[Any, str]] = {
    "what is read once": (Iterable[int], "take a list"),
    "what imports code": (ImportString, "import whatever module"),
    "what imports code, inside": (list[Annotated[ImportString, Field(description="x")]], "import whatever module"),
    "a class": (type[int], "a class"),
    "a literal of an enum": (Literal[Colour.RED], "take the enum"),
    "keys that are tuples": (dict[tuple[int, int], int], "keys"),
    "keys that are numbers by value": (dict[Literal[1, 2], int], "keys"),
    "a field of two names": (Renamed, "give it one alias"),
    "a field of two names, inside": (list[Renamed], "give it one alias"),
    "a field of several names": (dict[str, Choosing], "give it one alias"),
}


@pytest.mark.parametrize(("annotation", "advice"), REFUSED.values(), ids=REFUSED.keys())
def test_what_could_not_be_shown_as_it_runs_is_refused_when_it_is_defined(annotation: Any, advice: str) -> None:
    with pytest.raises(ContractError, match=advice):
        taking(annotation)
