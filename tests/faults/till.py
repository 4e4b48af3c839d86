"""A till on a thread, for what happens to the database under it."""

from __future__ import annotations

import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig

from interlock import SQLCheckpointer, Workflow, WorkflowGraph

from .workflows import Till, bookings, close_till, open_till

HERE: RunnableConfig = {"configurable": {"thread_id": "t-1"}}


def till(saver: SQLCheckpointer) -> WorkflowGraph:
    """The workflow, started and closed."""
    flow = Workflow("till", data=Till)
    flow.add_state("closed")
    flow.add_state("open")
    flow.add_state("over", final=True)
    flow.add_edge("closed", open_till, "open")
    flow.add_edge("open", close_till, "over")
    graph = flow.compile(saver)
    graph.invoke({"messages": [], "data": {"thread": "t-1"}}, HERE)
    return graph


def booked(graph: WorkflowGraph) -> list[str]:
    """What was booked, in its order."""
    with graph.engine.store.read() as connection:
        return [*connection.scalars(sa.select(bookings.c.what).order_by(bookings.c.number))]
