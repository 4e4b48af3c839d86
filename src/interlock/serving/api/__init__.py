"""The HTTP API, version 1: a router for each kind of thing. Open `instances.py` first."""

from fastapi import APIRouter

from ..problems import MEDIA_TYPE
from . import approvals, audit, events, instances, outcomes, streams, workflows

_PROBLEMS = {
    400: "What was given cannot be used.",
    401: "The request has no identifiable sender.",
    403: "The caller may not do this.",
    404: "The caller's tenant has no such resource.",
    408: "The request's body did not arrive in time.",
    409: "It conflicts with the current state.",
    412: "The instance is not at the revision of If-Match.",
    413: "The request's body is longer than the service takes.",
    422: "The request, or the arguments of a tool, do not have the right shape.",
    429: "A limit on denials or calls is reached.",
    500: "The service failed in a way that it does not know.",
    502: "A tool, or a rule of the application, broke.",
    503: "A database or another server is out of reach for now.",
    504: "A tool did not answer in time.",
}

router = APIRouter(
    responses={
        status: {
            "description": text,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status, text in _PROBLEMS.items()
    }
)
for topic in (workflows, instances, approvals, outcomes, events, audit, streams):
    router.include_router(topic.router)

__all__ = ["router"]
