"""Renders pages: templates, the values for all of them, form tokens, and the headers that protect the browser."""

import json
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import jinja2
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from ...tools.errors import InterlockError
from ...tools.sinks import html
from ..addresses import part
from ..context import service_of
from ..identity import Caller, Unauthenticated
from ..identity.callers import BROWSER_COOKIE, SESSION_COOKIE
from ..moments import instant
from ..problems import message_of, status_of

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_EVERYBODY = (
    ("Needs attention", "/console/attention"),
    ("Instances", "/console/instances"),
    ("Delegations", "/console/delegations"),
)
_OPERATORS = (("Events", "/console/events"), ("Fleet", "/console/fleet"), ("Learning", "/console/learning"))
_SAID = {
    "approve": ("good", "Approved."),
    "edit": ("good", "Approved with your changes."),
    "reject": ("good", "Rejected."),
    "respond": ("good", "Answered."),
    "more": ("good", "Your decision is recorded. More people have to agree."),
    "stopped": ("bad", "Your decision is recorded. The workflow could not continue; the next tick tries again."),
    "resumed": ("good", "The thread continued."),
    "resolved": ("good", "Recorded. The workflow finds it when it continues."),
    "erased": ("good", "Erased."),
    "delivered": ("good", "Delivered."),
    "retried": ("good", "It will be retried."),
    "cancelled": ("good", "It is cancelled, and what was done is undone."),
    "cancelling": ("bad", "It is cancelled. Not everything could be undone yet; its page says what is left."),
    "raised": ("good", "The budget is raised. A run that stopped at it can continue."),
    "reassigned": ("good", "The request is reassigned."),
    "reminded": ("good", "A reminder was sent."),
    "delegated": ("good", "From now on, they can decide for you too."),
    "undelegated": ("good", "The delegation is ended."),
    "forked": ("good", "This is the new instance."),
}
"""The confirmation after an action; the address contains only its code, never a text."""


@dataclass(frozen=True)
class Said:
    """A line at the top of a page."""

    kind: str
    text: str


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("interlock.serving.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["iso"] = lambda at: instant(at).isoformat(timespec="milliseconds")
    made.filters["utc"] = lambda at: instant(at).strftime("%Y-%m-%d %H:%M:%S UTC")
    made.filters["pretty"] = pretty
    made.filters["urlencode"] = part
    made.finalize = _safe
    return made


def _safe(value: Any) -> Any:
    """Escape every text of a page for HTML."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return Markup(html(value))  # noqa: S704 -- that is the sink
    return value


def pretty(value: Any) -> str:
    """Format JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


TEMPLATES = _environment()


def root_of(request: Request) -> str:
    """The path at which the service is mounted."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def page(
    request: Request,
    template: str,
    caller: Caller | None = None,
    *,
    answered: HTTPStatus = HTTPStatus.OK,
    said: Said | None = None,
    **values: Any,
) -> HTMLResponse:
    """Render a page.

    Args:
        request: The request.
        template: The template's name.
        caller: The caller; None if nobody is signed in.
        answered: The status of the answer.
        said: A line at the top; by default the confirmation that the address names.
        values: The values for the template.
    """
    service = service_of(request)
    browser = request.cookies.get(BROWSER_COOKIE) or secrets.token_urlsafe(24)
    token = "" if caller is None else service.callers.form_token(caller, browser)
    done = _SAID.get(request.query_params.get("done", ""))
    text = TEMPLATES.get_template(template).render(
        title=service.title,
        links=service.links,
        root=root_of(request),
        here=request.url.path.removeprefix(root_of(request)),
        caller=caller,
        navigation=(*_EVERYBODY, *(_OPERATORS if caller is not None and caller.is_operator else ())),
        development=service.callers.development is not None,
        may_sign_out=service.callers.keeps_sessions,
        form_token=Markup('<input type="hidden" name="form_token" value="{}">').format(token),
        said=said or (Said(*done) if done else None),
        **values,
    )
    answer = HTMLResponse(text, int(answered), HEADERS)
    if request.cookies.get(BROWSER_COOKIE) != browser:
        set_cookie(request, answer, BROWSER_COOKIE, browser)
    return answer


def set_cookie(request: Request, answer: Response, name: str, value: str) -> None:
    """Set a session cookie that scripts and other sites cannot read."""
    answer.set_cookie(
        name,
        value,
        path=root_of(request) or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def to(request: Request, path: str, done: str | None = None) -> RedirectResponse:
    """Redirect to another page of the console after an action."""
    query = "" if done is None else f"{'&' if '?' in path else '?'}done={done}"
    return RedirectResponse(f"{root_of(request)}{path}{query}", HTTPStatus.SEE_OTHER, HEADERS)


def problem_page(request: Request, error: InterlockError, caller: Caller | None) -> Response:
    """Show an error as a page; redirect to the sign-in page if nobody is signed in."""
    if isinstance(error, Unauthenticated):
        answer = to(request, "/console/sign-in")
        answer.delete_cookie(SESSION_COOKIE, path=root_of(request) or "/")
        return answer
    status = status_of(error)
    return page(
        request,
        "problem.html",
        caller,
        answered=status,
        heading=_HEADINGS.get(status, "This could not be done"),
        detail=message_of(error),
        code=str(error.code),
    )


_HEADINGS = {
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.FORBIDDEN: "You may not do this",
    HTTPStatus.CONFLICT: "Somebody else was faster, or it changed meanwhile",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database is temporarily unreachable",
}
