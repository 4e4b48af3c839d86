"""The routes of the console; every page shows its errors as a page."""

import re
from collections.abc import Callable, Coroutine
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ...tools.errors import InputError, InterlockError
from ...tools.sinks import logger_of
from ..context import Calls
from ..identity import Caller
from . import absences, approvals, attention, budgets, cases, delivering, events, fleet, instances, signing_in
from .pages import HEADERS, problem_page, root_of

logger = logger_of("interlock.serving")
_STATIC = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"}


class Page(APIRoute):
    """A route that shows its errors as pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that shows errors as pages."""
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                answer = await handle(request)
            except InterlockError as error:
                caller: Caller | None = getattr(request.state, "interlock_caller", None)
                answer = problem_page(request, error, caller)
                if answer.status_code >= 500:
                    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
            except RequestValidationError as error:
                wrong = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
                caller = getattr(request.state, "interlock_caller", None)
                answer = problem_page(
                    request,
                    InputError(
                        f"The form or the address has something wrong: {wrong}. Nothing was done.",
                        code="invalid_request",
                    ),
                    caller,
                )
            for name, value in HEADERS.items():
                answer.headers.setdefault(name, value)
            return answer

        return shown


router = APIRouter(prefix="/console", include_in_schema=False, route_class=Page)


@router.get("")
@router.get("/")
async def begin(request: Request, caller: Calls) -> Response:
    """Redirect to the first page."""
    del caller
    return RedirectResponse(f"{root_of(request)}/console/attention")


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Serve the style sheet and the script."""
    if name not in _STATIC or not re.fullmatch(r"[a-z.]+", name):
        raise HTTPException(404, "There is no such file.")
    text = (files(__package__) / "static" / name).read_text("utf-8")
    return Response(text, media_type=_STATIC[name], headers={**HEADERS, "Cache-Control": "no-cache"})


for topic in (signing_in, attention, instances, cases, budgets, approvals, absences, delivering, events, fleet):
    topic.add(router)


@router.get("/{path:path}")
async def elsewhere(path: str, caller: Calls) -> Response:
    """Answer any other address."""
    del caller
    raise InputError(f"The console has no page {path[:200]!r}.", code="unknown_page")


def add_console(app: FastAPI) -> None:
    """Add the pages to the service."""
    app.include_router(router)


__all__ = ["add_console"]
