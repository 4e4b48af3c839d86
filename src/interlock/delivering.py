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
    """Take an event in, once, and let the workflow instance that waits for it continue.

    The event is written into the inbox and the transition is made in one transaction. An event that comes again is dropped; one that
    comes before its wait is kept for it; one that fits no workflow stays visible in the inbox.

    Args:
        event: An `EventEnvelope`, the wire shape or a CloudEvent as a mapping or JSON text, or an `Event` with `workflow_id`.
        to: The compiled workflow; by default the one that INTERLOCK_APP names, with the database of INTERLOCK_DB.
        workflow_id: For a bare `Event`: the instance that it is for.
        source: For a bare `Event`: who says so, as a URI reference.
        root: The graph that the workflow is a part of, where it runs inside another one.
        resume: Whether the graph continues at once, in this call; otherwise the next tick lets it.
        connection: A transaction of the application's own on the same database, in which the event is taken in: it counts when that is
            committed. The graph then continues with the next tick, or where an engine runs it.

    Returns:
        What became of it.

    Raises:
        InvalidInput: It is not an event. Nothing was kept.
        StoreError: The database could not do it. Nothing was kept; deliver it again.
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
    """As `deliver`."""
    return await Deliveries(to or _app(), root).adeliver(event, workflow_id=workflow_id, source=source, resume=resume)


def _app() -> "WorkflowGraph":
    from .cli.support.loading import load_app  # noqa: PLC0415 -- the command line is only needed for this

    return load_app(os.environ.get("INTERLOCK_APP")).graph(os.environ.get("INTERLOCK_DB"))


__all__ = ["adeliver", "deliver"]
