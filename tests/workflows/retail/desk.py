"""The desk with the benchmark's shop, for tests that talk to it: filled from a template, driven by a script, watched."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from sqlalchemy import Connection

from interlock import Database, Principal, WorkflowStore
from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.store import AuditRecord
from interlock.graphs import WorkflowGraph
from interlock.rules import Limits
from interlock.testing import Answer, Call, ScriptedChatModel, call
from interlock.tools.kinds import ToolKind
from interlock.workflows.retail import BY_TAU2_NAME, open_shop, retail_workflow
from interlock.workflows.retail.shop import Shop
from tests.workflows.retail import tau2

CUSTOMER = Principal("customer-at-the-desk")
"""Who talks to the desk, as the application knows them."""

_threads = itertools.count(1)


# The shop


@cache
def template() -> Database:
    """A database in memory with every table and the benchmark's shop, to be copied and never used otherwise."""
    database = Database.in_memory()
    SQLCheckpointer(database).setup()
    open_shop(database, Shop.model_validate(tau2.shop_json()))
    return database


def fill(database: Database) -> None:
    """Make a database in memory a copy of the template, whatever was in it: a few milliseconds."""
    with (
        contextlib.closing(template().engine.raw_connection()) as source,
        contextlib.closing(database.engine.raw_connection()) as target,
    ):
        _driver(source).backup(_driver(target))


def copy_to(path: Path) -> str:
    """Write a copy of the template to a file, and give the URL to open it with."""
    with (
        contextlib.closing(template().engine.raw_connection()) as source,
        contextlib.closing(sqlite3.connect(path)) as to,
    ):
        _driver(source).backup(to)
    return f"sqlite:///{path}"


def _driver(connection: Any) -> sqlite3.Connection:
    driver = connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


@cache
def untouched() -> tau2.Fingerprint:
    """The shop as it was loaded."""
    with template().read() as connection:
        return tau2.fingerprint(connection)


def changed(connection: Connection) -> set[tuple[str, Any]]:
    """The users, orders and products with a row that differs from the shop as it was loaded."""
    before, after = untouched(), tau2.fingerprint(connection)
    return {key for key in after.keys() | before.keys() if after.get(key) != before.get(key)}


# Who watches


@contextlib.contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count every time that the body of one of the desk's commands is reached, by the tool's name."""
    reached: dict[str, int] = {}

    def watched(contract: Any) -> Callable[..., Any]:
        function = contract.function

        def body(*args: Any, **kwargs: Any) -> Any:
            reached[contract.name] = reached.get(contract.name, 0) + 1
            return function(*args, **kwargs)

        return body

    commands = [contract for contract in BY_TAU2_NAME.values() if contract.kind is ToolKind.COMMAND]
    originals = [contract.function for contract in commands]
    for contract in commands:
        object.__setattr__(contract, "function", watched(contract))
    try:
        yield reached
    finally:
        for contract, original in zip(commands, originals, strict=True):
            object.__setattr__(contract, "function", original)


# Who proposes


class Script:
    """A chat model that says what the test tells it to next, and then that it has nothing more to say."""

    def __init__(self) -> None:
        self.left: list[Answer] = []
        self.model = ScriptedChatModel(forever=self._next)

    def _next(self, messages: list[BaseMessage], offered: list[str]) -> Answer:
        del messages, offered
        return self.left.pop(0) if self.left else "Is there anything else?"


def proposal(name: str, arguments: dict[str, Any]) -> Call:
    """A call of one of the desk's tools, by the benchmark's name for it."""
    return call(BY_TAU2_NAME[name].name, arguments)


def identification(user_id: str) -> Call:
    """The call that identifies one of the benchmark's customers."""
    return call("customer.find_by_email", email=tau2.shop_json()["users"][user_id]["email"])


# How it is run


class Run:
    """A way to run the compiled desk: what it answers with are the interrupts that wait now, by their ids."""

    name = "invoke"

    def __call__(self, graph: WorkflowGraph, given: Any, config: Any, by: Principal) -> dict[str, dict[str, Any]]:
        return _waiting(graph.invoke(given, config, context=by).get("__interrupt__", ()))

    def close(self) -> None:
        """Give back what it holds."""


class AsyncRun(Run):
    name = "ainvoke"

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __call__(self, graph: WorkflowGraph, given: Any, config: Any, by: Principal) -> dict[str, dict[str, Any]]:
        return _waiting(self._runner.run(graph.ainvoke(given, config, context=by)).get("__interrupt__", ()))

    def close(self) -> None:
        self._runner.close()


class StreamRun(Run):
    name = "stream"

    def __call__(self, graph: WorkflowGraph, given: Any, config: Any, by: Principal) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for update in graph.stream(given, config, context=by, stream_mode="updates"):
            found |= _waiting(update.get("__interrupt__", ()))
        return found


RUNS: tuple[type[Run], ...] = (Run, AsyncRun, StreamRun)


def _waiting(interrupts: Any) -> dict[str, dict[str, Any]]:
    return {interrupt.id: interrupt.value for interrupt in interrupts}


@dataclass
class Desk:
    """One compiled desk, with as many conversations as a test likes, one after another."""

    script: Script
    graph: WorkflowGraph
    run: Run = field(default_factory=Run)
    config: dict[str, Any] = field(default_factory=dict)
    by: Principal = CUSTOMER

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin a new conversation."""
        self.config = {"configurable": {"thread_id": f"conversation-{next(_threads)}"}}

    def says(self, *answers: Answer, hears: str = "Please.") -> dict[str, dict[str, Any]]:
        """Let the model say these things, one after another, on a message of the customer's."""
        self.script.left = list(answers)
        return self.run(self.graph, {"messages": [("user", hears)]}, self.config, self.by)

    def resumes(self, given: Any = None) -> dict[str, dict[str, Any]]:
        """Let it run on."""
        return self.run(self.graph, given, self.config, self.by)

    @property
    def store(self) -> WorkflowStore:
        """The workflow store, in whose database the shop stands."""
        return self.graph.engine.store

    @property
    def audit(self) -> list[AuditRecord]:
        """The audit trail of this conversation's instance."""
        return self.graph.instances.audit(self.config)

    @property
    def last_result(self) -> dict[str, Any]:
        """The last command result or error."""
        return dict(self.graph.instances.get(self.config).last_result or {})

    def shop(self) -> tau2.Snapshot:
        """Every row of the shop."""
        with self.store.read() as connection:
            return tau2.snapshot(connection)

    def changed(self) -> set[tuple[str, Any]]:
        """The users and orders that are not as they were loaded."""
        with self.store.read() as connection:
            return changed(connection)


def make_desk(
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    *,
    run: Run | None = None,
    limits: Limits | None = None,
    store: WorkflowStore | None = None,
    **options: Any,
) -> Desk:
    """Compile the desk without a prompt: in memory unless a checkpointer says otherwise; its shop is empty then."""
    script = Script()
    desk = retail_workflow(script.model, prompt=None, limits=limits, **options)
    graph = desk.compile(checkpointer, workflow_store=store)
    return Desk(script, graph, run or Run())


__all__ = [
    "CUSTOMER",
    "RUNS",
    "AsyncRun",
    "Desk",
    "Run",
    "Script",
    "StreamRun",
    "changed",
    "copy_to",
    "counted",
    "fill",
    "identification",
    "make_desk",
    "proposal",
    "template",
    "untouched",
]
