"""Runs that are cancelled in mid-command: what was begun in a transaction is gone, and what was committed is found again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig

from interlock import SQLCheckpointer, ToolContext, Workflow, WorkflowGraph, command
from interlock.testing import Fault, FaultPoint, injected

from .workflows import Receipt, Till, bookings

HERE: RunnableConfig = {"configurable": {"thread_id": "t-1"}}


def counter(saver: SQLCheckpointer, inside: asyncio.Event, *, patient: bool) -> WorkflowGraph:
    """One asynchronous command that books, and may then wait for ever."""

    @command("till.open", effect="transactional")
    async def open_slowly(ctx: ToolContext[Till]) -> Receipt:
        """Open the till, slowly."""
        await ctx.session.execute(sa.insert(bookings).values(thread="t-1", what="open", amount="1"))
        ctx.data.done.append("open")
        if not patient:
            inside.set()
            await asyncio.Event().wait()
        return Receipt(what="open")

    flow = Workflow("till", data=Till)
    flow.add_state("closed", decide=lambda _: ("till.open", {}))
    flow.add_state("open", final=True)
    flow.add_edge("closed", open_slowly, "open")
    return flow.compile(saver)


def booked(saver: SQLCheckpointer) -> list[str]:
    with saver.database.read() as connection:
        return [*connection.scalars(sa.select(bookings.c.what))]


async def cancelled(graph: WorkflowGraph, inside: asyncio.Event) -> None:
    running = asyncio.create_task(graph.ainvoke({"messages": [("user", "open")]}, HERE))
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_command_that_is_cancelled_in_its_body_leaves_nothing_and_holds_nothing(prepared_url: str) -> None:
    with SQLCheckpointer(prepared_url) as saver:
        inside = asyncio.Event()
        await cancelled(counter(saver, inside, patient=False), inside)

        graph = counter(saver, inside, patient=True)
        assert booked(saver) == []
        assert graph.instances.get(HERE).revision == 0
        done = await asyncio.wait_for(graph.ainvoke(None, HERE), 20)
        assert (done["state"], booked(saver)) == ("open", ["open"])
        assert graph.engine.store.verify(graph.instances.id_of(HERE)) == []


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_COMMIT, FaultPoint.AFTER_COMMIT])
async def test_a_command_that_is_cancelled_around_its_commit_is_carried_out_once(point: str, prepared_url: str) -> None:
    with SQLCheckpointer(prepared_url) as saver:
        inside = asyncio.Event()
        graph = counter(saver, inside, patient=True)
        running: list[asyncio.Task[Any]] = []
        # The first commit is the start of the instance.
        with injected(Fault(lambda: [task.cancel() for task in running], point, 2)):
            running.append(asyncio.create_task(graph.ainvoke({"messages": [("user", "open")]}, HERE)))
            with pytest.raises(asyncio.CancelledError):
                await running[0]

        done = await asyncio.wait_for(graph.ainvoke(None, HERE), 20)
        assert (done["state"], booked(saver)) == ("open", ["open"])
        kinds = [record.kind.value for record in graph.instances.audit(HERE)]
        assert kinds == ["started", "transition"]
        assert graph.engine.store.verify(graph.instances.id_of(HERE)) == []
