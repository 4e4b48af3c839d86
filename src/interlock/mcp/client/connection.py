"""The connection to one server: reconnects after the server died, and sends nothing to a tool that was not reviewed."""

import asyncio
from dataclasses import dataclass

from ...commands.running.tool_bodies import OutOfTimeError
from ...tools.canonical import JsonObject
from ...tools.errors import AnswerLost, DefinitionMismatch, Refused, ServerUnavailable
from ...tools.redaction import Secrets
from ...tools.sinks import hiding, logger_of
from ...tools.storable import type_name
from ..lock.changes import Change, ChangeKind, tool_changes
from ..lock.definitions import Listing, ServerIdentity, ToolDefinition
from ..sdk import require_sdk
from .answers import input_required, no_result
from .sending import Sending, current_sending
from .session import Session
from .targets import Target

logger = logger_of("interlock.mcp")

METHOD_NOT_FOUND, INVALID_PARAMS, HEADER_MISMATCH = -32601, -32602, -32020
REQUEST_TIMEOUT, CONNECTION_CLOSED = -32001, -32000
LONGEST_TRUST = 300.0
"""The maximum validity of a listing in seconds, whatever the server says."""


@dataclass(frozen=True)
class Times:
    """Timeouts, in seconds."""

    call: float = 30.0
    connect: float = 30.0
    """The time to start or reach the server, to agree on a protocol version, and to list its tools; the call itself is not included."""
    recheck: float = 0.0
    """The validity of a listing if the server does not say; by default 0, so each call requests it again."""


class Connection:
    """The connection of this process to one server. Everything here runs on the background loop."""

    def __init__(self, server: str, target: Target, times: Times) -> None:
        """Create a connection, which connects at its first use.

        Args:
            server: The name of the server.
            target: The address or the command of the server.
            times: The timeouts.
        """
        self.server = server
        self.secrets = Secrets()
        self._target = target
        self._times = times
        self._session: Session | None = None
        self._lock = asyncio.Lock()

    async def list_tools(self) -> Listing:
        """Request the current list of the server's tools.

        Raises:
            ServerUnavailable: The server cannot be reached, or gives no usable answer.
        """
        session = await self._ready()
        assert session.listing is not None  # noqa: S101 -- a session that is ready has listed
        return session.listing

    async def call(
        self,
        locked: ToolDefinition,
        identity: ServerIdentity,
        arguments: JsonObject,
        meta: JsonObject,
    ) -> JsonObject:
        """Check that the tool is still the reviewed one, and call it.

        Args:
            locked: The tool as it was reviewed.
            identity: The server as it was reviewed.
            arguments: The arguments of the call.
            meta: The request's `_meta`.

        Returns:
            The server's result, as JSON, with credentials masked.

        Raises:
            ServerUnavailable: Nothing was sent, or the server did not accept the call.
            DefinitionMismatch: The tool is not the reviewed one. Nothing was sent.
            Refused: The server did not know the tool or its arguments, or requests further input.
            OutOfTimeError: No answer came in time.
            AnswerLost: The call was sent, and no usable answer came.
        """
        for is_last in (False, True):
            session = await self._ready()
            self._check(session, locked, identity)
            sending = Sending()
            try:
                with session.used():
                    return await self._send(session, sending, locked.name, arguments, meta)
            except ServerUnavailable:
                # A restarted server does not know the session and has processed nothing, so send the call again in a new session.
                if sending.problem is not None or sending.status != 404 or is_last:
                    raise
                self._drop(session)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ready(self) -> Session:
        """A live session with a sufficiently fresh listing."""
        arrived = asyncio.get_running_loop().time()
        async with self._lock:
            for is_last in (False, True):
                session = self._session
                was_there = session is not None and session.is_alive
                if session is None or not session.is_alive:
                    session = await self._connected()
                try:
                    await self._listed(session, arrived)
                except ServerUnavailable:
                    self._drop(session)
                    if is_last or not was_there:
                        raise
                else:
                    return session
            raise AssertionError("unreachable")

    async def _connected(self) -> Session:
        session = Session(self.server, self._target, self.secrets, connect_timeout=self._times.connect)
        await session.connect()
        self._session = session
        return session

    async def _listed(self, session: Session, arrived: float) -> None:
        """List again if the last listing has expired. A listing requested after this call arrived is fresh."""
        now = asyncio.get_running_loop().time()
        fresh = session.listed_at >= arrived or now < session.stale_at
        if fresh and not session.is_suspect:
            return
        await session.list_tools(trust=self._times.recheck, ttl_cap=LONGEST_TRUST)
        session.is_suspect = False

    def _check(self, session: Session, locked: ToolDefinition, identity: ServerIdentity) -> None:
        assert session.listing is not None  # noqa: S101 -- a session that is ready has listed
        now = session.listing.server
        change: Change | None
        if identity.name is not None and now.name != identity.name:
            words = (f"it calls itself {now.name!r}, and {identity.name!r} was reviewed",)
            change = Change(ChangeKind.SERVER, self.server, None, words)
        else:
            change = tool_changes(self.server, locked, session.listing)
        if change is None:
            return
        session.stale_at = float("-inf")
        text = self.secrets.text(change.text)
        logger.error("nothing was sent to the MCP server %s: %s", self.server, text, extra=hiding(self.secrets))
        raise DefinitionMismatch(
            f"{locked.name} is not the tool that was reviewed: {change.summary}. Nothing was sent to the server {self.server}. "
            "`interlock mcp diff` shows what changed; review it, and lock it with `interlock mcp lock` if it is right.",
            details={"server": self.server, "tool": locked.name, "kind": change.kind.value, "parts": [*change.parts]},
        )

    async def _send(
        self, session: Session, sending: Sending, name: str, arguments: JsonObject, meta: JsonObject
    ) -> JsonObject:
        errors, types = require_sdk("mcp.shared.exceptions"), require_sdk("mcp_types")
        token = current_sending.set(sending)
        try:
            result = await session.call(name, arguments, meta, self._times.call)
        except errors.MCPError as error:
            raise self._translated(session, sending, name, error.code, error.message) from None
        except (asyncio.CancelledError, ServerUnavailable):
            raise
        except ValueError as error:  # pydantic's error: the answer violates the protocol
            raise no_result(self.server, name) from error
        except Exception as error:
            self._drop(session)
            raise self.lost(name, f"the connection failed ({type_name(error)})") from error
        finally:
            current_sending.reset(token)
        if isinstance(result, types.InputRequiredResult):
            raise input_required(name)
        plain = result.model_dump(mode="json", by_alias=True, exclude_unset=True)
        masked: JsonObject = self.secrets.value(plain)
        return masked

    def _translated(self, session: Session, sending: Sending, name: str, code: int, message: str) -> Exception:
        """Translate an error of the protocol by its meaning for the effect of the call."""
        if sending.problem is not None:
            return sending.problem
        if sending.unsent:
            said = (
                "could not be reached" if sending.status is None else f"answered with the HTTP status {sending.status}"
            )
            return ServerUnavailable(
                f"The MCP server {self.server} {said}, so the call of {name} was not accepted. Nothing was done. Try again, or "
                "fix the server or the credentials.",
                details={"server": self.server},
            )
        if code == HEADER_MISMATCH:
            session.stale_at = float("-inf")
            return ServerUnavailable(
                f"The MCP server {self.server} did not take up the call of {name}, because its list of tools changed meanwhile. Nothing was "
                "done. Try again.",
                details={"server": self.server},
            )
        if code in {METHOD_NOT_FOUND, INVALID_PARAMS}:
            said = self.secrets.text(message)[:1_000]
            reason = "unknown_tool" if code == METHOD_NOT_FOUND else "invalid_params"
            return Refused(f"The MCP server {self.server} refused the call of {name}: {said}", code=reason)
        if code == REQUEST_TIMEOUT:
            session.is_suspect = True
            return OutOfTimeError(name, self._times.call)
        if code == CONNECTION_CLOSED:
            self._drop(session)
            return self.lost(name, "the connection ended")
        return self.lost(name, f"the server answered with the error {code}")

    def lost(self, name: str, why: str) -> AnswerLost:
        """The error for a call of which it is unknown whether it was executed.

        Args:
            name: The tool's name.
            why: The reason, as the end of a sentence after "and".
        """
        return AnswerLost(
            f"The call of {name} went to the MCP server {self.server}, and {why}. It is unknown whether the call was executed. Check "
            "the server before you call it again.",
            details={"server": self.server, "tool": name},
        )

    def _drop(self, session: Session) -> None:
        """Close a session after its other calls are answered."""
        if self._session is session:
            self._session = None
        session.retire()


__all__ = ["LONGEST_TRUST", "Connection", "Times"]
