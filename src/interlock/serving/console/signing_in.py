"""Sign-in and sign-out: a token in a cookie, or a choice in development mode."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from ...tools.errors import PrincipalError
from ..context import Calls, Serves, Service
from ..identity.callers import SESSION_COOKIE, refuse_other_origins
from .pages import page, root_of, set_cookie, to


def add(router: APIRouter) -> None:
    """Add the pages."""
    router.get("/sign-in")(show)
    router.post("/sign-in")(sign_in)
    router.post("/sign-out")(sign_out)


async def show(request: Request, serves: Serves) -> Response:
    """Show the sign-in form."""
    return _form(request, serves)


async def sign_in(
    request: Request,
    serves: Serves,
    who: Annotated[str, Form(max_length=255)] = "",
    token: Annotated[str, Form(max_length=20_000)] = "",
) -> Response:
    """Sign in for the browser session."""
    refuse_other_origins(request)  # a page of another origin must not choose the user
    callers = serves.callers
    if callers.development is not None:
        if callers.development.named(who) is None:
            return _form(request, serves, "There is no person of that name to choose.")
        value = who
    elif callers.tokens is not None:
        value = token.strip()
        try:
            await run_in_threadpool(callers.tokens.principal, value)
        except PrincipalError as error:
            return _form(request, serves, error.message)
    else:
        return _form(
            request, serves, "This console does not sign people in; the application that it is a part of does."
        )
    answer = to(request, "/console/attention")
    set_cookie(request, answer, SESSION_COOKIE, value)
    return answer


async def sign_out(
    request: Request, serves: Serves, caller: Calls, form_token: Annotated[str, Form()] = ""
) -> Response:
    """Sign out."""
    serves.callers.check_form(request, caller, form_token)
    answer = to(request, "/console/sign-in")
    answer.delete_cookie(SESSION_COOKIE, path=root_of(request) or "/")
    return answer


def _form(request: Request, service: Service, problem: str | None = None) -> Response:
    development = service.callers.development
    return page(
        request,
        "sign_in.html",
        answered=HTTPStatus.OK if problem is None else HTTPStatus.FORBIDDEN,
        people=() if development is None else development.people,
        takes_tokens=service.callers.tokens is not None,
        problem=problem,
    )
