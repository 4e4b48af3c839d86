"""The endpoints for health, readiness and metrics."""

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from ..checkpointing.store import WorkflowStore
from ..tools.errors import InterlockError
from .context import Serves

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether the process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether requests can be served."""

    status: Literal["ready", "unavailable"]
    databases: dict[str, str]
    """Each database, by number: `ok`, or the code of the error."""


@router.get("/healthz", operation_id="healthz")
async def healthz() -> Health:
    """Report that the process answers."""
    return Health()


@router.get(
    "/readyz",
    operation_id="readyz",
    responses={503: {"model": Readiness, "description": "A database is unreachable."}},
)
async def readyz(serves: Serves, response: Response) -> Readiness:
    """Check that every database answers and has the tables of this release."""
    states = {
        str(number): await run_in_threadpool(_state, store) for number, store in enumerate(serves.workflows.stores)
    }
    is_ready = all(state == "ok" for state in states.values())
    if serves.watch.closing.is_set():
        is_ready = False
    if not is_ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Readiness(status="ready" if is_ready else "unavailable", databases=states)


@router.get("/metrics", operation_id="metrics", response_class=PlainTextResponse)
def metrics() -> Response:
    """Return the metrics of this process in the Prometheus format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _state(store: WorkflowStore) -> str:
    try:
        with store.read() as connection:
            store.now(connection)
    except InterlockError as error:
        return str(error.code)
    return "ok"


__all__ = ["router"]
