"""`interlock.deliver`: an event into a workflow, from wherever the application learned of it."""

import os
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from .commands.waits.delivery import Delivery
from .operations.deliveries import Deliverable, Deliveries
from .operations.resuming import AnyGraph

if TYPE_CHECKING:
    from .graphs import WorkflowGraph


def deliver(
    event: Deliverable,
    to: "WorkflowGraph | None" = None,
    *,
    workflow_id: str | None = None,
    source: str = "/application",
    root: AnyGraph | None = None,
    resume: bool = True,
    connection: Connection | None = None,
) -> Delivery:
    """Deliver an event, once, and resume the workflow instance that waits for it.

    One transaction writes the event to the inbox and makes the transition. A duplicate is dropped, an event that comes before its wait is
    kept for it, and an event that no workflow expects stays in the inbox.

    Args:
        event: An `EventEnvelope`, the wire shape or a CloudEvent as a mapping or JSON text, or an `Event` with `workflow_id`.
        to: The compiled workflow. By default the one that INTERLOCK_APP names, with the database of INTERLOCK_DB.
        workflow_id: For an `Event` without an envelope: the instance to which it is addressed.
        source: For an `Event` without an envelope: its sender, as a URI reference.
        root: The graph that contains the workflow, if the workflow is a subgraph.
        resume: Whether to resume the graph in this call. Otherwise the next tick resumes it.
        connection: A connection of the application, with an open transaction on the same database, in which the event is delivered. The
            event counts once the application commits; the next tick, or an engine, then resumes the graph.

    Returns:
        What happened to the event.

    Raises:
            InvalidInput: It is not an event. Nothing was stored.
            StoreError: The database failed. Nothing was stored; deliver the event again.
    """
    deliveries = Deliveries(to or _app(), root)
    return deliveries.deliver(event, workflow_id=workflow_id, source=source, resume=resume, connection=connection)


async def adeliver(
    event: Deliverable,
    to: "WorkflowGraph | None" = None,
    *,
    workflow_id: str | None = None,
    source: str = "/application",
    root: AnyGraph | None = None,
    resume: bool = True,
) -> Delivery:
    """Asynchronous form of `deliver`, with the same arguments, result and errors."""
    return await Deliveries(to or _app(), root).adeliver(event, workflow_id=workflow_id, source=source, resume=resume)


def _app() -> "WorkflowGraph":
    from .cli.support.loading import load_app  # noqa: PLC0415 -- the command line is only needed for this

    return load_app(os.environ.get("INTERLOCK_APP")).graph(os.environ.get("INTERLOCK_DB"))


__all__ = ["adeliver", "deliver"]
