"""Errors on HTTP: problem details (RFC 9457) with Interlock's codes."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from ..tools.canonical import JSON
from ..tools.codes import ErrorCode
from ..tools.errors import (
    BusUnavailable,
    CommitUnknown,
    ConflictError,
    DefinitionChanged,
    IdempotencyError,
    InputError,
    InterlockError,
    InvalidArguments,
    OutcomeUnknown,
    PrincipalError,
    StaleCheckpoint,
    StoreError,
    StoreUnavailable,
    UnknownState,
    WorkflowFinished,
)
from ..tools.results import ErrorResult
from ..tools.sinks import logger_of
from .identity import Unauthenticated

logger = logger_of("interlock.serving")

MEDIA_TYPE = "application/problem+json"
_NOT_THERE = frozenset(
    {"unknown_instance", "unknown_approval", "unknown_workflow", "unknown_proposal", "unknown_event", "unknown_page"}
)
_BY_KIND: tuple[tuple[type[InterlockError], HTTPStatus], ...] = (
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (PrincipalError, HTTPStatus.FORBIDDEN),
    (InvalidArguments, HTTPStatus.UNPROCESSABLE_ENTITY),
    (IdempotencyError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InputError, HTTPStatus.BAD_REQUEST),
    (ConflictError, HTTPStatus.CONFLICT),
    (OutcomeUnknown, HTTPStatus.CONFLICT),
    (StaleCheckpoint, HTTPStatus.CONFLICT),
    (WorkflowFinished, HTTPStatus.CONFLICT),
    (UnknownState, HTTPStatus.CONFLICT),
    (DefinitionChanged, HTTPStatus.CONFLICT),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (BusUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
_BY_CODE = {
    ErrorCode.INVALID_ARGUMENTS: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.IDEMPOTENCY_MISMATCH: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.UNKNOWN_TOOL: HTTPStatus.NOT_FOUND,
    ErrorCode.LIMIT_REACHED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.TOO_MANY_CALLS: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.STORE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    ErrorCode.TOOL_FAILED: HTTPStatus.BAD_GATEWAY,
    ErrorCode.INVALID_OUTPUT: HTTPStatus.BAD_GATEWAY,
    ErrorCode.RULE_ERROR: HTTPStatus.BAD_GATEWAY,
}


class ProblemDetails(BaseModel):
    """An error (RFC 9457), with Interlock's own members in addition to the standard ones."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    """The cause, the current state, and what to do."""
    instance: str = ""
    """The path of the request."""
    code: str
    """The error code, for programs; docs/errors.md lists all codes."""
    retryable: bool = False
    details: dict[str, Any] = Field(default_factory=dict)


def status_of(error: InterlockError) -> HTTPStatus:
    """The HTTP status of an error."""
    if str(error.code) in _NOT_THERE:
        return HTTPStatus.NOT_FOUND
    if error.code == "keys_unavailable":
        return HTTPStatus.SERVICE_UNAVAILABLE
    return next((status for kind, status in _BY_KIND if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def denied(result: ErrorResult, request: Request) -> JSONResponse:
    """A denial as problem details, with the whole result in addition to the standard members."""
    status = _BY_CODE.get(result.error.code, HTTPStatus.CONFLICT)
    body = result.error
    return _response(
        request,
        status,
        str(body.code),
        body.message,
        retryable=body.retryable,
        details=body.details,
        more=result.to_json(),
    )


def problem(
    request: Request, status: HTTPStatus, code: str, detail: str, *, retryable: bool = False, **details: JSON
) -> JSONResponse:
    """Problem details with one of Interlock's codes."""
    return _response(request, status, code, detail, retryable=retryable, details=details)


def of_error(request: Request, error: InterlockError, status: HTTPStatus | None = None) -> JSONResponse:
    """Problem details for one of Interlock's errors."""
    return _response(
        request,
        status_of(error) if status is None else status,
        str(error.code),
        message_of(error),
        retryable=error.retryable,
        details=error.details,
    )


def message_of(error: InterlockError) -> str:
    """The text of an error for a caller. The database's address and its own message are only logged."""
    match error:
        case CommitUnknown():
            return "The database's answer to a commit was lost, so it is unknown whether this was done. Check the current state before you send it again."
        case StoreUnavailable():
            return "The database did not answer, or was busy. Nothing of this step was kept; send it again."
        case StoreError():
            return "The database refused a statement. Nothing of this step was kept; the log of the service has the details."
        case _:
            return error.message


def _response(
    request: Request,
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    retryable: bool,
    details: Any,
    more: dict[str, Any] | None = None,
) -> JSONResponse:
    body = {
        **(more or {}),
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "retryable": retryable,
        "details": jsonable_encoder(details),
    }
    headers = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return JSONResponse(body, int(status), headers, media_type=MEDIA_TYPE)


def describe_problems(app: FastAPI) -> None:
    """Add the schema of problem details to the API's description, where every operation refers to it."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        made: dict[str, Any] = describe()
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault(
            "ProblemDetails", ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        )
        return made

    app.openapi = described  # type: ignore[method-assign]


def add_handlers(app: FastAPI) -> None:
    """Answer every error of the application with problem details."""

    async def interlock_error(request: Request, error: Any) -> JSONResponse:
        answer = of_error(request, error)
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answer

    async def invalid(request: Request, error: Any) -> JSONResponse:
        wrong = [
            {"field": ".".join(map(str, one["loc"][1:])), "in": str(one["loc"][0]), "problem": one["msg"]}
            for one in error.errors()
        ]
        told = "; ".join(f"{one['in']} {one['field']}: {one['problem']}" for one in wrong)
        return problem(
            request,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            f"The request does not match the API: {told}. Nothing was done; see the API's description at openapi.json.",
            problems=jsonable_encoder(wrong),
        )

    async def http_error(request: Request, error: Any) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        answer = problem(request, status, f"http_{error.status_code}", str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(
            request,
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal_error",
            "The service failed unexpectedly. Everything committed before is kept; the log has the details.",
        )

    app.add_exception_handler(Exception, unexpected)
    app.add_exception_handler(InterlockError, interlock_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)


__all__ = [
    "MEDIA_TYPE",
    "ProblemDetails",
    "add_handlers",
    "denied",
    "describe_problems",
    "message_of",
    "of_error",
    "problem",
    "status_of",
]
