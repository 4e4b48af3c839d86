"""Identifies the caller of a request, for the API, the console and the streams."""

import hashlib
import hmac
import inspect
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from ...tools.errors import InputError, PrincipalError
from ...tools.principal import Principal
from .development import Development
from .tokens import Tokens

PrincipalOf = Callable[[Request], Principal | Awaitable[Principal | None] | None]
"""An application's own function from a request to its principal, or None. It may be asynchronous."""

SESSION_COOKIE, BROWSER_COOKIE = "interlock_session", "interlock_browser"
_SHORTEST_SECRET = 16
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Unauthenticated(PrincipalError):  # noqa: N818 -- the name says what happened
    """The caller of this request cannot be identified."""

    default_code = "unauthenticated"


@dataclass(frozen=True)
class Caller:
    """The caller of a request, with their rights in the service."""

    principal: Principal
    is_operator: bool
    """Whether they may see and run every instance of their tenant."""

    @property
    def looks_as(self) -> Principal | None:
        """The principal for the library's access checks; None for an operator, who may see all instances of the tenant."""
        return None if self.is_operator else self.principal


def _check_ways(principal: object, tokens: object, development: object, operators: object) -> None:
    """Refuse settings that would fail at the first request.

    Raises:
        InputError: One is of another kind.
    """
    wrong = None
    if principal is not None and not callable(principal):
        wrong = "principal", principal, "a function of the request that returns a Principal, or None"
    elif tokens is not None and not isinstance(tokens, Tokens):
        wrong = "tokens", tokens, "Tokens(issuer=..., audience=..., keys=...)"
    elif development is not None and not isinstance(development, Development):
        wrong = "development", development, "Development(), or Development((Principal('ann'),))"
    elif isinstance(operators, str) or not isinstance(operators, Iterable):
        wrong = "operators", operators, "a list of roles, such as ['operator']"
    if wrong is not None:
        name, given, advice = wrong
        shown = repr(given) if isinstance(given, str | bool) else f"of the type {type(given).__name__}"
        raise InputError(f"{name}= is {shown}. Nothing is served; give {advice}.", code="settings")


class Callers:
    """Identifies the caller of a request.

    Args:
        principal: A function of the application that identifies the caller.
        tokens: Verifies bearer tokens; a browser keeps one in a cookie that scripts cannot read.
        development: Development mode, in which callers choose who they are.
        operators: The roles whose members may see and run every instance of their tenant.
        secret: Signs the tokens of forms (CSRF); at least 16 bytes, and the same in every process of one service. By default, each
            process generates one.

    Raises:
        InputError: Not exactly one way to identify callers is given, or the secret is too short.
    """

    def __init__(
        self,
        *,
        principal: PrincipalOf | None = None,
        tokens: Tokens | None = None,
        development: Development | None = None,
        operators: Iterable[str] = ("operator",),
        secret: str | bytes | None = None,
    ) -> None:
        if sum(way is not None for way in (principal, tokens, development)) != 1:
            raise InputError(
                "The service must know who calls, by exactly one way. Nothing is served; give principal= (your application's own "
                "function of the request), tokens=Tokens(...), or development=Development() on your own machine.",
                code="settings",
            )
        _check_ways(principal, tokens, development, operators)
        self._principal, self.tokens, self.development = principal, tokens, development
        self._operators = frozenset(operators)
        key = secrets.token_bytes(32) if secret is None else secret
        self._secret = key.encode() if isinstance(key, str) else key
        if len(self._secret) < _SHORTEST_SECRET:
            raise InputError(
                f"The secret that signs the console's forms has {len(self._secret)} bytes, and could be guessed. Nothing is served; give at least "
                f"{_SHORTEST_SECRET} random ones, or none: then each process makes one.",
                code="settings",
            )

    @property
    def keeps_sessions(self) -> bool:
        """Whether the console has its own sign-in; with an application's own function, the application signs people in."""
        return self._principal is None

    async def find(self, request: Request) -> Caller:
        """Identify the caller of a request.

        Raises:
            Unauthenticated: The caller cannot be identified.
            PrincipalError: A page of another origin uses this browser's session, or the keys cannot be fetched.
        """
        found = await self._found(request)
        if found is None or not found.is_known:
            raise Unauthenticated(
                "Nobody is signed in, so nothing was read or done. Send a bearer token, or sign in.",
            )
        if request.method not in SAFE_METHODS and not _bearer(request):
            refuse_other_origins(request)
        return Caller(found, any(found.has_role(role) for role in self._operators))

    async def _found(self, request: Request) -> Principal | None:
        if self._principal is not None:
            if inspect.iscoroutinefunction(self._principal):
                said = await self._principal(request)
            else:
                said = await run_in_threadpool(self._principal, request)
                if inspect.isawaitable(said):
                    said = await said
            if said is not None and not isinstance(said, Principal):
                raise PrincipalError(
                    f"principal= of the service gave a {type(said).__qualname__}; it has to give a Principal or None."
                )
            return said
        if self.development is not None:
            name = request.headers.get("x-interlock-as") or request.cookies.get(SESSION_COOKIE)
            return self.development.named(name)
        token = _bearer(request) or request.cookies.get(SESSION_COOKIE)
        if not token or self.tokens is None:
            return None
        try:
            return await run_in_threadpool(self.tokens.principal, token)
        except PrincipalError as error:
            if error.retryable:
                raise
            raise Unauthenticated(error.message, code=error.code) from None

    def form_token(self, caller: Caller, browser: str) -> str:
        """The token of a console form, which pages of other origins cannot know."""
        who = f"{caller.principal.tenant}\0{caller.principal.id}\0{browser}"
        return hmac.new(self._secret, who.encode(), hashlib.sha256).hexdigest()

    def check_form(self, request: Request, caller: Caller, token: str | None) -> None:
        """Refuse a form that this console did not serve to this browser.

        Raises:
            PrincipalError: The form's token is missing or wrong.
        """
        browser = request.cookies.get(BROWSER_COOKIE, "")
        if not browser or not hmac.compare_digest(
            self.form_token(caller, browser).encode(), (token or "").encode("utf-8", "replace")
        ):
            raise PrincipalError(
                "The form is not one that this console gave to this browser, or it is too old. Nothing was done; load the page again.",
                code="form_token",
            )


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def refuse_other_origins(request: Request) -> None:
    """Refuse a request from another origin, as browsers report it, whatever its cookies.

    Raises:
        PrincipalError: It comes from another origin.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    is_same = _host_of(origin) == request.headers.get("host") if origin else True
    if site in {None, "same-origin", "none"} and is_same:
        return
    raise PrincipalError(
        "The request comes from a page of another origin. Nothing was done; programs send a bearer token.",
        code="other_origin",
    )


def _host_of(origin: str) -> str | None:
    """The host and port of an origin; None if it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as `http://[`
        return None


__all__ = ["BROWSER_COOKIE", "SAFE_METHODS", "SESSION_COOKIE", "Caller", "Callers", "PrincipalOf", "Unauthenticated"]
