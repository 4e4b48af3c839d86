"""LangChain tools of many kinds, calls of them, and what a plain agent makes of these."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import (
    BaseTool,
    StructuredTool,
    Tool,
    create_retriever_tool,
    tool,
)
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.v1 import BaseModel as OldModel
from pydantic.v1 import Field as OldField
from pydantic.v1 import validator as old_validator

from interlock import ToolContract, Workflow
from interlock.testing import ScriptedChatModel, call
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
