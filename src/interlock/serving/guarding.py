"""Checks for every request and response, whatever the route: the size and duration of a body, duplicate headers, NUL in addresses, HEAD, and
the headers against caching and scripts.

Slow headers are handled by the server, and by a proxy in front of it.
"""

import asyncio
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem

LARGEST_BODY = 4 * 1024 * 1024
"""The maximum size of a body, in bytes."""
SLOWEST_BODY = 60.0
"""The maximum time for a body to arrive, in seconds."""
_HEADERS = {
    b"cache-control": b"no-store",
    b"x-content-type-options": b"nosniff",
    # A picture or an export opened directly is a document too, so it needs the same headers.
    b"content-security-policy": b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    b"referrer-policy": b"same-origin",
}
_ONCE = (
    b"authorization",
    b"content-length",
    b"content-type",
    b"host",
    b"idempotency-key",
    b"if-match",
    b"last-event-id",
    b"origin",
)
"""Headers that must occur only once: if there are two, a proxy in front of the service may use one and the service the other."""


class _Refused(HTTPException):
    """An error that FastAPI propagates while it reads a body, and answers like any other error."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(int(status), detail, {"Connection": "close"})


class Guard:
    """Refuses bodies that are too large or too slow, answers HEAD like GET without the body, and adds headers against caching and scripts.

    Args:
        app: The service.
        largest: The maximum size of a body, in bytes.
        slowest: The maximum time for a body to arrive, in seconds.
    """

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY, slowest: float = SLOWEST_BODY) -> None:
        self._app, self._largest, self._slowest = app, largest, slowest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        is_head = scope["method"] == "HEAD" and not scope["path"].endswith("/mcp")
        has_ended = False

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in _HEADERS.items() if name not in there),
                ]
            elif is_head and message["type"] == "http.response.body":
                nonlocal has_ended
                if has_ended:
                    return
                has_ended, message = True, {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        if "\0" in scope["path"] or b"\0" in unquote_to_bytes(scope["query_string"]):
            refused = problem(
                Request(scope),
                HTTPStatus.BAD_REQUEST,
                "invalid_request",
                "The address of the request has a NUL in it, which no name of anything has. Nothing was done.",
            )
            await refused(scope, receive, guarded)
            return
        names = [name.lower() for name, _ in scope["headers"]]
        if twice := [name.decode() for name in _ONCE if names.count(name) > 1]:
            refused = problem(
                Request(scope),
                HTTPStatus.BAD_REQUEST,
                "invalid_request",
                f"The request has several headers {', '.join(twice)}, so it says more than one thing. Nothing was done; send each once.",
            )
            await refused(scope, receive, guarded)
            return
        said = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"0")
        is_too_long = said.isdigit() and int(said[:20]) > self._largest
        asked = {**scope, "method": "GET"} if is_head else scope
        await self._app(asked, _Body(receive, self._largest, self._slowest, is_too_long=is_too_long), guarded)


class _Body:
    """The body of one request while it is received."""

    def __init__(self, receive: Receive, largest: int, slowest: float, *, is_too_long: bool) -> None:
        self._receive, self._largest, self._slowest = receive, largest, slowest
        self._is_too_long = is_too_long
        self._size, self._is_whole = 0, False
        self._until: float | None = None

    async def __call__(self) -> Message:
        if self._is_whole:  # after the body, only a disconnect can come, at any time
            return await self._receive()
        if self._is_too_long:
            raise _too_long(self._largest)
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._slowest if self._until is None else self._until
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise _Refused(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The request's body did not arrive within {self._slowest:g} seconds. Nothing was done; send it again.",
            ) from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > self._largest:
                raise _too_long(self._largest)
            self._is_whole = not message.get("more_body", False)
        return message


def _too_long(largest: int) -> _Refused:
    return _Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The request's body is longer than {largest} bytes. Nothing was done; send less.",
    )


__all__ = ["LARGEST_BODY", "Guard"]
