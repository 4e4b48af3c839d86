"""The HTTP client of a session: adds credentials to each request, and tracks how far each request came."""

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
"""The maximum bytes of one answer or stream event, so that a server cannot exhaust this process's memory."""


def http_client(target: UrlTarget, secrets: Secrets, *, connect_timeout: float) -> "httpx2.AsyncClient":
    """Create the client.

    Args:
        target: The address of the server.
        secrets: Receives the credentials, so that they are masked wherever they are quoted.
        connect_timeout: The seconds within which a connection must be established. The caller limits the duration of calls.
    """
    sdk = require_sdk("httpx2")
    client: httpx2.AsyncClient = sdk.AsyncClient(
        transport=_transport(sdk, target, secrets),
        timeout=sdk.Timeout(connect_timeout, read=None),
        auth=target.auth,
    )
    return client


def _transport(sdk: Any, target: UrlTarget, secrets: Secrets) -> Any:
    """A transport that synthesizes an answer if the server is unreachable.

    The SDK would abort the whole session after one refused connection, with every other call in progress. Credentials are added only
    for the server's own address, not for an authorization server that `auth` contacts.
    """
    home = sdk.URL(target.url)

    class Transport(sdk.AsyncHTTPTransport):  # type: ignore[misc]  # its module is imported when it is used
        async def handle_async_request(self, request: Any) -> Any:
            if (request.url.scheme, request.url.host, request.url.port) != (home.scheme, home.host, home.port):
                return await super().handle_async_request(request)
            sending = current_sending.get() or Sending()
            request.headers["Accept-Encoding"] = "identity"  # a small compressed answer could expand without bounds
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
            except sdk.TransportError:  # interrupted after the request was sent
                sending.note(status=502)
                return sdk.Response(502, request=request)
            sending.note(status=response.status_code)
            return response

        async def _bounded(self, response: Any, request: Any) -> Any:
            """Limit the size of the answer: of each event of a stream, or of the whole body."""
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
        """A stream of events that fails at an event above the limit."""

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
