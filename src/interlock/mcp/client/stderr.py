"""Keeps the last lines of a server's standard error, for the error of a failed start."""

import asyncio
import os
from collections import deque
from io import TextIOWrapper
from typing import TextIO

from ...tools.redaction import Secrets
from ...tools.sinks import hiding, logger_of, short

_LINES = 8
_LONGEST = 300
logger = logger_of("interlock.mcp")


class Errors:
    """Reads the pipe of a server's standard error."""

    def __init__(self, server: str, secrets: Secrets) -> None:
        """Create a reader; `open` opens the pipe.

        Args:
            server: The name of the server.
            secrets: The values to mask in its output.
        """
        self._server = server
        self._secrets = secrets
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._transport: asyncio.ReadTransport | None = None

    async def open(self) -> TextIO:
        """Open the pipe.

        Returns:
            The end to which the server writes. The code that starts the server has to close it.
        """
        reading, writing = os.pipe()
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        self._transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", buffering=0)
        )
        self._reader = loop.create_task(self._read(stream))
        return TextIOWrapper(os.fdopen(writing, "wb", buffering=0), write_through=True)

    @property
    def tail(self) -> str:
        """The last lines, joined to one line; empty if there are none."""
        return " / ".join(self._lines)

    def close(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.close()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        pending = b""
        while chunk := await stream.read(4_096):
            *lines, pending = (pending + chunk)[-65_536:].split(b"\n")
            for one in lines:
                self._remember(one)
        if pending:
            self._remember(pending)

    def _remember(self, raw: bytes) -> None:
        text = short(self._secrets.text(raw.decode("utf-8", "replace")), _LONGEST)
        if text:
            self._lines.append(text)
            logger.debug("the MCP server %s: %s", self._server, text, extra=hiding(self._secrets))


__all__ = ["Errors"]
