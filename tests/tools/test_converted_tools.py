"""LangChain tools of many kinds, made contracts: they are offered, read and run as in a plain agent."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import (
    BaseTool,
    StructuredTool,
    Tool,
    ToolException,
    create_retriever_tool,
    tool,
)
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.types import Command
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.v1 import BaseModel as OldModel
from pydantic.v1 import Field as OldField
from pydantic.v1 import validator as old_validator

from interlock import ToolContract, Workflow
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ContractError, InvalidArguments, InvalidOutput, Refused
from interlock.tools.langchain import contract_from_tool


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    order_id: str = Field(alias="orderId")
    count: int = 1


class Patch(BaseModel):
    name: str | None = None
    email: str | None = None
    tags: list[str] = []


class Tree(BaseModel):
    n: int
    kids: list[Tree] = []


class Span(BaseModel):
    """Some days."""

    start: int = Field(ge=0, description="The first day")
    end: int = 9

    @field_validator("start")
    @classmethod
    def _no_monday(cls, start: int) -> int:
        if start % 7 == 1:
            raise ValueError("not on a Monday")
        return start

    @model_validator(mode="after")
    def _in_order(self) -> Span:
        if self.end < self.start:
            raise ValueError("end is before start")
        return self


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    q: str


class Aliased(BaseModel):
    first: int = Field(alias="A")
    second: int = Field(2, validation_alias="B", serialization_alias="bee")


class OldArguments(OldModel):
    n: int = OldField(3, description="A number")
    m: int = OldField(..., alias="M")

    @old_validator("m")
    def _even(cls, m: int) -> int:
        if m % 2:
            raise ValueError("must be even")
        return m


@tool
def plain(q: str, limit: int = 30, note: str | None = None) -> str:
    """Look."""
    return f"{q} {limit} {note}"


@tool(parse_docstring=True)
def documented(q: str, limit: int = 5) -> str:
    """Search the shop.

    Never twice.

    Args:
        q: The words, in English.
        limit: At most 50.
    """
    return f"{q} {limit}"


@tool
def typed(
    at: dt.datetime,
    price: Decimal,
    colour: Colour,
    days: set[int],
    pair: tuple[int, str],
    kind: Literal["a", "b"] = "a",
    wait: dt.timedelta = dt.timedelta(0),
) -> str:
    """Take all kinds of types."""
    return f"{at!r} {price!r} {colour} {sorted(days)} {pair} {kind} {wait}"


@tool
def nested(item: Item, items: list[Item]) -> str:
    """Take models."""
    return f"{item!r} {items!r} {item.model_fields_set}"


@tool
def patching(user: str, patch: Patch, more: dict[str, Patch], rest: list[Patch]) -> str:
    """Change what is given, and nothing else."""
    given = [one.model_dump(exclude_unset=True) for one in (patch, *more.values(), *rest)]
    return f"{user} {given}"


@tool
def growing(tree: Tree) -> str:
    """Take a tree."""
    return repr(tree)


@tool(args_schema=Span)
def booking(start: int, end: int) -> str:
    """Book."""
    return f"{start} {end}"


@tool(args_schema=Open)
def opened(q: str, **more: Any) -> str:
    """Take anything."""
    return f"{q} {more}"


@tool(args_schema=Aliased)
def aliased(first: int, second: int) -> str:
    """Take what has other names in JSON."""
    return f"{first} {second}"


@tool
def keywords(q: str, *rest: int, **more: Any) -> str:
    """Take keywords."""
    return f"{q} {rest} {more}"


@tool
def nothing() -> None:
    """Do nothing."""


@tool
def a_dict(q: str) -> dict[str, Any]:
    """Give a dict."""
    return {"q": q, "ü": [1, 2.5, None]}


@tool
def a_list(q: str) -> list[dict[str, Any]]:
    """Give a list."""
    return [{"q": q}]


@tool
def a_model(q: str) -> Patch:
    """Give a model."""
    return Patch(name=q)


@tool
def a_number(q: str) -> float:
    """Give a number."""
    return len(q) + 0.5


@tool(response_format="content_and_artifact")
def an_image(q: str) -> tuple[Any, Any]:
    """Give a picture."""
    image = {"type": "image", "source_type": "base64", "data": "AAA=", "mime_type": "image/png"}
    return [{"type": "text", "text": q}, image], {"big": object()}


@tool
def a_message(q: str) -> ToolMessage:
    """Give a message."""
    return ToolMessage(f"said {q}", tool_call_id="none")


@tool(return_direct=True)
def direct(q: str) -> str:
    """Give it directly."""
    return f"direct {q}"


class Shop(BaseTool):
    name: str = "shop"
    description: str = "A tool with a class of its own."

    def _run(self, q: str, limit: int = 3, run_manager: Any = None) -> str:
        return f"shop {q} {limit}"


class Answering(BaseTool):
    name: str = "answering"
    description: str = "A tool that handles its errors."
    args_schema: type[BaseModel] = Open
    handle_tool_error: bool = True

    def _run(self, q: str, **more: Any) -> str:
        return f"answering {q}"


class Found(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(f"about {query}"), Document("and more")]


def by_name(q: str, limit: int = 5) -> str:
    """Look by name."""
    return f"{q} {limit}"


async def by_name_async(q: str, limit: int = 5) -> str:
    """Look by name."""
    await asyncio.sleep(0)
    return f"async {q} {limit}"


def published(schema: dict[str, Any]) -> StructuredTool:
    return StructuredTool(
        name="published", description="From a server.", args_schema=schema, func=lambda **given: json.dumps(given)
    )


PUBLISHED = {
    "type": "object",
    "properties": {"q": {"$ref": "#/$defs/text"}, "limit": {"type": "integer", "default": 30}, "user-id": {}},
    "required": ["q"],
    "$defs": {"text": {"type": "string"}},
}

RUNS: list[tuple[BaseTool, dict[str, Any]]] = [
    (plain, {"q": "a"}),
    (plain, {"q": "a", "limit": 3, "note": None}),
    (documented, {"q": "a"}),
    (
        typed,
        {"at": "2025-01-02T03:04:05+02:00", "price": "1.10", "colour": "red", "days": [3, 1, 2], "pair": [1, "x"]},
    ),
    (
        typed,
        {"at": "2025-01-02T03:04:05", "price": 2, "colour": "blue", "days": [], "pair": [1, "x"], "wait": "PT90S"},
    ),
    (nested, {"item": {"orderId": "1"}, "items": [{"orderId": "2", "count": 3}]}),
    (patching, {"user": "u", "patch": {"name": "Ann"}, "more": {"k": {"email": None}}, "rest": [{}, {"tags": []}]}),
    (growing, {"tree": {"n": 1, "kids": [{"n": 2, "kids": [{"n": 3}]}]}}),
    (booking, {"start": 3}),
    (opened, {"q": "a", "z": 1, "y": {"x": [1]}}),
    (aliased, {"A": 1}),
    (aliased, {"A": 1, "B": 5}),
    (keywords, {"q": "a"}),
    (nothing, {}),
    (a_dict, {"q": "a"}),
    (a_list, {"q": "a"}),
    (a_model, {"q": "a"}),
    (a_number, {"q": "a"}),
    (an_image, {"q": "a"}),
    (direct, {"q": "a"}),
    (Shop(), {"q": "a"}),
    (Answering(), {"q": "a", "z": 1}),
    (create_retriever_tool(Found(), "found", "Find."), {"query": "cats"}),
    (Tool.from_function(lambda q: f"one {q}", name="single", description="One text."), {"__arg1": "a"}),
    (StructuredTool.from_function(by_name), {"q": "a", "limit": 2}),
    (StructuredTool.from_function(by_name, coroutine=by_name_async), {"q": "a"}),
    (
        StructuredTool.from_function(lambda n, m: f"{n} {m}", name="old", description="Old.", args_schema=OldArguments),
        {"M": 4},
    ),
    (published(PUBLISHED), {"q": "a", "user-id": [1]}),
    (published({"type": "object"}), {"anything": {"at": ["all"]}}),
]


DIFFERING = {"growing", "aliased", "typed", "published", "single", "old", "opened", "answering"}
"""What LangChain offers of these is not what it takes: it loses references, aliases, and that a model takes more than its fields."""


def ids(value: Any) -> str:
    return value.name if isinstance(value, BaseTool) else ""


def in_a_plain_agent(made: BaseTool, arguments: dict[str, Any], *, is_async: bool = False) -> Any:
    agent = create_agent(ScriptedChatModel([call(made.name, **arguments)], forever="done"), [made])
    given = {"messages": [("user", "go")]}
    output = asyncio.run(agent.ainvoke(given)) if is_async else agent.invoke(given)
    return next(message.content for message in output["messages"] if isinstance(message, ToolMessage))


def flow(contract: ToolContract, *script: Any) -> Workflow:
    workflow = Workflow("w", model=ScriptedChatModel(script, forever="done"))
    workflow.add_state("open").add_state("done", final=True)
    return workflow.add_edge("open", contract, "done")


def in_a_workflow(made: BaseTool, arguments: dict[str, Any], *, is_async: bool = False, **options: Any) -> Any:
    contract = contract_from_tool(made, **options)
    graph = flow(contract, call(contract.wire_name, **arguments)).compile(destructive_in_memory=True)
    given, config = {"messages": [("user", "go")]}, {"configurable": {"thread_id": "1"}}
    output = asyncio.run(graph.ainvoke(given, config)) if is_async else graph.invoke(given, config)
    assert output["last_result"]["ok"], output["last_result"]
    return output["last_result"]["output"]


@pytest.mark.parametrize("is_async", [False, True], ids=["invoke", "ainvoke"])
@pytest.mark.parametrize(("made", "arguments"), RUNS, ids=ids)
def test_a_tool_answers_in_a_workflow_what_it_answers_in_a_plain_agent(
    made: BaseTool, arguments: dict[str, Any], is_async: bool
) -> None:
    assert in_a_workflow(made, arguments, is_async=is_async) == in_a_plain_agent(made, arguments, is_async=is_async)


@pytest.mark.parametrize(("made", "arguments"), RUNS, ids=ids)
def test_what_is_shown_and_stored_of_a_call_reads_back_as_the_same_call(
    made: BaseTool, arguments: dict[str, Any]
) -> None:
    contract = contract_from_tool(made)
    bound = contract.bind(arguments)

    again = contract.bind(bound.canonical)

    assert again.canonical == bound.canonical
    assert again.fingerprint == bound.fingerprint
    assert json.loads(json.dumps(bound.canonical)) == bound.canonical


@pytest.mark.parametrize(
    "made",
    [one for one, _ in RUNS if one.name not in DIFFERING],
    ids=ids,
)
def test_a_model_is_offered_the_tool_as_a_plain_agent_offers_it(made: BaseTool) -> None:
    offered, plainly = contract_from_tool(made).tool_definition(), convert_to_openai_tool(made)

    assert offered == plainly


@pytest.mark.parametrize(
    ("made", "arguments", "said"),
    [
        (plain, {}, "q"),
        (plain, {"q": 5}, "q"),
        (plain, {"q": "a", "limit": "5"}, "limit"),
        (typed, {"at": "soon", "price": "1", "colour": "red", "days": [], "pair": [1, "x"]}, "at"),
        (typed, {"at": "2025-01-02T03:04:05", "price": "1", "colour": "green", "days": [], "pair": [1, "x"]}, "colour"),
        (nested, {"item": {"order_id": "1"}, "items": []}, "orderId"),
        (growing, {"tree": {"n": 1, "kids": [{"n": "x"}]}}, "tree.kids.0"),
        (booking, {"start": -1}, "start"),
        (booking, {"start": 8}, "not on a Monday"),
        (booking, {"start": 5, "end": 3}, "end is before start"),
        (StructuredTool.from_function(lambda n, m: "x", name="old", description="Old.", args_schema=OldArguments), {"M": 3}, "must be even"),
        (published(PUBLISHED), {"q": 1}, "q"),
        (published(PUBLISHED), {"q": "a", "limit": None}, "limit"),
        (Shop(), {"limit": 1}, "q"),
        (Tool.from_function(lambda q: q, name="single", description="One."), {"tool_input": "a"}, "__arg1"),
    ],
    ids=str,
)  # fmt: skip
def test_what_its_schema_or_its_model_forbids_is_refused_before_anything_runs(
    made: BaseTool, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidArguments, match=said):
        contract_from_tool(made).bind(arguments)


@pytest.mark.parametrize(
    ("made", "arguments", "canonical"),
    [
        (plain, {"q": "a"}, {"q": "a", "limit": 30, "note": None}),
        (patching, {"user": "u", "patch": {"name": "A"}, "more": {}, "rest": []}, {"user": "u", "patch": {"name": "A"}, "more": {}, "rest": []}),
        (aliased, {"A": 1}, {"A": 1, "B": 2}),
        (aliased, {"first": 1}, {"A": 1, "B": 2}),
        (booking, {"start": 3}, {"start": 3, "end": 9}),
        (published(PUBLISHED), {"q": "a"}, {"q": "a"}),
        (keywords, {"q": "a"}, {"q": "a"}),
        (plain, {"q": "a", "unknown": 1}, {"q": "a", "limit": 30, "note": None}),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_shown_is_what_the_tool_is_called_with(
    made: BaseTool, arguments: dict[str, Any], canonical: dict[str, Any]
) -> None:
    assert contract_from_tool(made).bind(arguments).canonical == canonical


def test_a_validator_that_changes_what_it_reads_is_shown_as_it_runs_or_as_it_was_given() -> None:
    class Clamped(BaseModel):
        amount: int
        to: str

        @field_validator("amount")
        @classmethod
        def _at_most(cls, amount: int) -> int:
            return min(amount, 50)

        @field_validator("to")
        @classmethod
        def _shouted(cls, to: str) -> str:
            return f"{to}!"

    ran: list[Any] = []

    @tool(args_schema=Clamped)
    def pay(amount: int, to: str) -> str:
        """Pay."""
        ran.append((amount, to))
        return "paid"

    # Written down as it was read, "ann!" would be read as "ann!!": so the call is shown as LangChain is given it.
    contract = contract_from_tool(pay)
    bound = contract.bind({"amount": 100, "to": "ann"})
    contract.call(bound.parsed)

    assert bound.canonical == {"amount": 100, "to": "ann"}
    assert ran == [(50, "ann!")]


def test_checks_and_previews_see_what_the_model_of_the_tool_read() -> None:
    contract = contract_from_tool(
        typed, check=lambda price, colour: price > 1 and colour is Colour.RED, preview=lambda days: {*days} == {1, 3}
    )
    arguments = {"at": "2025-01-02T03:04:05", "price": "1.10", "colour": "red", "days": [3, 1], "pair": [1, "x"]}
    bound = contract.bind(arguments)

    assert contract.failed_check(bound.parsed) is None
    assert contract.show_preview(bound.parsed) is True


# What tools say


@tool
def failing(q: str) -> str:
    """Fail."""
    raise ToolException("no such thing")


HANDLERS: list[tuple[Any, str]] = [
    (False, "no such thing"),
    (True, "no such thing"),
    ("in other words", "in other words"),
    (lambda error: f"handled {error}", "handled no such thing"),
]


@pytest.mark.parametrize(("handler", "said"), HANDLERS)
def test_what_a_tool_reports_as_its_error_is_its_own_no(handler: Any, said: str) -> None:
    made = failing.model_copy(update={"handle_tool_error": handler})
    contract = contract_from_tool(made)

    with pytest.raises(Refused) as caught:
        contract.call(contract.bind({"q": "a"}).parsed)
    assert caught.value.message == said


@pytest.mark.parametrize(
    ("handler", "said"),
    [("Give a number, please.", "Give a number, please."), (lambda _: "So not.", "not on a Monday")],
)
def test_what_a_tool_says_of_arguments_that_do_not_fit_is_said(handler: Any, said: str) -> None:
    made = booking.model_copy(update={"handle_validation_error": handler})

    with pytest.raises(InvalidArguments, match=said):
        contract_from_tool(made).bind({"start": 8})


class Async(BaseTool):
    name: str = "only_async"
    description: str = "It has only an asynchronous function."

    def _run(self, q: str) -> str:
        raise NotImplementedError("use it asynchronously")

    async def _arun(self, q: str) -> str:
        return f"async {q}"


def test_a_tool_that_does_its_work_asynchronously_does_so_in_an_asynchronous_run() -> None:
    for made in (Async(), StructuredTool.from_function(coroutine=by_name_async, name="only_async")):
        assert in_a_workflow(made, {"q": "a"}, is_async=True).startswith("async a")


# What is refused


def commanding() -> list[Callable[[], BaseTool]]:
    class Sending(BaseTool):
        name: str = "sending"
        description: str = "Send the graph elsewhere."

        def _run(self, q: str) -> Command[Any]:
            return Command(goto=q)

    def one(q: str) -> Command[Any]:
        """Send the graph elsewhere."""
        return Command(goto=q)

    def several(q: str) -> str | list[Command[Any] | ToolMessage]:
        """Send the graph elsewhere."""
        return [Command(goto=q)]

    async def later(q: str) -> Command[Any] | None:
        """Send the graph elsewhere."""
        return Command(goto=q)

    return [
        Sending,
        lambda: StructuredTool.from_function(one),
        lambda: StructuredTool.from_function(several),
        lambda: StructuredTool.from_function(coroutine=later),
        lambda: StructuredTool.from_function(by_name, coroutine=later),
    ]


@pytest.mark.parametrize("made", commanding())
def test_a_tool_that_says_that_it_returns_a_command_is_refused(made: Callable[[], BaseTool]) -> None:
    with pytest.raises(ContractError, match="Command"):
        contract_from_tool(made())


@pytest.mark.parametrize(
    "answer", [Command(goto="x"), [Command(goto="x"), ToolMessage("x", tool_call_id="x")]], ids=["one", "several"]
)
def test_a_tool_that_returns_a_command_without_saying_so_is_told_what_to_do(answer: Any) -> None:
    def untold(q: str):  # type: ignore[no-untyped-def]
        """Send the graph elsewhere."""
        return answer

    contract = contract_from_tool(StructuredTool.from_function(untold), kind="read")
    with pytest.raises(InvalidOutput, match="Command"):
        contract.call(contract.bind({"q": "a"}).parsed)

    workflow = Workflow("w", model=ScriptedChatModel([call("untold", q="a")], forever="done"))
    workflow.add_state("open", tools=[contract]).add_state("done", final=True).add_edge(
        "open", contract_from_tool(plain), "done"
    )
    output = workflow.compile(destructive_in_memory=True).invoke(
        {"messages": [("user", "go")]}, {"configurable": {"thread_id": "1"}}
    )
    told = json.loads(next(one.content for one in output["messages"] if isinstance(one, ToolMessage)))
    assert told["error"]["code"] == "invalid_output"
    assert "only edges do that" in told["error"]["message"]


@pytest.mark.parametrize(
    "given", [by_name, "plain", None, convert_to_openai_tool(plain)], ids=["function", "name", "none", "dict"]
)
def test_what_is_no_langchain_tool_is_refused_with_what_to_use(given: Any) -> None:
    with pytest.raises(ContractError, match="contract_from_schema"):
        contract_from_tool(given)
