"""What a contract makes of a function, and how it is called through it."""

from __future__ import annotations

import asyncio
import inspect
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from interlock.tools import (
    ContextError,
    Effect,
    Event,
    InvalidOutput,
    ToolContext,
    ToolContract,
    ToolKind,
    command,
    event,
    read,
)
from interlock.tools.errors import RuleError
from tests.tools.orders import Line, place_order
from tests.tools.support import context, lookup, problems


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
