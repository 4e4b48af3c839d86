"""Reads have a timeout and a retry policy, as commands outside the database have."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from interlock import Principal, Refused, RetryPolicy, ToolContext, ToolContract, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import Done, Home, Note, Runner, answers, codes, said, thread, trail

AGAIN = RetryPolicy(attempts=3, initial=0)


@command("note.end", effect="transactional")
def end() -> Done:
    """End it."""
    return Done()


def flow(tool: ToolContract, *, moving: bool = False) -> Workflow:
    workflow = Workflow("notes", model=ScriptedChatModel([call(tool.name)], forever="done"))
    workflow.add_state("open", tools=[] if moving else [tool])
    if moving:
        workflow.add_state("read").add_edge("open", tool, "read").add_edge("read", end, "closed")
    return workflow.add_state("closed", final=True).add_edge("open", end, "closed")


class Flaky:
    """A tool that fails a number of times."""

    def __init__(self, failures: int, error: Exception | None = None, **options: Any) -> None:
        self.attempts: list[int] = []

        @read("note.get", **options)
        def get(ctx: ToolContext) -> Note:
            """Get the note."""
            self.attempts.append(ctx.attempt)
            if len(self.attempts) <= failures:
                raise error or ConnectionError("away")
            return Note(text="found")

        self.tool: ToolContract = get


@pytest.mark.parametrize("moving", [False, True], ids=["staying", "moving"])
def test_a_read_that_fails_is_made_again_as_its_policy_says(home: Home, run: Runner, moving: bool) -> None:
    flaky = Flaky(2, retry=AGAIN)
    graph = home.compile(flow(flaky.tool, moving=moving))

    output = run(graph, said(), thread())

    assert flaky.attempts == [1, 2, 3]
    assert answers(output)[0]["output"] == {"text": "found"}
    assert output["state"] == ("read" if moving else "open")
    # One record, of the attempt that was answered: a read that failed left nothing behind.
    assert [kind for kind, tool, _ in trail(graph, thread()) if tool] == ["transition" if moving else "read"]


def test_a_read_that_goes_on_failing_is_answered_after_its_last_attempt(memory: Home) -> None:
    flaky = Flaky(9, retry=AGAIN)

    output = memory.compile(flow(flaky.tool)).invoke(said(), thread())

    assert flaky.attempts == [1, 2, 3]
    assert codes(output) == ["tool_failed"]


def test_without_a_policy_a_read_has_one_attempt(memory: Home) -> None:
    flaky = Flaky(1)

    assert codes(memory.compile(flow(flaky.tool)).invoke(said(), thread())) == ["tool_failed"]
    assert flaky.attempts == [1]


def test_a_refused_read_is_not_retried(memory: Home) -> None:
    flaky = Flaky(1, Refused("no such note"), retry=AGAIN)

    assert codes(memory.compile(flow(flaky.tool)).invoke(said(), thread())) == ["refused"]
    assert flaky.attempts == [1]


def test_a_read_that_takes_too_long_is_answered_with_a_timeout(home: Home, run: Runner) -> None:
    finish = threading.Event()

    @read("note.get", timeout=0.05)
    def hangs() -> Note:
        """Get the note, some day."""
        finish.wait(30)
        return Note(text="late")

    output = run(home.compile(flow(hangs)), said(), thread())
    finish.set()

    assert codes(output) == ["timeout"]
    assert answers(output)[0]["error"]["retryable"] is True


def test_an_attempt_that_took_too_long_is_made_again_and_cannot_look_any_more(sql: Home) -> None:
    late, looked = threading.Event(), threading.Event()
    seen: list[Any] = []

    @read("note.get", timeout=0.2, retry=AGAIN)
    def hangs_once(ctx: ToolContext) -> Note:
        """Get the note."""
        if ctx.attempt == 1:
            late.wait(30)
            try:
                ctx.session.execute(sa.text("SELECT 1"))
            except Exception as error:
                seen.append(type(error).__name__)
            looked.set()
        return Note(text=str(ctx.attempt))

    output = sql.compile(flow(hangs_once)).invoke(said(), thread())
    late.set()

    assert answers(output)[0]["output"] == {"text": "2"}
    assert looked.wait(30)
    assert seen == ["ContextError"]


async def test_an_async_read_that_takes_too_long_is_stopped(sql: Home) -> None:
    stopped: list[int] = []

    @read("note.get", timeout=0.05, retry=AGAIN)
    async def hangs_once(ctx: ToolContext) -> Note:
        """Get the note."""
        if ctx.attempt == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stopped.append(ctx.attempt)
                raise
        return Note(text=str(await ctx.session.scalar(sa.text("SELECT 7"))))

    output = await sql.compile(flow(hangs_once)).ainvoke(said(), thread())

    assert stopped == [1]
    assert answers(output)[0]["output"] == {"text": "7"}


def test_a_read_with_a_time_has_its_session_all_the_same(sql: Home) -> None:
    @read("note.get", timeout=30)
    def get(ctx: ToolContext) -> Note:
        """Get the note."""
        return Note(text=str(ctx.session.scalar(sa.text("SELECT 7"))))

    assert answers(sql.compile(flow(get)).invoke(said(), thread()))[0]["output"] == {"text": "7"}


def test_reads_are_as_patient_in_an_agent_with_the_middleware() -> None:
    flaky = Flaky(2, retry=AGAIN)
    model = ScriptedChatModel([call("note.get")], forever="done")
    middleware = flow(flaky.tool).as_middleware(workflow_store=WorkflowStore.in_memory())
    agent = create_agent(model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal)

    output = agent.invoke(said(), thread(), context=Principal("ada"))

    assert flaky.attempts == [1, 2, 3]
    assert codes(output) == ["ok"]


def test_reads_are_as_patient_when_they_are_proposed_from_outside_the_graph(memory: Home) -> None:
    flaky = Flaky(2, retry=AGAIN)
    waiting = Workflow("notes").add_state("open", tools=[flaky.tool]).add_state("closed", final=True)
    graph = memory.compile(waiting.add_edge("open", end, "closed"))
    graph.invoke({"messages": []}, thread())

    assert graph.instances.execute(thread(), "note.get", {})["ok"]
    assert flaky.attempts == [1, 2, 3]
