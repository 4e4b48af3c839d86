"""What a contract makes of a function, and how it is called through it."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import datetime as dt
import enum
import inspect
import pickle
import uuid
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, computed_field

from interlock.tools import (
    AuditRef,
    ContextError,
    Effect,
    Event,
    IdempotencyKey,
    InvalidArguments,
    InvalidOutput,
    ToolContext,
    ToolContract,
    ToolKind,
    TraceId,
    WorkflowId,
    command,
    event,
    read,
)
from interlock.tools.errors import RuleError


def context(kind: ToolKind = ToolKind.COMMAND, **more: Any) -> ToolContext:
    return ToolContext(
        kind=kind,
        workflow_id=WorkflowId("wf_1"),
        state="open",
        revision=1,
        trace_id=TraceId("trace_1"),
        audit_ref=AuditRef("audit_1"),
        idempotency_key=IdempotencyKey("key_1"),
        **more,
    )


class Colour(enum.StrEnum):
    DARK_RED = "dark red"
    BLUE = "blue"


class Line(BaseModel):
    product_id: str
    how_many: Annotated[int, Field(ge=1), AfterValidator(lambda count: count)] = 1


@dataclasses.dataclass
class Parcel:
    parcel_id: str
    lines_in: list[int] = dataclasses.field(default_factory=list)


class Tree(BaseModel):
    node_name: str
    sub_trees: list[Tree] = []


class Person(BaseModel):
    full_name: str
    best_friend: Pet | None = None


class Pet(BaseModel):
    pet_name: str
    its_owner: Person | None = None


Tree.model_rebuild()
Person.model_rebuild()


class Card(BaseModel):
    kind: Literal["card"]
    card_number: str


class Voucher(BaseModel):
    kind: Literal["voucher"]
    voucher_code: str


FIRST = Line(product_id="p-0")


@command("order.place", effect="idempotent")
def place_order(
    order_id: str,
    total_amount: Decimal,
    lines: list[Line],
    due_on: dt.date,
    placed_at: dt.datetime,
    reference: uuid.UUID,
    colour: Colour,
    weight: float,
    tags: set[str],
    pair: tuple[int, str],
    payment: Annotated[Card | Voucher, Field(discriminator="kind")],
    notes: dict[str, JsonValue],
    tree: Tree,
    person: Person,
    parcel: Parcel,
    express: bool = False,
    first_line: Line = FIRST,
    remark: str | None = None,
    limit: Annotated[int | None, Field(description="At most so many.", ge=1)] = None,
) -> list[Line]:
    """Place an order."""
    assert isinstance(parcel, Parcel)
    assert isinstance(payment, Card | Voucher)
    return lines


ORDER: dict[str, Any] = {
    "orderId": "o-1",
    "totalAmount": "12.50",
    "lines": [{"productId": "p-1", "howMany": 2}],
    "dueOn": "2026-02-03",
    "placedAt": "2026-02-03T04:05:06Z",
    "reference": "6e1f0ae2-9f4c-4b3f-8c6f-2a4a5f3b1c00",
    "colour": "dark red",
    "weight": 3,
    "tags": ["b", "a", "c"],
    "pair": [1, "x"],
    "payment": {"kind": "card", "cardNumber": "4"},
    "notes": {"some_key": [1, None]},
    "tree": {"nodeName": "a", "subTrees": [{"nodeName": "b", "subTrees": []}]},
    "person": {"fullName": "Ada", "bestFriend": {"petName": "Rex", "itsOwner": {"fullName": "Bo"}}},
    "parcel": {"parcelId": "x", "linesIn": [1]},
}


def problems(contract: ToolContract, arguments: Any) -> dict[str, str]:
    with pytest.raises(InvalidArguments) as caught:
        contract.parse(arguments)
    assert caught.value.code == "invalid_arguments"
    assert caught.value.tool == contract.name
    return {problem["field"]: problem["problem"] for problem in caught.value.problems}


# Reading arguments


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


# Fingerprints


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


# Calling


def test_a_contract_is_still_the_function() -> None:
    @read("order.get")
    def get(order_id: str, limit: int = 3) -> str:
        """Look up one order."""
        return f"{order_id}:{limit}"

    assert get("o-1", limit=2) == "o-1:2"
    assert get.__doc__ == "Look up one order."
    assert inspect.signature(get) == inspect.signature(get.function)
    assert repr(get) == "<read order.get v1>"


def test_a_call_passes_arguments_and_context_under_the_names_of_the_function() -> None:
    @command("order.close", effect=Effect.TRANSACTIONAL)
    def close(order_id: str, around: ToolContext[str], reason: str | None = None) -> str:
        """Close."""
        return f"{order_id} {reason} {around.state}"

    assert close.takes_context
    assert close.call(close.parse({"orderId": "o-1"}), context()) == "o-1 None open"
    with pytest.raises(ContextError, match="takes a ToolContext as 'around'"):
        close.call(close.parse({"orderId": "o-1"}))


def test_an_async_function_gives_an_awaitable() -> None:
    @read("order.get")
    async def get(order_id: str) -> str:
        """Look up."""
        return order_id

    assert get.is_async
    assert asyncio.run(get.call(get.parse({"orderId": "o-1"}))) == "o-1"


def test_a_bound_method_is_a_tool_too() -> None:
    class Shop:
        name = "corner"

        def get(self, order_id: str) -> str:
            """Look up."""
            return f"{self.name}:{order_id}"

    contract = read("order.get")(Shop().get)

    assert contract.call(contract.parse({"orderId": "o-1"})) == "corner:o-1"


def test_names_local_to_the_defining_function_may_be_annotations() -> None:
    class Local(BaseModel):
        local_id: str

    def define() -> ToolContract:
        class Inner(BaseModel):
            inner_id: str

        @read("order.get")
        def get(local: Local, inner: Inner) -> Local:
            """Look up."""
            return local

        return get

    contract = define()

    arguments = contract.parse({"local": {"localId": "1"}, "inner": {"innerId": "2"}})
    assert contract.dump_output(contract.call(arguments)) == {"localId": "1"}


# Explicit models


class Transfer(BaseModel):
    from_account: str
    to_account: str
    note: str | None = None


def test_an_explicit_model_is_given_whole_to_a_function_that_takes_it() -> None:
    def to_another(transfer: Transfer, to_account: str) -> bool:
        return transfer.from_account != to_account

    @command("money.transfer", input_model=Transfer, check=to_another)
    def move(transfer: Transfer) -> Transfer:
        """Move money."""
        assert isinstance(transfer, Transfer)
        return transfer

    arguments = move.parse({"fromAccount": "a", "to_account": "b"})

    assert set(move.input_schema()["properties"]) == {"fromAccount", "toAccount", "note"}  # type: ignore[arg-type]
    assert move.failed_check(arguments) is None
    assert move.dump_output(move.call(arguments)) == {"fromAccount": "a", "toAccount": "b", "note": None}
    assert problems(move, {"fromAccount": "a", "toAccount": "b", "x": 1}).keys() == {"x"}


def test_an_explicit_model_is_given_by_fields_to_a_function_that_takes_those() -> None:
    @command("money.transfer", input_model=Transfer, output_model=Transfer)
    def move(from_account: str, to_account: str, note: str | None) -> dict[str, Any]:
        """Move money."""
        return {"from_account": from_account, "to_account": to_account, "note": note}

    assert move.dump_output(move.call(move.parse({"fromAccount": "a", "toAccount": "b"}))) == {
        "fromAccount": "a",
        "toAccount": "b",
        "note": None,
    }


def test_what_a_model_decides_by_itself_stays_so() -> None:
    class Loose(BaseModel):
        model_config = ConfigDict(extra="allow", alias_generator=str.upper)
        order_id: str

    @read("order.get", input_model=Loose)
    def get(query: Loose) -> dict[str, JsonValue]:
        """Look up."""
        return query.model_extra or {}

    arguments = get.parse({"ORDER_ID": "1", "more": 2})

    assert get.call(arguments) == {"more": 2}
    assert get.canonical_arguments(arguments) == {"ORDER_ID": "1", "more": 2}


def test_an_alias_is_the_name_on_the_wire() -> None:
    @read("order.get")
    def get(order_id: Annotated[str, Field(alias="id")]) -> str:
        """Look up."""
        return order_id

    assert get.input_schema()["required"] == ["id"]
    assert get.canonical_arguments(get.parse({"id": "1"})) == {"id": "1"}


# Checks and previews


def checked(check: Any) -> ToolContract:
    @command("order.close", check=check)
    def close(order_id: str, ctx: ToolContext) -> str:
        """Close."""
        return order_id

    return close


def reason(check: Any) -> str | None:
    contract = checked(check)
    return contract.failed_check(contract.parse({"orderId": "o-1"}), context())


def test_a_check_that_holds() -> None:
    assert reason(None) is None
    assert reason(lambda: True) is None
    assert reason(lambda order_id, ctx: order_id == "o-1" and ctx.state == "open") is None


def test_a_check_that_does_not_hold_gives_its_reason() -> None:
    def order_is_new(order_id: str) -> bool:
        """The order is new.

        And nothing else.
        """
        return False

    def order_is_old(order_id: str) -> bool:
        return False

    assert reason(order_is_new) == "The order is new."
    assert reason(order_is_old) == "its check 'order_is_old' does not hold for these arguments"
    assert reason(lambda order_id: order_id == "o-2") == "its check does not hold for these arguments"
    assert reason(lambda order_id: f"{order_id} is gone") == "o-1 is gone"


def test_none_holds_only_where_a_check_says_that_it_answers_it() -> None:
    def why_not(order_id: str, context: ToolContext) -> str | None:
        return None

    def forgot(order_id: str) -> bool | None:
        if order_id == "o-2":
            return True
        return None

    forgot.__annotations__["return"] = "bool"

    assert reason(why_not) is None
    with pytest.raises(RuleError, match="return True when it holds"):
        reason(forgot)


@pytest.mark.parametrize("answer", [0, 1, "", [], None])
def test_an_answer_that_is_neither_yes_nor_no_nor_a_reason_is_an_error(answer: Any) -> None:
    with pytest.raises(RuleError, match="return True when it holds"):
        reason(lambda: answer)


def test_a_preview_shows_what_would_change() -> None:
    @command("order.close", preview=lambda order_id: {"before": Line(product_id=order_id), "after": None})
    def close(order_id: str) -> str:
        """Close."""
        return order_id

    assert close.show_preview(close.parse({"orderId": "o-1"})) == {
        "before": {"productId": "o-1", "howMany": 1},
        "after": None,
    }


def test_a_preview_without_a_json_form_is_an_error() -> None:
    contract = command("order.close", preview=lambda order_id: {order_id: object()})(lookup)

    with pytest.raises(InvalidOutput, match=r"the preview of order\.close"):
        contract.show_preview(contract.parse({"orderId": "o-1"}))


# Output


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


def lookup(order_id: str) -> str:
    """Look up one order."""
    return order_id


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


# Kinds


class OrderClosed(Event, name="order.closed"):
    order_id: str
    first_line: Line


def test_an_event_tool_gives_the_event_that_it_states() -> None:
    @event("order.announce")
    def announce(order_id: str) -> OrderClosed:
        """Announce that an order is closed."""
        return OrderClosed(order_id=order_id, first_line=Line(product_id="p"))

    assert announce.kind is ToolKind.EVENT
    assert announce.effect is Effect.TRANSACTIONAL
    assert announce.dump_output(announce.call(announce.parse({"orderId": "o-1"}))) == {
        "orderId": "o-1",
        "firstLine": {"productId": "p", "howMany": 1},
    }
    assert set(announce.output_schema()["properties"]) == {"orderId", "firstLine"}  # type: ignore[arg-type]


def test_hints_follow_from_kind_and_effect_unless_they_are_given() -> None:
    assert read("a")(lookup).annotations.to_json() == {"readOnlyHint": True}
    assert command("a")(lookup).annotations.to_json() == {
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": True,
    }
    assert command("a", effect="idempotent")(lookup).annotations.idempotent_hint is True
    assert command("a", effect="transactional")(lookup).annotations.open_world_hint is False
    assert command("a", annotations={"destructiveHint": False})(lookup).annotations.destructive_hint is False


def test_a_command_is_at_most_once_and_a_read_has_no_effect() -> None:
    assert command("a")(lookup).effect is Effect.AT_MOST_ONCE
    assert read("a")(lookup).effect is None


def test_sensitive_names_are_kept_as_they_are_on_the_wire() -> None:
    contract = command("order.place", sensitive=["total_amount", "cardNumber", "product_id"])(place_order.function)

    assert contract.sensitive == {"totalAmount", "cardNumber", "productId"}
    assert contract.redacted({"totalAmount": "1", "payment": {"cardNumber": "4", "kind": "card"}}) == {
        "totalAmount": "***",
        "payment": {"cardNumber": "***", "kind": "card"},
    }


# Schemas


def test_a_schema_has_no_titles_definitions_or_null_noise() -> None:
    schema = place_order.input_schema()
    properties: Any = schema["properties"]

    assert properties["lines"] == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "productId": {"type": "string"},
                "howMany": {"type": "integer", "default": 1, "minimum": 1},
            },
            "required": ["productId"],
        },
    }
    assert properties["remark"] == {"type": "string"}
    assert properties["limit"] == {"type": "integer", "minimum": 1, "description": "At most so many."}
    assert properties["express"] == {"type": "boolean", "default": False}
    assert "discriminator" not in properties["payment"]
    assert set(schema["$defs"]) == {"Tree", "Person", "Pet"}  # type: ignore[arg-type]
    Draft202012Validator.check_schema(schema)


def test_parameters_called_like_words_of_the_schema_are_kept() -> None:
    @read("book.get")
    def get(title: str, discriminator: str, properties: str, default: str | None = None) -> str:
        """Look up."""
        return title

    assert set(get.input_schema()["properties"]) == {"title", "discriminator", "properties", "default"}  # type: ignore[arg-type]


def test_a_tool_without_parameters_has_an_empty_object() -> None:
    @read("types.list")
    def types() -> list[str]:
        """List all types."""
        return []

    assert types.input_schema() == {"type": "object", "properties": {}}
    assert types.call(types.parse({})) == []


def test_a_schema_that_was_handed_out_can_be_changed_without_harm() -> None:
    place_order.input_schema()["properties"] = {}

    assert place_order.input_schema()["properties"]
