"""The one way in: what is read, written down, judged, shown, stored and run is one thing, or the call is refused."""

import datetime as dt
import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    SecretBytes,
    SecretStr,
    StringConstraints,
    WrapSerializer,
    field_serializer,
    model_serializer,
    model_validator,
)

from interlock.tools import ContractError, InvalidArguments, ToolContract, command


class Rounded(BaseModel):
    amount: Decimal

    @field_serializer("amount")
    def _round(self, value: Decimal) -> str:
        return str(round(value))


class Shortened(BaseModel):
    text: str
    note: str = ""

    @model_serializer
    def _short(self) -> dict[str, Any]:
        return {"text": self.text}


class Clamped(BaseModel):
    amount: int

    @model_validator(mode="after")
    def _clamp(self) -> "Clamped":
        self.amount = min(self.amount, 50)
        return self


class Extra(BaseModel):
    model_config = {"extra": "allow"}
    name: str


class Ignoring(BaseModel):
    model_config = {"extra": "ignore"}
    name: str


class Remembering(BaseModel):
    name: str
    _raw: str = ""

    def model_post_init(self, context: Any) -> None:
        self._raw = self.name


def tool(annotation: Any, default: Any = ...) -> ToolContract:
    """Make a tool of one argument, `value`, that gives what it is called with."""

    def take(value: Any) -> str:
        """Take a value."""
        return repr(value)

    take.__annotations__ = {"value": annotation, "return": str}
    if default is not ...:
        take.__defaults__ = (default,)
    return command("value.take")(take)


def raising(_: Any) -> Any:
    raise KeyError("mistake")


LOSSY: dict[str, tuple[Any, Any]] = {
    "a serializer that masks": (Annotated[str, PlainSerializer(lambda text: "***" + text[-4:])], "4111111111111111"),
    "a serializer that rounds": (Annotated[Decimal, PlainSerializer(lambda number: str(round(number)))], "10.49"),
    "a serializer that wraps": (Annotated[str, WrapSerializer(lambda text, write: write(text)[:3])], "abcdef"),
    "a serializer that says nothing": (Annotated[str, PlainSerializer(lambda _: None)], "a"),
    "a serializer that fails": (Annotated[str, PlainSerializer(raising)], "a"),
    "a serializer of a nested field": (Rounded, {"amount": "10.49"}),
    "a serializer of a nested model": (Shortened, {"text": "a", "note": "b"}),
    "a serializer inside a list": (list[Rounded], [{"amount": "1"}, {"amount": "1.5"}]),
    "a serializer inside a dict": (dict[str, Rounded], {"a": {"amount": "1.5"}}),
    "a validator that counts twice": (Annotated[int, AfterValidator(lambda cents: cents * 100)], 5),
    "a validator that adds": (Annotated[str, BeforeValidator(lambda text: f"{text}!")], "hi"),
    "a validator that fails": (Annotated[str, AfterValidator(raising)], "a"),
    "a validator that gives another type": (Annotated[int, AfterValidator(str)], 5),
}


@pytest.mark.parametrize(("annotation", "value"), LOSSY.values(), ids=LOSSY.keys())
def test_what_cannot_be_shown_as_it_would_run_is_refused(annotation: Any, value: Any) -> None:
    contract = tool(annotation)

    with pytest.raises(InvalidArguments) as caught:
        contract.bind({"value": value})

    assert caught.value.problems
    assert contract.complete({"value": value}) == {"value": value}


FAITHFUL: dict[str, tuple[Any, Any, Any]] = {
    "what is stripped": (
        Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True)],
        "  HI ",
        "hi",
    ),
    "what is clamped": (Clamped, {"amount": 100}, {"amount": 50}),
    "keys that are allowed": (Extra, {"name": "a", "bAd": [1]}, {"name": "a", "bAd": [1]}),
    "keys that are ignored": (Ignoring, {"name": "a", "bad": 1}, {"name": "a"}),
    "what a model keeps for itself": (Remembering, {"name": "a"}, {"name": "a"}),
    "a whole number as a float": (int, 5.0, 5),
    "a large whole number as a float": (int, 1e16, 10**16),
    "minus zero": (float, -0.0, 0.0),
    "a float beyond exact integers": (float, 1e22, 1e22),
    "a true among numbers": (int | str | bool, True, True),
    "a one among booleans": (int | str | bool, 1, 1),
    "any JSON": (JsonValue, {"a": [True, 1, None]}, {"a": [True, 1, None]}),
    "a set that names one twice": (set[int], [2, 1, 1], [1, 2]),
    "a Decimal with an exponent": (Decimal, "1E+3", "1E+3"),
    "a Decimal as a number": (Decimal, 0.1, "0.1"),
    "a moment without an offset": (dt.datetime, "2024-01-01T00:00:00", "2024-01-01T00:00:00"),
    "a duration": (dt.timedelta, "P1DT2H", "P1DT2H"),
    "bytes": (bytes, "é", "é"),
}


@pytest.mark.parametrize(("annotation", "value", "shown"), FAITHFUL.values(), ids=FAITHFUL.keys())
def test_what_is_shown_reads_back_as_what_runs(annotation: Any, value: Any, shown: Any) -> None:
    contract = tool(annotation)

    bound = contract.bind({"value": value})
    again = contract.bind(bound.canonical)

    assert bound.canonical == {"value": shown}
    assert type(bound.canonical["value"]) is type(shown)
    assert contract.call(again.parsed) == contract.call(bound.parsed)
    assert again.canonical == bound.canonical
    assert again.fingerprint == bound.fingerprint == contract.fingerprint_of(bound.canonical)


def counter() -> Callable[[], int]:
    numbers = itertools.count(1)
    return lambda: next(numbers)


class Booking(BaseModel):
    room: str
    number: int = Field(default_factory=counter())


@pytest.mark.parametrize(
    ("contract", "given"),
    [
        (tool(Annotated[int, Field(default_factory=counter())]), {}),
        (tool(Booking), {"value": {"room": "7"}}),
        (tool(list[Booking]), {"value": [{"room": "7"}, {"room": "8"}]}),
    ],
    ids=["of an argument", "of a nested field", "of models in a list"],
)
def test_a_default_that_differs_each_time_is_fixed_when_the_proposal_is_completed(
    contract: ToolContract, given: dict[str, Any]
) -> None:
    completed = contract.complete(given)

    assert completed != contract.complete(given)
    assert contract.bind(completed).canonical == completed
    assert contract.complete(completed) == completed


def test_defaults_are_part_of_what_is_shown() -> None:
    @command("order.list")
    def find(query: str, limit: int = 30, note: str | None = None) -> str:
        """Find orders."""
        return query

    bound = find.bind({"query": "a"})

    assert bound.canonical == {"query": "a", "limit": 30}
    assert bound.parsed.note is None


def test_what_a_rule_changes_in_its_copy_does_not_run() -> None:
    contract = tool(list[int])
    bound = contract.bind({"value": [1]})

    bound.copied().value.append(2)

    assert contract.call(bound.parsed) == "[1]"


def test_what_is_shown_and_differs_is_named() -> None:
    @command("card.charge")
    def charge(card: Annotated[str, PlainSerializer(lambda text: "***" + text[-4:])], amount: int) -> str:
        """Charge a card."""
        return card

    with pytest.raises(InvalidArguments) as caught:
        charge.bind({"card": "4111", "amount": 5})

    assert [problem["field"] for problem in caught.value.problems] == ["card"]
    assert "4111" not in caught.value.message


class Tip(BaseModel):
    name: str
    amount: Decimal = Field(Decimal(0), exclude=True)


class Account(BaseModel):
    key: SecretStr


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[str, Field(exclude=True)],
        Tip,
        list[Tip],
        dict[str, list[Tip | int]],
        SecretStr,
        list[SecretStr],
        SecretBytes,
        Account,
        dict[str, Account],
    ],
)
def test_what_is_never_written_back_is_refused_at_definition(annotation: Any) -> None:
    def pay(amount: Decimal, name: str, value: Any) -> str:
        """Pay."""
        return name

    pay.__annotations__["value"] = annotation
    with pytest.raises(ContractError, match="not written back as it was"):
        command("value.pay")(pay)
