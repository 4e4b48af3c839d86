"""What a call costs through the workflow server, beside the same tools on a bare server of the official SDK, as a ratio.

The bare server runs the tools by hand in a transaction of its own, without a gate, a ledger or a record. Both are called by the SDK's
client over HTTP on this machine, in turns: a read, and a command that writes one row. Then calls per second, with eight clients at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
import sqlalchemy as sa
from mcp.client.client import Client
from mcp.server.lowlevel.server import Server
from sqlalchemy.orm import Session

from interlock import Principal, SQLCheckpointer, ToolContext, Workflow, command, read
from interlock.mcp import ServerLimits, WorkflowServer
from tests.mcp.server.support import listening, over_http

from ._slow_disk import temporary_postgres_database

ROUNDS, CLIENTS, EACH = 150, 8, 25
ADA = Principal("ada")
tables = sa.MetaData()
orders = sa.Table(
    "bench_orders",
    tables,
    sa.Column("order_id", sa.String(32), primary_key=True),
    sa.Column("moves", sa.Integer, nullable=False),
)


@read("order.get")
def get_order(order_id: str, ctx: ToolContext) -> int:
    """How often an order was moved."""
    return int(ctx.session.scalar(sa.select(orders.c.moves).where(orders.c.order_id == order_id)) or 0)


@command("order.move", effect="transactional")
def move(order_id: str, note: str, ctx: ToolContext) -> str:
    """Move an order."""
    ctx.session.execute(sa.update(orders).where(orders.c.order_id == order_id).values(moves=orders.c.moves + 1))
    return note


def bare(engine: sa.Engine) -> Server[Any]:
    """The same two tools on the SDK's own server."""

    def do(name: str, arguments: dict[str, Any]) -> Any:
        which = orders.c.order_id == arguments["orderId"]
        with Session(engine) as session, session.begin():
            if name == "order_get":
                return session.scalar(sa.select(orders.c.moves).where(which))
            session.execute(sa.update(orders).where(which).values(moves=orders.c.moves + 1))
            return arguments["note"]

    async def call(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        del context
        output = await asyncio.to_thread(do, params.name, params.arguments or {})
        body = {"output": output}
        return types.CallToolResult(content=[types.TextContent(text=str(body))], structured_content=body)

    async def listed(context: Any, params: Any) -> types.ListToolsResult:
        del context, params
        schema = {"type": "object", "properties": {"orderId": {"type": "string"}}}
        return types.ListToolsResult(
            tools=[types.Tool(name=name, input_schema=schema) for name in ("order_get", "order_move")]
        )

    return Server("bare", on_call_tool=call, on_list_tools=listed)


class Side:
    """One of the two servers, and a client of it with an instance of its own."""

    def __init__(self, client: Client, is_bare: bool) -> None:
        self._client = client
        self._is_bare = is_bare
        self._notes = itertools.count()
        self._envelope: dict[str, Any] = {}

    async def begin(self) -> Side:
        """Start an instance, where there are any."""
        if not self._is_bare:
            started = (await self._client.call_tool("workflow_start", {})).structured_content
            self._envelope = {"workflowId": started["workflowId"]}
            self._revision = started["revision"]
        return self

    async def read(self) -> None:
        """Look an order up."""
        await self._call("order_get", {"orderId": "W1", **self._envelope})

    async def move(self) -> None:
        """Move it."""
        given = {"orderId": "W1", "note": str(next(self._notes)), **self._envelope}
        if not self._is_bare:
            given["expectedRevision"] = self._revision
        self._revision = (await self._call("order_move", given)).get("revision", 0)

    async def _call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self._client.call_tool(tool, arguments)
        assert not result.is_error, result.structured_content
        return dict(result.structured_content or {})


async def measured(name: str, urls: dict[str, str]) -> None:
    """Call both in turns, and then each by several clients at once."""
    async with contextlib.AsyncExitStack() as stack:

        async def side(key: str) -> Side:
            client = await stack.enter_async_context(over_http(f"{urls[key]}/mcp"))
            return await Side(client, key == "bare").begin()

        one = {key: await side(key) for key in urls}
        for what in ("read", "move"):
            times: dict[str, list[float]] = {key: [] for key in urls}
            spent: dict[str, list[float]] = {key: [] for key in urls}
            for number in range(ROUNDS):
                for key in urls:
                    before = time.process_time()
                    seconds = await timed(getattr(one[key], what))
                    if number >= 10:
                        times[key].append(seconds)
                        spent[key].append(time.process_time() - before)
            mine, theirs = (statistics.median(times[key]) * 1000 for key in ("served", "bare"))
            print(f"{name}: a {what} {mine:.1f} ms, bare {theirs:.1f} ms, ratio {mine / theirs:.2f}")
            mine, theirs = (statistics.median(spent[key]) * 1000 for key in ("served", "bare"))
            # Client and server share this process: it is the CPU of both.
            print(f"{name}: a {what} {mine:.1f} ms of CPU, bare {theirs:.1f} ms, ratio {mine / theirs:.2f}")
        several = {key: [await side(key) for _ in range(CLIENTS)] for key in urls}
        rates = {key: await rate(several[key]) for key in urls}
        ratio = rates["bare"] / rates["served"]
        print(
            f"{name}: {rates['served']:.0f} moves a second by {CLIENTS} clients, bare {rates['bare']:.0f}, ratio {ratio:.2f}"
        )


async def rate(sides: list[Side]) -> float:
    """Calls per second."""

    async def go_on(side: Side) -> None:
        for _ in range(EACH):
            await side.move()

    begun = time.perf_counter()
    await asyncio.gather(*(go_on(side) for side in sides))
    return len(sides) * EACH / (time.perf_counter() - begun)


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    """The seconds that one call takes."""
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


def measure(name: str, url: str) -> None:
    """Measure on one database."""
    flow = Workflow("bench")
    flow.add_state("open", tools=[get_order])
    flow.add_edge("open", move, "open")
    graph = flow.compile(SQLCheckpointer(url))
    engine = sa.create_engine(graph.engine.store.database.engine.url)
    tables.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(orders).values(order_id="W1", moves=0))
    limits = ServerLimits(requests_per_minute=10**9)
    served = WorkflowServer(graph, principal=ADA, limits=limits).http_app()
    with (
        listening(served) as mine,
        listening(bare(engine).streamable_http_app(json_response=True, stateless_http=True)) as theirs,
    ):
        asyncio.run(measured(name, {"served": mine, "bare": theirs}))
    graph.engine.store.close()
    engine.dispose()


def main() -> None:
    """Measure on SQLite and, where there is one, on PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        measure("SQLite (FULL)", f"sqlite:///{pathlib.Path(folder) / 'bench.db'}")
    with temporary_postgres_database() as url:
        measure("PostgreSQL", url)


if __name__ == "__main__":
    main()
