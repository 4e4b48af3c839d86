"""The HTTP API, version 1: one router per kind of resource. Open `instances.py` first."""

from fastapi import APIRouter

from ..problems import MEDIA_TYPE
from . import approvals, audit, events, instances, outcomes, streams, workflows

_PROBLEMS = {
    400: "The input is invalid.",
    401: "The request has no identifiable sender.",
    403: "The caller may not do this.",
    404: "The caller's tenant has no such resource.",
    408: "The request's body did not arrive in time.",
    409: "The request conflicts with the current state.",
    412: "The instance is not at the revision of If-Match.",
    413: "The request's body is larger than the service accepts.",
    422: "The request, or the arguments of a tool, have an invalid shape.",
    429: "A limit on denials or calls is reached.",
    500: "The service failed unexpectedly.",
    502: "A tool, or a rule of the application, failed.",
    503: "A database or another server is temporarily unreachable.",
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
