"""Async tools: run on the loop, in the transaction of the transition, and for synchronous callers on a loop of the library's own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from interlock import Refused, SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import Done, Note, codes, said, thread

notes = sa.table("notes", sa.column("text"))


@command("note.write", effect="transactional")
async def write_note(text: str, ctx: ToolContext) -> Note:
    """Write a note."""
    await ctx.session.execute(sa.insert(notes).values(text=text))
    await asyncio.sleep(0)
    if text == "refuse":
        raise Refused("No such notes.")
    return Note(text=text)


@read("note.count")
async def count_notes(ctx: ToolContext) -> Note:
    """Count the notes."""
    return Note(text=str(await ctx.session.scalar(sa.select(sa.func.count()).select_from(notes))))


@command("note.done", effect="idempotent")
async def done() -> Done:
    """Be done."""
    await asyncio.sleep(0)
    return Done()


def workflow(*script: Any) -> Workflow:
    flow = Workflow("notes", model=ScriptedChatModel(script))
    flow.add_state("open", tools=[write_note, count_notes]).add_state("closed", final=True)
    return flow.add_edge("open", done, "closed")


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/notes.db"
    store = WorkflowStore(url)
    with store.write() as connection:
        connection.execute(sa.text("CREATE TABLE notes (text TEXT NOT NULL)"))
    store.close()
    return url


async def test_async_tools_run_under_ainvoke(url: str) -> None:
    async with SQLCheckpointer(url) as saver:
        graph = workflow(
            call("note.write", text="a"), [call("note.count"), call("note.count")], call("note.done")
        ).compile(saver)
        output = await graph.ainvoke(said(), thread())
        assert (codes(output), output["state"]) == (["ok"] * 4, "closed")
        assert [message.content.count('"text":"1"') for message in output["messages"][4:6]] == [1, 1]


async def test_the_writes_of_a_refusing_async_tool_are_rolled_back(url: str) -> None:
    async with SQLCheckpointer(url) as saver:
        graph = workflow(call("note.write", text="refuse"), call("note.count"), "done").compile(saver)
        output = await graph.ainvoke(said(), thread())
        assert codes(output) == ["refused", "ok"]
        assert '"text":"0"' in output["messages"][4].content


@pytest.mark.parametrize("name", ["note.write", "note.count", "note.done"])
def test_an_async_tool_runs_under_invoke_too(url: str, name: str) -> None:
    arguments = {"text": "a"} if name == "note.write" else {}
    with SQLCheckpointer(url) as saver:
        graph = workflow(call(name, arguments), call("note.count"), "done").compile(saver)
        output = graph.invoke(said(), thread())
        assert codes(output)[0] == "ok"
        assert output["state"] == ("closed" if name == "note.done" else "open")


async def test_an_async_tool_runs_under_invoke_where_a_loop_runs_already(url: str) -> None:
    """As in a notebook's cell, whose own loop waits meanwhile."""
    with SQLCheckpointer(url) as saver:
        graph = workflow(call("note.write", text="a"), call("note.count"), "done").compile(saver)
        assert codes(graph.invoke(said(), thread())) == ["ok"] * 2


def test_every_synchronous_call_runs_an_async_tool_on_the_same_loop(url: str) -> None:
    loops: list[Any] = []

    @read("loop.get")
    async def get_loop() -> Done:
        """Look at the loop."""
        loops.append(asyncio.get_running_loop())
        return Done()

    flow = Workflow(
        "loops",
        model=ScriptedChatModel([], forever=lambda said, _: call("loop.get") if said[-1].type == "human" else "done"),
    )
    flow.add_state("open", tools=[get_loop]).add_state("closed", final=True).add_edge("open", done, "closed")
    graph = flow.compile()
    for _ in range(2):
        graph.invoke(said(), thread())
    assert loops[0] is loops[1]


def test_an_async_function_decides_under_invoke(url: str) -> None:
    async def decide(view: Any) -> Any:
        await asyncio.sleep(0)
        return ("note.count", {}) if view.messages[-1].type == "human" else None

    flow = Workflow("notes")
    flow.add_state("open", decide=decide, tools=[count_notes]).add_state("closed", final=True)
    flow.add_edge("open", done, "closed")
    with SQLCheckpointer(url) as saver:
        assert codes(flow.compile(saver).invoke(said(), thread())) == ["ok"]


def test_an_async_tool_that_waits_for_another_one_synchronously_is_refused_before_anything(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with SQLCheckpointer(url) as saver:
        inner = workflow(call("note.write", text="inner"), "done").compile(saver)

        @read("note.ask")
        async def ask_inner() -> Done:
            """Run the other workflow."""
            inner.invoke(said(), thread("inner"))
            return Done()

        flow = Workflow("outer", model=ScriptedChatModel([call("note.ask"), "done"]))
        flow.add_state("open", tools=[ask_inner]).add_state("closed", final=True).add_edge("open", done, "closed")
        graph = flow.compile(saver)
        with caplog.at_level("ERROR", "interlock"):
            assert codes(graph.invoke(said(), thread())) == ["tool_failed"]
        assert "each would wait for the other" in caplog.text
        assert inner.instances.get(thread("inner")).revision == 0


async def test_an_async_tool_in_a_workflow_under_a_parent_with_an_async_saver(url: str, tmp_path: Path) -> None:
    store = WorkflowStore(url)
    async with AsyncSqliteSaver.from_conn_string(f"{tmp_path}/checkpoints.db") as saver:
        script = [call("note.write", text="a"), "one", call("note.write", text="b"), "two", call("note.count"), "three"]
        inner = workflow(*script).compile(saver, workflow_store=store)
        builder = StateGraph(MessagesState)
        builder.add_node("notes", inner)
        builder.add_edge(START, "notes").add_edge("notes", END)
        graph = builder.compile(checkpointer=saver)
        for _ in range(3):
            output = await graph.ainvoke(said(), thread())
        assert codes(output) == ["ok"] * 3
    store.close()


async def test_many_threads_run_on_one_loop_at_once(url: str) -> None:
    async with SQLCheckpointer(url) as saver:
        flow = Workflow(
            "notes",
            model=ScriptedChatModel(
                forever=lambda messages, _: "done" if messages[-1].type == "tool" else call("note.write", text="x")
            ),
        )
        flow.add_state("open", tools=[write_note, count_notes]).add_state("closed", final=True).add_edge(
            "open", done, "closed"
        )
        graph = flow.compile(saver)
        outputs = await asyncio.gather(*(graph.ainvoke(said(), thread(str(number))) for number in range(8)))
        assert [codes(output) for output in outputs] == [["ok"]] * 8
