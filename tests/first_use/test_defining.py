"""First mistakes in defining tools and workflows, and in opening a database: all are told before anything runs."""

from __future__ import annotations

from typing import Any

from langchain_core.tools import tool
from pydantic import BaseModel

from interlock import Approval, Event, Principal, SQLCheckpointer, Workflow, WorkflowStore, command
from tests.first_use.support import Data, Mistake, do, flow, table


def defines(function: Any, name: str = "b.do", **options: Any) -> Any:
    return lambda: command(name, **options)(function)


def no_annotation(x) -> str:
    """B."""
    return x


def no_return(x: str):
    """B."""
    return x


def no_docstring(x: str) -> str:
    return x


def good(x: str) -> str:
    """B."""
    return x


def anything(x: str) -> object:
    """B."""
    return x


async def async_rule(x: str) -> bool:
    return False


async def async_guard(view: Any) -> bool:
    return False


@tool
def plain_tool(x: str) -> str:
    """Z."""
    return x


def edge_before_states() -> None:
    made = Workflow("w")
    made.add_edge("open", do, "closed")
    made.compile()


def island() -> None:
    made = flow()
    made.add_state("island")
    made.compile()


def with_tool(given: Any) -> Any:
    return lambda: Workflow("w").add_state("open", tools=[given])


def nameless_event() -> None:
    class Nameless(Event):
        x: str


def edge(**options: Any) -> Any:
    return lambda: flow(edge=options, data=Data).compile()


def two_places() -> None:
    flow().compile(workflow_store=WorkflowStore("sqlite:///never-made.db"), in_memory=True)


class Settings(BaseModel):
    n: int = 0


@table(
    ("a parameter without a type", defines(no_annotation), "parameter 'x' without an annotation", "x: str"),
    ("no return type", defines(no_return), "does not say what it returns", "-> Receipt"),
    ("no docstring", defines(no_docstring), "has no description", "begin it with a docstring"),
    ("@command without a name", lambda: command(good), "without a name", '@command("some.name")'),
    ("a name in capitals", defines(good, "Access-Grant"), "'Access-Grant'", "lower-case words joined by dots"),
    ("a mistyped effect", defines(good, effect="transactionl"), "'transactionl'", "transactional, idempotent"),
    ("a return type that is anything", defines(anything), "promises nothing", "pydantic.JsonValue"),
    ("retry of an effect that may happen once", defines(good, retry=3), "retry", "RetryPolicy"),
    ("a preview that asks for no parameter", defines(good, preview=lambda y: y), "asks for 'y'", "it can have"),
    ("an event without a name", nameless_event, "has no name", 'name="…", version=1'),
    ("an edge and no states", edge_before_states, "has no states", "add_state()"),
    ("no states", lambda: Workflow("w").compile(), "has no states", "add_state()"),
    ("a state that no edge leads to", island, "No edge", "'island'", "Add an edge to it"),
    ("a state twice", lambda: flow().add_state("open"), "already has a state 'open'", "its own name"),
    ("one tool in place of a list", lambda: Workflow("w").add_state("open", tools=do), "a.do alone", "tools=[...]"),  # type: ignore[arg-type]
    ("a function in place of a tool", with_tool(lambda x: x), "the function '<lambda>'", "@read(", "@command("),
    ("a LangChain tool", with_tool(plain_tool), "the LangChain tool 'plain_tool'", "contract_from_tool(plain_tool"),
    ("a mistyped mode", lambda: Workflow("w", mode="readonly"), "'readonly'", "read_only, dry_run, live"),
    ("a version in words", lambda: Workflow("w", version="1"), "version '1'", "a whole number from 1"),  # type: ignore[arg-type]
    ("an object as data", lambda: Workflow("w", data=Settings()), "the class of its data", "data=CaseData"),  # type: ignore[arg-type]
    ("a function as a model", lambda: Workflow("w", model=lambda m: "x"), "takes no tools", "decide="),  # type: ignore[arg-type]
    ("a model and a function", lambda: Workflow("w").add_state("a", model="openai:x", decide=print), "model and decide", "one of them"),
    ("a final state with tools", lambda: Workflow("w").add_state("a", final=True, tools=[do]), "is final", "over there"),
    ("a guard of two parameters", edge(guard=lambda view, ctx: True), "cannot be called with one argument", "the view"),
    ("an async guard", edge(guard=async_guard), "is async", "a plain def function"),
    ("an async check", edge(check=async_rule), "the check of 'a.do', is async", "a plain def function"),
    ("an async condition", edge(approval=Approval(when=async_rule)), "condition of 'a.do', is async", "a plain def"),
    ("a check that asks for no parameter", edge(check=lambda y: True), "'y'", "it can have any of"),
    ("an approval by name", edge(approval="supervisor"), "approval='supervisor'", "True, an Approval"),
    ("roles as a text", lambda: Principal("ada", roles="supervisor"), "roles is 'supervisor'", "{'supervisor'}"),  # type: ignore[arg-type]
    ("a checkpointer by URL", lambda: flow().compile("sqlite:///x.db"), "as its checkpointer", "SQLCheckpointer("),  # type: ignore[arg-type]
    ("memory and a database", two_places, "in_memory=True and with a database", "Leave out one"),
)  # fmt: skip
def test_it_is_said_when_it_is_defined(mistake: Mistake) -> None:
    mistake.check()


def opened(url: str) -> Any:
    return lambda: SQLCheckpointer(url).setup()


@table(
    ("postgres://", opened("postgres://me@127.0.0.1/x"), "SQLAlchemy calls it postgresql", "postgresql://"),
    ("a path in place of a URL", opened("cases.db"), "not a database URL", "sqlite:///shop.db"),
    (
        "a folder that is not there",
        opened("sqlite:////nowhere/x.db"),
        "'/nowhere'",
        "does not exist",
        "create the folder",
    ),
    ("nobody listens", opened("postgresql://me@127.0.0.1:9/x"), "did not answer", "check host and port"),
    ("a file that is no database", opened(f"sqlite:///{__file__}"), "not an intact SQLite database", "Give the path"),
)
def test_it_is_said_when_the_database_is_opened(mistake: Mistake) -> None:
    mistake.check()


def test_a_database_that_was_never_made_is_named_with_what_makes_it() -> None:
    from sqlalchemy.engine import make_url

    from interlock.checkpointing.faults import translate

    for said in ('FATAL:  database "shop" does not exist', "(1049, \"Unknown database 'shop'\")"):
        error = translate(RuntimeError(said), make_url("postgresql://me@host/shop"))
        assert "There is no database 'shop'" in error.message
        assert "CREATE DATABASE shop" in error.message
        assert not error.retryable
    assert (
        "refused a statement" in translate(RuntimeError('relation "x" does not exist'), make_url("sqlite://")).message
    )
