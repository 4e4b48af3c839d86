"""A contract that is unclear is refused when it is defined, and the error says how to mend it."""

import datetime as dt
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Annotated, Any, Never

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr

from interlock.tools import ContractError, Effect, Event, RetryPolicy, ToolContext, command, event, read


def refusal(define: Callable[[], object]) -> str:
    with pytest.raises(ContractError) as caught:
        define()
    assert caught.value.code == "contract_error"
    return caught.value.message


def lookup(order_id: str) -> str:
    """Look up one order."""
    return order_id


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Order.get",
        "order..get",
        ".order",
        "order.",
        "order-get",
        "1order",
        "order.1",
        "órder",
        "a" * 65,
        7,
        None,
        "order\n",
    ],
)
def test_a_name_that_breaks_the_rules(name: Any) -> None:
    message = refusal(lambda: read(name)(lookup))

    assert "lookup" in message
    assert "such as 'case.assign'" in message


@pytest.mark.parametrize("name", ["a", "order.get", "order_2.get_it.now", "a" * 64])
def test_a_name_within_the_rules(name: str) -> None:
    assert read(name)(lookup).name == name


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None])
def test_a_version_that_is_not_a_positive_integer(version: Any) -> None:
    assert "positive integer" in refusal(lambda: read("order.get", version=version)(lookup))


@pytest.mark.parametrize("wire_name", ["order.get", "1order", "-order", "order get", "", "a" * 65, "örder"])
def test_a_wire_name_that_some_provider_refuses(wire_name: str) -> None:
    assert "model provider" in refusal(lambda: read("order.get", wire_name=wire_name)(lookup))


def test_a_parameter_without_an_annotation() -> None:
    def get(order_id) -> str:  # type: ignore[no-untyped-def]
        """Look up."""
        return str(order_id)

    message = refusal(lambda: read("order.get")(get))

    assert "get" in message
    assert "'order_id' without an annotation; give it one, such as order_id: str" in message


def test_a_context_without_an_annotation() -> None:
    def get(order_id: str, ctx) -> str:  # type: ignore[no-untyped-def]
        """Look up."""
        return order_id

    assert "annotate it as ctx: ToolContext" in refusal(lambda: read("order.get")(get))


def test_a_parameter_that_may_be_anything() -> None:
    def get(order_id: Any) -> str:
        """Look up."""
        return str(order_id)

    assert "tells the model nothing" in refusal(lambda: read("order.get")(get))


def variadic(*ids: str) -> str:
    """Look up."""
    return ids[0]


def keywords(**ids: str) -> str:
    """Look up."""
    return ids["a"]


def positional(order_id: str, /) -> str:
    """Look up."""
    return order_id


@pytest.mark.parametrize(("function", "mend"), [(variadic, "one list"), (keywords, "one dict"), (positional, "'/'")])
def test_parameters_that_cannot_be_filled_in_by_name(function: Callable[..., str], mend: str) -> None:
    assert mend in refusal(lambda: read("order.get")(function))


def test_no_description() -> None:
    def get(order_id: str) -> str:
        return order_id

    assert "begin it with a docstring, or give description=" in refusal(lambda: read("order.get")(get))
    assert "has no description" in refusal(lambda: read("order.get", description="  ")(get))
    assert read("order.get", description="Look up.")(get).description == "Look up."


def test_no_return_annotation() -> None:
    def get(order_id: str):  # type: ignore[no-untyped-def]
        """Look up."""
        return order_id

    assert "annotate it" in refusal(lambda: read("order.get")(get))
    assert read("order.get", output_model=str)(get).output_type is str


@pytest.mark.parametrize("returned", [None, type(None), Never])
def test_a_tool_that_returns_nothing(returned: Any) -> None:
    def close(order_id: str) -> None:
        """Close."""

    close.__annotations__["return"] = returned

    assert "return what happened" in refusal(lambda: command("order.close")(close))


def test_a_tool_that_may_return_anything() -> None:
    def get(order_id: str) -> Any:
        """Look up."""
        return order_id

    assert "promises nothing" in refusal(lambda: read("order.get")(get))


class Opaque:
    pass


def test_types_that_no_schema_can_describe() -> None:
    def get(order: Opaque) -> str:
        """Look up."""
        return ""

    def find(order_id: str) -> Opaque:
        """Look up."""
        return Opaque()

    def call(then: Callable[[], None]) -> str:
        """Look up."""
        return ""

    assert "parameter" in refusal(lambda: read("order.get")(get))
    assert "returns" in refusal(lambda: read("order.get")(find))
    assert "parameter" in refusal(lambda: read("order.get")(call))


def test_names_that_pydantic_keeps_for_itself() -> None:
    def get(model_dump: str) -> str:
        """Look up."""
        return model_dump

    def find(_order_id: str) -> str:
        """Look up."""
        return _order_id

    assert 'Field(alias="modelDump")' in refusal(lambda: read("order.get")(get))
    assert "rename it" in refusal(lambda: read("order.get")(find))


def test_two_parameters_of_one_name_on_the_wire() -> None:
    def get(order_1: str, order1: str) -> str:
        """Look up."""
        return order1

    assert "'order_1' and 'order1', which are both 'order1' on the wire" in refusal(lambda: read("order.get")(get))


def test_two_fields_of_one_name_on_the_wire_further_down() -> None:
    class Line(BaseModel):
        line_1: str
        line1: str

    def get(line: Line) -> str:
        """Look up."""
        return line.line1

    assert "both 'line1' on the wire" in refusal(lambda: read("order.get")(get))


def test_a_parameter_that_is_read_under_another_name_than_it_is_written() -> None:
    def get(order_id: Annotated[str, Field(validation_alias=AliasChoices("orderId", "id"))]) -> str:
        """Look up."""
        return order_id

    assert "one alias" in refusal(lambda: read("order.get")(get))


def test_a_default_that_does_not_fit() -> None:
    def get(order_id: str = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
        """Look up."""
        return order_id

    def find(limit: int = "many") -> str:  # type: ignore[assignment]
        """Look up."""
        return str(limit)

    assert "order_id: … | None" in refusal(lambda: read("order.get")(get))
    assert "'many'" in refusal(lambda: read("order.get")(find))


def test_an_annotation_that_cannot_be_found() -> None:
    def get(order_id: "Nowhere") -> str:  # type: ignore[name-defined]  # noqa: F821
        """Look up."""
        return str(order_id)

    assert "'Nowhere', which cannot be found" in refusal(lambda: read("order.get")(get))


def test_two_contexts() -> None:
    def get(a: ToolContext, b: ToolContext) -> str:
        """Look up."""
        return ""

    assert "keep one of them" in refusal(lambda: read("order.get")(get))


class Shop:
    def get(self, order_id: str) -> str:
        """Look up."""
        return order_id


def generates() -> Iterator[str]:
    """Look up."""
    yield ""


async def generates_later() -> AsyncIterator[str]:
    """Look up."""
    yield ""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: "", "lambda"),
        (functools.partial(lookup, "1"), "partial"),
        (staticmethod(lookup), "under @staticmethod"),
        (Shop, "no function"),
        (Shop.get, "bound method"),
        (generates, "one result"),
        (generates_later, "one result"),
        ("lookup", "no function"),
    ],
)
def test_what_is_no_plain_function(function: Any, said: str) -> None:
    assert said in refusal(lambda: read("order.get")(function))


def test_a_decorator_without_its_brackets() -> None:
    assert '@read("some.name")' in refusal(lambda: read(lookup))  # type: ignore[arg-type]


def test_an_effect_that_does_not_exist() -> None:
    message = refusal(lambda: command("order.get", effect="sometimes")(lookup))

    assert all(effect in message for effect in Effect)


def test_retries_of_what_must_not_be_repeated() -> None:
    policy = RetryPolicy(attempts=2)

    assert "never repeated" in refusal(lambda: command("order.get", retry=policy)(lookup))
    assert command("order.get", effect="idempotent", retry=policy)(lookup).retry is policy
    assert "RetryPolicy" in refusal(lambda: command("order.get", effect="idempotent", retry=3)(lookup))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"attempts": True},
        {"initial": -1.0},
        {"maximum": float("inf")},
        {"multiplier": 0.5},
        {"jitter": 2.0},
    ],
)
def test_a_retry_policy_that_makes_no_sense(wrong: Mapping[str, Any]) -> None:
    refusal(lambda: RetryPolicy(**wrong))


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), True, "1m", dt.timedelta(0)])
def test_a_timeout_that_is_no_time(timeout: Any) -> None:
    assert "positive seconds" in refusal(lambda: command("order.get", timeout=timeout)(lookup))


def test_a_timeout_in_seconds_or_as_a_timedelta() -> None:
    assert command("order.get", timeout=dt.timedelta(minutes=1))(lookup).timeout == 60.0
    assert command("order.get", timeout=2)(lookup).timeout == 2.0


def test_sensitive_names_that_do_not_exist() -> None:
    assert "known are orderId" in refusal(lambda: read("order.get", sensitive=["card"])(lookup))
    assert "a collection of names" in refusal(lambda: read("order.get", sensitive="order_id")(lookup))


def test_annotations_that_contradict_the_kind() -> None:
    assert "defined with read" in refusal(lambda: command("order.get", annotations={"readOnlyHint": True})(lookup))
    assert "with command" in refusal(lambda: read("order.get", annotations={"readOnlyHint": False})(lookup))
    assert "MCP" in refusal(lambda: read("order.get", annotations={"safe": True})(lookup))
    assert "MCP" in refusal(lambda: read("order.get", annotations={"destructiveHint": "no"})(lookup))  # type: ignore[dict-item]


class Closed(Event, name="order.closed"):
    order_id: str


@pytest.mark.parametrize("returned", [str, Event, list[Closed], Closed | None])
def test_an_event_tool_that_returns_no_event(returned: Any) -> None:
    assert "return the Event" in refusal(lambda: event("order.get", output_model=returned)(lookup))


class Login(BaseModel):
    pin_code: SecretStr
    note: str = Field("", exclude=True)


def test_arguments_that_would_be_stored_as_something_else() -> None:
    def unlock(password: SecretStr | None = None) -> str:
        """Unlock."""
        return ""

    def enter(login: list[Login]) -> str:
        """Enter."""
        return ""

    assert "takes password, which is read but not written back" in refusal(lambda: command("door.unlock")(unlock))
    assert "takes note, pinCode, which" in refusal(lambda: command("door.enter")(enter)).replace("login, ", "")


def test_an_input_model_that_is_no_model() -> None:
    assert "pydantic.BaseModel" in refusal(lambda: read("order.get", input_model=dict)(lookup))  # type: ignore[arg-type]


def test_an_input_model_that_differs_from_the_parameters() -> None:
    class Query(BaseModel):
        order_id: str
        limit: int

    assert "differ in limit" in refusal(lambda: read("order.get", input_model=Query)(lookup))


def test_a_check_that_asks_for_what_the_tool_does_not_have() -> None:
    def check(queue_id: str) -> bool:
        return bool(queue_id)

    message = refusal(lambda: read("order.get", check=check)(lookup))

    assert "'queue_id', which is not a parameter of the tool; it can have any of order_id" in message


async def later(order_id: str) -> bool:
    return True


def star(*order_id: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("check", "said"), [(later, "async"), (star, "name the tool's parameters"), ("open", "give a function")]
)
def test_a_check_that_cannot_be_called(check: Any, said: str) -> None:
    assert said in refusal(lambda: read("order.get", check=check)(lookup))
    assert said in refusal(lambda: read("order.get", preview=check)(lookup))


def test_an_event_without_a_name() -> None:
    with pytest.raises(ContractError, match=r'class Nameless\(Event, name="…", version=1\)'):

        class Nameless(Event):
            case_id: str


@pytest.mark.parametrize(("name", "version"), [("Case.Assigned", 1), ("case.assigned", 0), ("case.assigned", True)])
def test_an_event_whose_name_or_version_breaks_the_rules(name: str, version: int) -> None:
    with pytest.raises(ContractError, match="the event class"):

        class Wrong(Event, name=name, version=version):
            case_id: str


def test_an_event_field_that_belongs_to_the_envelope() -> None:
    with pytest.raises(ContractError, match="'workflow_id', which on the wire is 'workflowId'"):

        class Wrong(Event, name="case.assigned"):
            workflow_id: str


def test_two_event_fields_of_one_name_on_the_wire() -> None:
    with pytest.raises(ContractError, match="both 'line1'"):

        class Wrong(Event, name="case.assigned"):
            line1: str
            line_1: str
