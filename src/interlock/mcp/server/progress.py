"""Forwards a tool's progress on LangGraph's stream to the client that requested it with its call."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext

from ...commands.proposals.streaming import written

_KEPT = 100
"""The maximum number of queued reports; progress is a hint, and a tool never waits for the client."""
_LONGEST = 1_000
_MOST = 1e15


@contextlib.asynccontextmanager
async def progress_told(context: ServerRequestContext[Any, Any]) -> AsyncIterator[None]:
    """Forward the progress that tools report inside the block: `get_stream_writer()({"progress": 3, "total": 10})`.

    Args:
        context: The context of the call. Without a progress token of the client, nothing is sent.
    """
    if (context.meta or {}).get("progress_token") is None:
        yield
        return
    loop = asyncio.get_running_loop()
    outgoing, incoming = anyio.create_memory_object_stream[tuple[float, float | None, str | None]](_KEPT)

    def take(piece: Any) -> None:
        """Receive a tool's report, from any thread."""
        report = as_report(piece)
        if report is not None:
            with contextlib.suppress(RuntimeError):  # the server stops
                loop.call_soon_threadsafe(keep, report)

    def keep(report: tuple[float, float | None, str | None]) -> None:
        with contextlib.suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            outgoing.send_nowait(report)

    async def send() -> None:
        last = -math.inf
        async with incoming:
            async for done, total, message in incoming:
                if done > last:  # the protocol requires increasing progress
                    last = done
                    await context.session.report_progress(done, total, message)

    sending = asyncio.create_task(send())
    token = written.set(take)
    try:
        yield
        await asyncio.sleep(0)  # the last reports are in the loop's queue
        outgoing.close()
        await sending
    finally:
        written.reset(token)
        outgoing.close()
        sending.cancel()


def as_report(piece: Any) -> tuple[float, float | None, str | None] | None:
    """Parse a report: progress, total and message. None for other data on the stream."""
    if not isinstance(piece, Mapping) or not _is_amount(piece.get("progress")):
        return None
    total, message = piece.get("total"), piece.get("message")
    if not (total is None or _is_amount(total)) or not (message is None or isinstance(message, str)):
        return None
    return piece["progress"], total, None if message is None else message[:_LONGEST]


def _is_amount(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST


__all__ = ["as_report", "progress_told"]
