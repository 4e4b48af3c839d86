"""The same small desk twice: as a workflow of Interlock, and as a user of LangChain sets up `create_agent`; on each kind of store.

A turn is one message of a person and what follows: the model proposes a call, the tool runs, the model says something. With an
approval it is two runs: the one that asks, and the one that is resumed. The peer's approval is `HumanInTheLoopMiddleware`. It keeps
no ledger, no audit record and no state of the business; Interlock's side has its gate, ledger, audit trail and approvals.
"""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from pydantic import BaseModel

from interlock import SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command, read

from ._slow_disk import temporary_postgres_database

SHAPES = ("plain", "approval", "read", "middleware")
STORES = ("memory", "NORMAL", "FULL", "postgresql")
"""Where both sides keep what they keep; `NORMAL` and `FULL` are SQLite in a file with that `synchronous`."""
notes = sa.Table(
    "desk_notes",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("text", sa.String(200), nullable=False),
)


_told = itertools.count()
"""Makes the arguments of each call others, so that nothing gains from having seen them before."""


class Note(BaseModel):
    """What the tools answer."""

    text: str


@command("note.add", effect="transactional")
def add_note(text: str) -> Note:
    """Keep a note."""
    return Note(text=text)


@command("note.add", effect="transactional")
def write_note(text: str, ctx: ToolContext) -> Note:
    """Keep a note."""
    ctx.session.execute(sa.insert(notes).values(text=text))
    return Note(text=text)


@read("note.add")
def look_up(text: str) -> Note:
    """Keep a note."""
    return Note(text=text)


@command("desk.close", effect="transactional")
def close() -> Note:
    """Close the desk."""
    return Note(text="closed")


class Model(BaseChatModel):
    """Proposes a note after a message of the user, and says something after a note."""

    @property
    def _llm_type(self) -> str:
        return "benchmark"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self.bind(tools=[str(getattr(tool, "name", tool)) for tool in tools])

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        answer = AIMessage("It is noted.")
        if not isinstance(messages[-1], ToolMessage):
            call = {
                "name": "note_add",
                "args": {"text": f"call back {next(_told)}"},
                "id": f"c{len(messages)}",
                "type": "tool_call",
            }
            answer = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=answer)])


@dataclass(frozen=True)
class Thread:
    """One conversation with one side."""

    graph: Any
    config: Any
    decision: Any
    """What answers an approval; None where there is none."""

    def turn(self, messages: int = 1) -> None:
        """Take one turn.

        Args:
            messages: How many messages of the person it begins with.
        """
        said = [("user", "Please note that I called.")] * messages
        output = self.graph.invoke({"messages": said}, self.config, durability="sync")
        if self.decision is not None:
            assert "__interrupt__" in output
            output = self.graph.invoke(Command(resume=self.decision), self.config, durability="sync")
        assert output["messages"][-1].content == "It is noted."


@dataclass(frozen=True)
class Side:
    """One of the two: begins conversations."""

    graph: Any
    decision: Any
    numbers: Iterator[int]

    def thread(self) -> Thread:
        """Begin a conversation."""
        return Thread(self.graph, {"configurable": {"thread_id": f"t-{next(self.numbers)}"}}, self.decision)


@contextlib.contextmanager
def desks(shape: str, store: str, *, writes: bool = False) -> Iterator[tuple[Side, Side]]:
    """Both sides: Interlock's and LangChain's.

    Args:
        shape: One of `SHAPES`.
        store: One of `STORES`.
        writes: Whether the tool inserts a row: in the command's own transaction here, in a transaction of its own there.
    """
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield _interlock(stack, folder, shape, store, writes), _langchain(stack, folder, shape, store, writes)


def _interlock(stack: contextlib.ExitStack, folder: pathlib.Path, shape: str, store: str, writes: bool) -> Side:
    as_middleware, approval = shape == "middleware", shape == "approval"
    flow = Workflow("desk", model=None if as_middleware else Model())
    flow.add_state("open").add_state("closed", final=True)
    tool = look_up if shape == "read" else write_note if writes else add_note
    flow.add_edge("open", tool, "open", approval=approval).add_edge("open", close, "closed")
    options = {} if store in {"memory", "postgresql"} else {"synchronous": store}
    saver: Any = InMemorySaver()
    if store != "memory":
        url = f"sqlite:///{folder}/interlock.db"
        if store == "postgresql":
            url = stack.enter_context(temporary_postgres_database())
        saver = stack.enter_context(SQLCheckpointer(url, **options))
        saver.setup()
        if writes:
            with saver.database.write() as connection:
                notes.create(connection)
    if as_middleware:
        kept = {} if store == "memory" else {"workflow_store": WorkflowStore(saver.database)}
        graph: Any = create_agent(Model(), [], middleware=[flow.as_middleware(**kept)], checkpointer=saver)
    else:
        graph = flow.compile() if store == "memory" else flow.compile(saver)
    return Side(graph, {"type": "approve"} if approval else None, itertools.count())


def _langchain(stack: contextlib.ExitStack, folder: pathlib.Path, shape: str, store: str, writes: bool) -> Side:
    saver: Any = InMemorySaver()
    url = f"sqlite:///{folder}/business.db"
    if store == "postgresql":
        url = stack.enter_context(temporary_postgres_database())
        plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        saver = stack.enter_context(PostgresSaver.from_conn_string(plain))
        saver.setup()
    elif store != "memory":
        saver = stack.enter_context(SqliteSaver.from_conn_string(f"{folder}/agent.db"))
        saver.setup()
        saver.conn.execute(f"PRAGMA synchronous={store}")
    tool = StructuredTool.from_function(
        _writing(stack, url, store) if writes else _noting, name="note_add", description="Keep a note."
    )
    asks: Any = [HumanInTheLoopMiddleware(interrupt_on={"note_add": True})] if shape == "approval" else []
    agent = create_agent(Model(), [tool], middleware=asks, checkpointer=saver)
    return Side(agent, {"decisions": [{"type": "approve"}]} if asks else None, itertools.count())


def _noting(text: str) -> str:
    """Keep a note."""
    return Note(text=text).model_dump_json()


def _writing(stack: contextlib.ExitStack, url: str, store: str) -> Callable[[str], str]:
    """The peer's tool with its own transaction, in a database of the business."""
    engine = sa.create_engine(url)
    stack.callback(engine.dispose)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={store}")

    notes.create(engine)

    def keep(text: str) -> str:
        """Keep a note."""
        with engine.begin() as connection:
            connection.execute(sa.insert(notes).values(text=text))
        return Note(text=text).model_dump_json()

    return keep
