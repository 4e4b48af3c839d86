"""The HTTP client of a session: it puts credentials on each request, and notes how far each request came."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ...tools.errors import ServerUnavailable
from ...tools.redaction import Secrets
from ..sdk import require_sdk
from .sending import Sending, current_sending
from .targets import UrlTarget, resolved

if TYPE_CHECKING:
    import httpx2


LARGEST_ANSWER = 64_000_000
"""Bytes of one answer, or of one event of a stream, that are taken: a server must not be able to fill this process's memory."""


def http_client(target: UrlTarget, secrets: Secrets, *, connect_timeout: float) -> "httpx2.AsyncClient":
    """Make the client.

    Args:
        target: Where the server is.
        secrets: Learns the credentials, so that they can be masked wherever they are quoted.
        connect_timeout: Seconds in which a connection has to stand. How long a call may take is for its caller to say.
    """
    sdk = require_sdk("httpx2")
    client: httpx2.AsyncClient = sdk.AsyncClient(
        transport=_transport(sdk, target, secrets),
        timeout=sdk.Timeout(connect_timeout, read=None),
        auth=target.auth,
    )
    return client


def _transport(sdk: Any, target: UrlTarget, secrets: Secrets) -> Any:
    """A transport that answers in the server's place when the server cannot be reached.

    The SDK would give up the whole session for one connection that is refused, and with it every other call in progress. Credentials
    continue here, to the server's own address only: an authorization server that `auth` talks to is somebody else.
    """
    home = sdk.URL(target.url)

    class Transport(sdk.AsyncHTTPTransport):  # type: ignore[misc]  # its module is imported when it is used
        async def handle_async_request(self, request: Any) -> Any:
            if (request.url.scheme, request.url.host, request.url.port) != (home.scheme, home.host, home.port):
                return await super().handle_async_request(request)
            sending = current_sending.get() or Sending()
            request.headers["Accept-Encoding"] = "identity"  # a small answer could unfold into one without bounds
            try:
                for name, credential in target.headers.items():
                    request.headers[name] = await resolved(name, credential, secrets)
            except ServerUnavailable as problem:
                sending.note(problem=problem)
                return sdk.Response(401, request=request)
            try:
                response = await self._bounded(await super().handle_async_request(request), request)
            except (sdk.ConnectError, sdk.ConnectTimeout, sdk.PoolTimeout, sdk.UnsupportedProtocol):
                sending.note(unsent=True)
                return sdk.Response(503, request=request)
            except sdk.TransportError:  # it was interrupted after the request had gone
                sending.note(status=502)
                return sdk.Response(502, request=request)
            sending.note(status=response.status_code)
            return response

        async def _bounded(self, response: Any, request: Any) -> Any:
            """The answer, as far as it is taken: a stream event by event, and anything else whole."""
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                await response.aclose()
                return sdk.Response(502, request=request)
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                response.stream = Events(response.stream)
                return response
            body = bytearray()
            try:
                async for chunk in response.stream:
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        return sdk.Response(502, request=request)
            finally:
                await response.aclose()
            return sdk.Response(response.status_code, headers=response.headers, content=bytes(body), request=request)

    class Events(sdk.AsyncByteStream):  # type: ignore[misc]  # as above
        """A stream of events that ends with an error where one of them is too long."""

        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self._stream:
                ends = max(chunk.rfind(b"\n\n"), chunk.rfind(b"\r\n\r\n"))
                size = len(chunk) - ends if ends >= 0 else size + len(chunk)
                if size > LARGEST_ANSWER:
                    raise sdk.ReadError(f"an event of more than {LARGEST_ANSWER:,} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Transport()


__all__ = ["http_client"]
