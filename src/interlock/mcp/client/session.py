"""One session with a server: connects, lists, calls and closes, on the background loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ..._version import __version__
from ...tools.canonical import JsonObject
from ...tools.errors import ServerUnavailable
from ...tools.redaction import Secrets
from ..lock.definitions import Listing, ServerIdentity, ToolDefinition
from ..sdk import require_sdk
from .http import http_client
from .sending import Sending, current_sending
from .stderr import Errors
from .targets import CommandTarget, Target, resolved

if TYPE_CHECKING:
    from mcp.client import Client

_CLOSED = -32000
"""The SDK's code for a connection that ended."""
_PAGES = 100
"""The maximum number of pages of a listing, so that an endless list cannot hang a call."""


class Session:
    """A connection to a server, from its handshake to its end."""

    def __init__(self, server: str, target: Target, secrets: Secrets, *, connect_timeout: float) -> None:
        """Create a session; `connect` opens it.

        Args:
            server: The name of the server.
            target: The address or the command of the server.
            secrets: Receives the credentials, so that they are masked.
            connect_timeout: The seconds within which the server must have started and answered.
        """
        self.server = server
        self.in_use = 0
        """Calls in progress."""
        self.is_suspect = False
        """Whether a call timed out: the session has to prove that it is alive before the next call."""
        self.listing: Listing | None = None
        self.listed_at = float("-inf")
        """The time of the last listing's request, on the loop's clock."""
        self.stale_at = float("-inf")
        """The time at which the last listing expires."""
        self._target = target
        self._secrets = secrets
        self._connect_timeout = connect_timeout
        self._client: Client | None = None
        self._stop = asyncio.Event()
        self._retired = False
        self._ended = False
        self._errors = Errors(server, secrets)

    @property
    def is_alive(self) -> bool:
        """Whether it is connected, as far as this process knows."""
        return self._client is not None and not self._ended and not self._retired

    async def connect(self) -> None:
        """Start or reach the server, and agree on a protocol version.

        Raises:
            ServerUnavailable: This failed, or exceeded the connect timeout. No call was sent.
        """
        connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sending = Sending()
        token = current_sending.set(sending)
        try:
            self._running = asyncio.create_task(self._run(connected))
        finally:
            current_sending.reset(token)
        try:
            async with asyncio.timeout(self._connect_timeout):
                await asyncio.shield(connected)
        except TimeoutError:
            self._running.cancel()
            raise self._unavailable(f"did not answer within {self._connect_timeout:g} s") from None
        except asyncio.CancelledError:
            self._running.cancel()
            raise
        except ServerUnavailable:
            raise
        except Exception as error:
            if sending.problem is not None:
                raise sending.problem from None
            raise self._unavailable(_why(error, sending)) from None  # the text of the error may quote the request

    async def list_tools(self, *, trust: float, ttl_cap: float | None) -> Listing:
        """Request the server's tools.

        Args:
            trust: The validity of the listing in seconds, if the server does not say.
            ttl_cap: The maximum validity in seconds, whatever the server says.

        Raises:
            ServerUnavailable: There was no usable answer within the connect timeout.
        """
        client = self._connected()
        began = asyncio.get_running_loop().time()
        tools: list[ToolDefinition] = []
        cursor: str | None = None
        holds: float | None = None
        sending = Sending()
        token = current_sending.set(sending)
        try:
            async with asyncio.timeout(self._connect_timeout):
                for _ in range(_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    tools += [ToolDefinition.from_json(_as_published(tool)) for tool in page.tools]
                    if "ttl_ms" in page.model_fields_set:
                        said = page.ttl_ms / 1000
                        holds = said if holds is None else min(holds, said)
                    cursor = page.next_cursor
                    if cursor is None:
                        break
        except TimeoutError:
            raise self._unavailable(f"did not list its tools within {self._connect_timeout:g} s") from None
        except Exception as error:
            if sending.problem is not None:
                raise sending.problem from None
            raise self._unavailable(f"did not list its tools: it {_why(error, sending)}") from None
        finally:
            current_sending.reset(token)
        lasting = trust if holds is None else holds
        self.listed_at = began
        self.stale_at = began + (lasting if ttl_cap is None else min(lasting, ttl_cap))
        self.listing = Listing(self._identity(client), tuple(tools))
        return self.listing

    async def call(self, name: str, arguments: JsonObject, meta: JsonObject, within: float) -> Any:
        """Send one call, and return the raw result: the SDK's own validation of the output would raise after the effect.

        Args:
            name: The tool's name.
            arguments: Its arguments.
            meta: The request's `_meta`.
            within: The seconds within which an answer must come.

        Raises:
            Exception: The exceptions of the SDK.
        """
        types = require_sdk("mcp_types")
        pydantic = require_sdk("pydantic")
        request = types.CallToolRequest(
            params=types.CallToolRequestParams(name=name, arguments=arguments, _meta={**meta})
        )
        answer = pydantic.TypeAdapter(types.CallToolResult | types.InputRequiredResult)
        return await self._connected().session.send_request(request, answer, request_read_timeout_seconds=within)

    @contextlib.contextmanager
    def used(self) -> Any:
        """Keep the session open during a call: a retired session closes after its last call."""
        self.in_use += 1
        try:
            yield
        finally:
            self.in_use -= 1
            self._end_if_unused()

    def retire(self) -> None:
        """Accept no further calls, and close after the last answer."""
        self._retired = True
        self._end_if_unused()

    async def close(self) -> None:
        """Close now, without waiting for calls in progress."""
        self._retired = True
        self._stop.set()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await asyncio.shield(self._running)

    def _end_if_unused(self) -> None:
        if self._retired and self.in_use == 0:
            self._stop.set()

    def _connected(self) -> "Client":
        if self._client is None or self._ended:
            raise self._unavailable("ended the connection")
        return self._client

    async def _run(self, connected: "asyncio.Future[None]") -> None:
        """Hold the connection, which has to be opened and closed in the same task."""
        client_module, types = require_sdk("mcp.client.client"), require_sdk("mcp_types")
        try:
            async with (
                self._transport() as transport,
                client_module.Client(
                    transport,
                    cache=None,
                    client_info=types.Implementation(name="langgraph-interlock", version=__version__),
                    message_handler=self._on_message,
                ) as client,
            ):
                self._client = client
                if not connected.done():
                    connected.set_result(None)
                await self._stop.wait()
        except Exception as error:
            if not connected.done():
                connected.set_exception(error)
        finally:
            self._ended = True
            self._errors.close()
            if not connected.done():
                connected.cancel()

    @contextlib.asynccontextmanager
    async def _transport(self) -> AsyncIterator[Any]:
        if not isinstance(self._target, CommandTarget):
            http = require_sdk("mcp.client.streamable_http")
            async with http_client(self._target, self._secrets, connect_timeout=self._connect_timeout) as client:
                yield self._watched(http.streamable_http_client(self._target.url, http_client=client))
            return
        stdio = require_sdk("mcp.client.stdio")
        env: dict[str, str] = {}
        for name, credential in self._target.env.items():
            env[name] = await resolved(name, credential, self._secrets)
        started = stdio.StdioServerParameters(
            command=self._target.command, args=[*self._target.args], env=env, cwd=self._target.cwd
        )
        with await self._errors.open() as errors:
            yield self._watched(stdio.stdio_client(started, errlog=errors))

    @contextlib.asynccontextmanager
    async def _watched(self, transport: Any) -> AsyncIterator[Any]:
        """The transport with a record of its end, so that no call is sent to a dead server."""
        async with transport as (reading, writing):
            yield _Watched(reading, self._note_end), writing

    def _note_end(self) -> None:
        self._ended = True
        self._stop.set()

    async def _on_message(self, message: Any) -> None:
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            self.stale_at = float("-inf")

    def _identity(self, client: "Client") -> ServerIdentity:
        info = client.server_info
        return ServerIdentity(
            None if info is None else info.name, None if info is None else info.version, client.protocol_version
        )

    def _unavailable(self, what: str) -> ServerUnavailable:
        tail = self._errors.tail
        said = f" It wrote: {tail}" if tail else ""
        return ServerUnavailable(
            self._secrets.text(
                f"The MCP server {self.server} {what}. No call was sent.{said} Check that it can be started and reached, then try again."
            ),
            details={"server": self.server},
        )


class _Watched:
    """A stream that reports its end."""

    def __init__(self, stream: Any, ended: Any) -> None:
        self._stream = stream
        self._ended = ended

    @property
    def last_context(self) -> Any:
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        try:
            return await self._stream.receive()
        except BaseException:
            self._ended()
            raise

    async def aclose(self) -> None:
        self._ended()
        await self._stream.aclose()

    def __aiter__(self) -> "_Watched":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except BaseException:
            self._ended()
            raise

    async def __aenter__(self) -> "_Watched":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        self._ended()
        return await self._stream.__aexit__(*error)


def _as_published(tool: Any) -> dict[str, Any]:
    """A tool of the SDK in its published form; schemas are unchanged, including nulls."""
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "outputSchema": tool.output_schema,
        "annotations": None
        if tool.annotations is None
        else tool.annotations.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _why(error: BaseException, sending: Sending) -> str:
    """Describe a connection failure without the exception's own text, which may quote the request."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if sending.status is not None and sending.status >= 400:
        return f"answered with the HTTP status {sending.status}"
    if sending.unsent:
        return "cannot be reached"
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"cannot be started ({type(error).__name__})"
    code = getattr(error, "code", None)
    if code == _CLOSED:
        return "ended before it had answered"
    return f"failed ({type(error).__name__}{f' {code}' if isinstance(code, int) else ''})"


__all__ = ["Session"]
