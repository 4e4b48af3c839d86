"""Contracts of tools that are known by a JSON Schema alone."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from interlock import ToolContext, ToolContract, Workflow, contract_from_schema
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ContractError, InvalidArguments, InvalidOutput

TREE = {
    "type": "object",
    "properties": {"tree": {"$ref": "#/$defs/node"}},
    "required": ["tree"],
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["n"],
            "additionalProperties": False,
        }
    },
}
ISSUE = {
    "type": "object",
    "title": "Issue",
    "properties": {
        "repo": {"type": "string", "pattern": "^[a-z]+/[a-z]+$", "maxLength": 20},
        "prio": {"type": "integer", "minimum": 1, "maximum": 5},
        "kind": {"enum": ["bug", "task"]},
        "labels": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "user-id": {"oneOf": [{"type": "string"}, {"type": "null"}]},
        "limit": {"type": "integer", "default": 30},
    },
    "required": ["repo", "prio"],
    "additionalProperties": False,
}
RIGHT = {"repo": "a/b", "prio": 1}


def contract(schema: Any, **options: Any) -> ToolContract:
    return contract_from_schema("issue.create", schema, lambda arguments: arguments, **options)


@pytest.mark.parametrize(
    "more",
    [{}, {"kind": "bug"}, {"labels": ["x"]}, {"user-id": None}, {"user-id": "u"}, {"limit": 1}, {"prio": 5}],
    ids=str,
)
def test_what_the_schema_admits_is_run_as_it_was_given(more: dict[str, Any]) -> None:
    made = contract(ISSUE)
    bound = made.bind({**RIGHT, **more})

    assert bound.canonical == {**RIGHT, **more}
    assert made.dump_output(made.call(bound.parsed)) == {**RIGHT, **more}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"repo": "DROP TABLE"}, "repo"),
        ({"repo": None}, "repo"),
        ({"prio": 6}, "prio"),
        ({"prio": "1"}, "prio"),
        ({"prio": 1.5}, "prio"),
        ({"prio": True}, "prio"),
        ({"kind": "nuke"}, "kind"),
        ({"labels": "x"}, "labels"),
        ({"labels": [1]}, "labels.0"),
        ({"labels": ["a", "b", "c"]}, "labels"),
        ({"user-id": 5}, "user-id"),
        ({"limit": None}, "limit"),
        ({"evil": 1}, ""),
    ],
    ids=str,
)
def test_what_the_schema_forbids_is_refused_and_said_where(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        contract(ISSUE).bind({**RIGHT, **more})

    assert [one["field"] for one in caught.value.details["problems"]] == [field]


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    assert contract(ISSUE).bind({"repo": "a/b", "prio": 2.0}).canonical == {"repo": "a/b", "prio": 2}


def test_what_was_left_out_stays_out() -> None:
    """A default in a JSON Schema says what the tool takes it for; it is the tool that fills it in."""
    assert contract(ISSUE).bind(RIGHT).canonical == RIGHT


def test_references_are_followed_as_deep_as_the_arguments_go() -> None:
    made = contract(TREE)
    leaf: dict[str, Any] = {"n": 0}
    for number in range(20):
        leaf = {"n": number, "kids": [leaf]}

    assert made.bind({"tree": leaf}).canonical == {"tree": leaf}
    with pytest.raises(InvalidArguments, match=r"tree\.kids\.0\.kids\.0"):
        made.bind({"tree": {"n": 1, "kids": [{"n": 1, "kids": [{"n": "x"}]}]}})


def test_a_schema_of_an_older_draft_is_read_by_its_rules() -> None:
    made = contract(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {"pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}},
        }
    )

    assert made.bind({"pair": ["a", 1]}).canonical == {"pair": ["a", 1]}
    with pytest.raises(InvalidArguments):
        made.bind({"pair": [1, "a"]})


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


LAUGHS = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("object", "as a dict"),
        ({"type": "array"}, "arguments are an object"),
        ({"properties": {"x": {"$ref": "https://example.com/x.json"}}}, "another document"),
        ({"properties": {"x": {"$ref": "other.json#/x"}}}, "another document"),
        ({"properties": {"x": {"$dynamicRef": "http://example.com#x"}}}, "another document"),
        ({"properties": {"x": {"$ref": "#/$defs/none"}}}, "not in it"),
        ({"properties": {"x": {"type": "strnig"}}}, "cannot be used"),
        ({"properties": {"x": {"pattern": "("}}}, "cannot be used"),
        ({"$ref": "#"}, "refers to itself"),
        ({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "properties": {"x": {"$ref": "#/$defs/a"}}}, "itself"),
        (
            {"properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": {**LAUGHS, "d40": {"type": "string"}}},
            "against one value",
        ),
        (nested(40), "levels deep"),
        ({"properties": {f"p{n}": {"description": "x" * 100} for n in range(5000)}}, "characters"),
        ({"properties": {"x": {"const": float("nan")}}}, "is not JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_schema_that_cannot_be_used_is_refused_when_the_contract_is_made(schema: Any, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        contract(schema)


def test_what_only_looks_like_a_reference_is_none() -> None:
    schema = {"properties": {"$ref": {"type": "string"}, "x": {"const": {"$ref": "https://example.com"}}}}

    assert contract(schema).bind({"$ref": "a", "x": {"$ref": "https://example.com"}}).canonical["$ref"] == "a"


def test_a_pattern_that_would_take_for_ever_does_not() -> None:
    made = contract({"properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}})

    with pytest.raises(InvalidArguments):
        made.bind({"x": "a" * 50_000 + "b"})


ARMS = [{"properties": {"x": {"$ref": "#/$defs/n"}}, "required": [name]} for name in ("y", "z")]


@pytest.mark.parametrize("key", ["anyOf", "oneOf", "allOf"])
@pytest.mark.parametrize("right", [False, True], ids=["wrong", "right"])
def test_a_schema_that_doubles_the_work_at_each_level_is_checked_no_longer_than_is_reasonable(
    key: str, right: bool
) -> None:
    made = contract({"properties": {"t": {"$ref": "#/$defs/n"}}, "$defs": {"n": {key: ARMS}}})
    leaf: dict[str, Any] = {}
    shallow: dict[str, Any] = {"y": 1} if right else {}
    for _ in range(50):
        leaf = {"x": leaf, **({"y": 1, "z": 1} if right else {})}

    with pytest.raises(InvalidArguments, match="too deeply"):
        made.bind({"t": leaf})
    if right and key != "allOf":
        assert made.bind({"t": shallow}).canonical == {"t": shallow}


def test_the_same_holds_where_no_part_of_the_schema_contains_itself() -> None:
    parts = {
        f"d{n}": {"oneOf": [{"properties": {"x": {"$ref": f"#/$defs/d{n + 1}"}}, "required": [y]} for y in ("y", "z")]}
        for n in range(50)
    }
    made = contract({"properties": {"t": {"$ref": "#/$defs/d0"}}, "$defs": {**parts, "d50": {"type": "object"}}})
    leaf: dict[str, Any] = {}
    for _ in range(50):
        leaf = {"x": leaf}

    with pytest.raises(InvalidArguments, match="too deeply"):
        made.bind({"t": leaf})


def test_what_fits_such_a_schema_is_taken_as_deep_as_it_is_reasonable() -> None:
    made = contract({"properties": {"t": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"anyOf": ARMS}}})
    leaf: dict[str, Any] = {"y": 1}
    for _ in range(10):
        leaf = {"x": leaf, "y": 1}

    assert made.bind({"t": leaf}).canonical == {"t": leaf}
    leaf["x"]["x"]["y"] = leaf["x"]["x"].pop("x")
    with pytest.raises(InvalidArguments):
        made.bind({"t": {"x": leaf}})


# The function


class Client:
    """A client whose method does the work, as those of MCP servers and of HTTP are."""

    def __init__(self) -> None:
        self.called: list[Any] = []

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        self.called.append((name, arguments))
        return {"done": True}

    async def acall(self, arguments: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        self.called.append(arguments)
        return {"done": True}


def run(made: ToolContract, arguments: dict[str, Any], **more: Any) -> Any:
    return made.dump_output(made.call(made.bind(arguments).parsed, **more))


def test_a_function_of_one_parameter_is_given_all_arguments_as_a_dict() -> None:
    client = Client()
    made = contract_from_schema("issue.create", ISSUE, functools.partial(client.call, "create"))

    assert run(made, RIGHT) == {"done": True}
    assert client.called == [("create", RIGHT)]


def test_a_function_of_keywords_is_given_each_argument_by_its_name() -> None:
    def any_of_them(**arguments: Any) -> Any:
        return arguments

    def these(repo: str, prio: int, **more: Any) -> Any:
        return [repo, prio, more]

    assert run(contract_from_schema("a.b", ISSUE, any_of_them), {**RIGHT, "user-id": "u"}) == {**RIGHT, "user-id": "u"}
    assert run(contract_from_schema("a.b", ISSUE, these), {**RIGHT, "limit": 2}) == ["a/b", 1, {"limit": 2}]


def test_a_function_that_does_not_go_with_the_schema_is_refused() -> None:
    def others(repo: str, missing: str) -> Any:
        return repo + missing

    with pytest.raises(ContractError, match="missing"):
        contract_from_schema("a.b", ISSUE, others)
    with pytest.raises(ContractError, match="give a function"):
        contract_from_schema("a.b", ISSUE, "a.b")  # type: ignore[arg-type]


async def test_an_async_function_makes_an_async_contract() -> None:
    client = Client()
    made = contract_from_schema("issue.create", ISSUE, client.acall)

    assert made.is_async
    assert await made.acall(made.bind(RIGHT).parsed) == {"done": True}
    assert client.called == [RIGHT]


def test_the_function_has_its_context_where_it_asks_for_it() -> None:
    keys: list[str] = []

    def send(arguments: dict[str, Any], ctx: ToolContext) -> Any:
        keys.append(ctx.idempotency_key)
        return arguments

    made = contract_from_schema("issue.create", ISSUE, send, effect="idempotent")
    flow = Workflow("w", model=ScriptedChatModel([call("issue.create", **RIGHT)], forever="done"))
    flow.add_state("open").add_state("done", final=True).add_edge("open", made, "done")

    output = flow.compile().invoke({"messages": [("user", "go")]}, {"configurable": {"thread_id": "1"}})

    assert output["state"] == "done"
    assert len(keys) == 1


def test_checks_and_previews_have_the_arguments_by_name_and_as_a_whole() -> None:
    def small(prio: int, limit: int | None, arguments: dict[str, Any]) -> bool:
        """prio is small"""
        return prio < 3 and limit is None and "limit" not in arguments

    made = contract(ISSUE, check=small, preview=lambda repo: f"to {repo}")

    assert made.failed_check(made.bind(RIGHT).parsed) is None
    assert made.failed_check(made.bind({**RIGHT, "limit": 1}).parsed) == "prio is small"
    assert made.show_preview(made.bind(RIGHT).parsed) == "to a/b"


# What it returns


def test_what_it_returns_is_held_against_its_schema() -> None:
    promised = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    made = contract_from_schema("a.b", {}, lambda arguments: arguments, output_schema=promised)

    assert made.output_schema() == promised
    assert run(made, {"n": 1}) == {"n": 1}
    with pytest.raises(InvalidOutput, match="n"):
        run(made, {"n": "one"})


def test_its_description_is_the_one_given_the_schemas_or_the_functions() -> None:
    def work(arguments: dict[str, Any]) -> Any:
        """Work.

        Never twice.
        """
        return arguments

    assert contract_from_schema("a.b", {}, work, description="Given.\n\nWhole.").description == "Given.\n\nWhole."
    assert contract_from_schema("a.b", {"description": "The schema's."}, work).description == "The schema's."
    assert contract_from_schema("a.b", {}, work).description == "Work.\n\nNever twice."
    assert contract_from_schema("a.b", {}, lambda arguments: arguments).description == "The tool a.b."


def test_a_name_of_somebody_elses_is_the_models_name_for_it() -> None:
    made = contract_from_schema("resolve-library-id", {}, lambda arguments: arguments)
    own = contract_from_schema("resolve-library-id", {}, lambda arguments: arguments, wire_name="resolve")

    assert (made.name, made.wire_name) == ("resolve_library_id", "resolve-library-id")
    assert (own.name, own.wire_name) == ("resolve_library_id", "resolve")
