"""Readiness and metrics of a worker over HTTP: `GET /ready` and `GET /metrics`, and nothing else."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from ..tools.errors import InputError, InterlockError

_LONGEST = 4_096
"""The maximum number of bytes read of a request."""
_SECONDS = 5.0


class Health:
    """A small server: `async with Health(is_ready, metrics, "127.0.0.1:9100"): ...`.

    Args:
        is_ready: Whether the worker executes runs.
        metrics: The metrics, by name.
        address: Host and port.

    Raises:
        InputError: The address cannot be read.
    """

    def __init__(
        self, is_ready: Callable[[], bool], metrics: Callable[[], Awaitable[dict[str, float]]], address: str
    ) -> None:
        host, _, port = address.rpartition(":")
        if not port.isdecimal() or int(port) > 65_535:
            raise InputError(f"{address!r} is not an address to serve at. Pass host:port, such as 127.0.0.1:9100.")
        self._host, self._port = host or "127.0.0.1", int(port)
        self._is_ready, self._metrics = is_ready, metrics
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None  # noqa: S101 -- asked within the block
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=_LONGEST)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_SECONDS):
                asked = (await reader.readuntil(b"\r\n")).split(b" ")
                status, body = await self._answer(asked[1] if asked[0] == b"GET" and len(asked) > 2 else b"")
                head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        writer.close()

    async def _answer(self, path: bytes) -> tuple[str, bytes]:
        match path:
            case b"/ready":
                return ("200 OK", b"ready\n") if self._is_ready() else ("503 Service Unavailable", b"not ready\n")
            case b"/metrics":
                try:
                    found = await self._metrics()
                except InterlockError:
                    return "503 Service Unavailable", b"the database cannot be reached\n"
                return "200 OK", "".join(f"{name} {value:g}\n" for name, value in sorted(found.items())).encode()
            case _:
                return "404 Not Found", b"/ready and /metrics are here\n"


__all__ = ["Health"]
