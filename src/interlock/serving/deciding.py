"""Decides on an approval, and resumes its thread or proposal, for the API and the console."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from ..checkpointing.store import ApprovalRequest, ApprovalStatus
from ..tools.approvals import Decision
from ..tools.errors import InterlockError
from ..tools.sinks import logger_of
from .context import Service
from .identity import Caller

logger = logger_of("interlock.serving")


@dataclass(frozen=True)
class Done:
    """An approval after a decision."""

    approval: ApprovalRequest
    resumed: bool
    """Whether its thread or proposal continued in this call."""
    queued: bool = False
    """Whether its run was enqueued, in the transaction of the decision."""


async def decide(
    service: Service, approval_id: str, decision: Decision | Mapping[str, Any], caller: Caller, *, resume: bool
) -> Done:
    """Decide on an approval, and resume the thread or the proposal if no further decision is needed.

    The decision is committed first. If resuming fails, the decision stays, and the next tick retries. With a queue of runs, its
    workers resume the thread.

    Raises:
        PrincipalError: The caller may not decide.
        ConflictError: It was already decided, has expired, or differs from the shown request.
        InputError: There is no such approval, or the decision has an invalid shape.
    """
    graph = await run_in_threadpool(service.workflows.of_approval, approval_id, caller)
    instances = graph.instances
    after = await instances.adecide(approval_id, decision, by=caller.principal)
    if not resume or after.status is ApprovalStatus.REQUESTED:
        return Done(after, resumed=False)
    if after.thread_id is not None and graph.engine.store.when_due is not None:
        return Done(after, resumed=False, queued=True)
    try:
        await instances.afollow(approval_id)
    except InterlockError as error:
        logger.warning("the approval %s is decided, but its workflow could not resume: %s", approval_id, error.message)
        return Done(after, resumed=False)
    return Done(after, resumed=True)


__all__ = ["Done", "decide"]
