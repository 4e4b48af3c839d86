"""A service in a process of its own, to be killed in the middle of a decision, or told to end while calls are under way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn
from pydantic import BaseModel

from interlock import Approval, Event, SQLCheckpointer, ToolContext, Workflow, WorkflowGraph, command
from interlock.serving import service
from interlock.testing import Child, injected, kill
from tests.serving.desk import by_header

PRELOAD = ("interlock.serving", "tests.serving.killable", "uvicorn", "pytest")


class Refunded(Event, name="killable.order.refunded"):
    """An order was refunded."""

    order_id: str


class Till(BaseModel):
    refunded: int = 0
    sent: int = 0


def desk(url: str, gate: int | None = None) -> WorkflowGraph:
    """A desk whose refunds are asked about, and whose letters wait at a gate: a port that is connected to, until it is closed."""

    @command("order.refund", effect="transactional")
    def refund(order_id: str, ctx: ToolContext[Till]) -> str:
        """Refund an order."""
        ctx.data.refunded += 1
        ctx.emit(Refunded(order_id=order_id))
        return order_id

    @command("letter.send", effect="at_most_once")
    async def send(ctx: ToolContext[Till]) -> str:
        """Send a letter."""
        reader, writer = await asyncio.open_connection("127.0.0.1", gate)
        await reader.read()
        writer.close()
        ctx.data.sent += 1
        return "sent"

    flow = Workflow("desk", data=Till).add_state("open")
    flow.add_edge("open", refund, "open", approval=Approval(role="supervisor"))
    flow.add_edge("open", send, "open")
    return flow.compile(SQLCheckpointer(url))


def serve(url: str, port: int, moment: int = 0, gate: int | None = None) -> None:
    """Serve until told to end; with a moment, be killed when that manyth fault point of a decision is reached."""
    app = service(desk(url, gate), principal=by_header)
    faults = contextlib.ExitStack()

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if moment and str(scope.get("path", "")).endswith("/decision"):
            faults.enter_context(injected(kill(nth=moment)))
        await app(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(("127.0.0.1", port)) as told:
        config = uvicorn.Config(watched, log_level="error", lifespan="on", timeout_graceful_shutdown=60)
        told.sendall(str(listening.getsockname()[1]).encode())
        told.shutdown(socket.SHUT_WR)
        uvicorn.Server(config).run([listening])


@contextlib.contextmanager
def running(url: str, moment: int = 0, gate: int | None = None) -> Iterator[tuple[Child[None], httpx.Client]]:
    """The service, and a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as told:
        told.settimeout(120)
        with Child(serve, url, told.getsockname()[1], moment, gate, preload=PRELOAD) as child:
            connection, _ = told.accept()
            with connection:
                port = int(connection.makefile().read())
            limits = httpx.Limits(max_connections=None)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, limits=limits) as client:
                yield child, client


def tell_to_end(child: Child[None]) -> None:
    """SIGTERM, as whoever runs services sends it."""
    assert child.process.pid is not None
    os.kill(child.process.pid, signal.SIGTERM)
