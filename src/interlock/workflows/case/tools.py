"""The tools of the case workflow."""

from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from ...tools.context import ToolContext
from ...tools.contracts import command, read
from ...tools.errors import Refused
from ...tools.events import Event
from .tables import cases, queues


class CaseData(BaseModel):
    """What the workflow keeps of its case; the case itself is in the system of record."""

    case_id: str | None = None
    queue_id: str | None = None
    reassigned: int = 0
    """How often it went to another queue."""
    answered: bool = False
    """Whether an agent had answered when the queue was last checked."""


class Case(BaseModel):
    """One case as the system of record has it."""

    case_id: str
    customer: str
    subject: str
    queue_id: str | None


class Assignment(BaseModel):
    """Where a case waits now."""

    case_id: str
    queue_id: str


class QueueStatus(BaseModel):
    """How a queue stands, and whether it has answered the case of this workflow."""

    queue_id: str
    waiting: int
    answered: bool


class Closed(BaseModel):
    """A case that is closed."""

    case_id: str


class CaseAssigned(Event, name="case.assigned", version=1):
    """A case waits in a queue."""

    case_id: str
    queue_id: str
    previous_queue_id: str | None = None


class CaseClosed(Event, name="case.closed", version=1):
    """A case is done."""

    case_id: str


def queue_is_open(queue_id: str, ctx: ToolContext[CaseData]) -> str | None:
    """A queue takes cases when it is there and open."""
    found = ctx.session.scalar(sa.select(queues.c.is_open).where(queues.c.queue_id == queue_id))
    if found is None:
        return f"there is no queue {queue_id!r}"
    return None if found else f"the queue {queue_id!r} is closed"


def case_waits(case_id: str, ctx: ToolContext[CaseData]) -> str | None:
    """A case can be assigned when it is there, not closed, and not in a queue yet."""
    found = _row(ctx.session, case_id)
    if found is None:
        return f"there is no case {case_id!r}"
    if found.is_closed:
        return f"the case {case_id} is closed"
    return None if found.queue_id is None else f"the case {case_id} waits in the queue {found.queue_id!r} already"


def can_be_assigned(case_id: str, queue_id: str, ctx: ToolContext[CaseData]) -> str | None:
    """Both: the case waits to be assigned, and the queue is open."""
    return case_waits(case_id, ctx) or queue_is_open(queue_id, ctx)


def is_another_queue(queue_id: str, ctx: ToolContext[CaseData]) -> str | None:
    """A case is reassigned to an open queue that it is not in."""
    if queue_id == ctx.data.queue_id:
        return f"the case is in the queue {queue_id!r} already"
    return queue_is_open(queue_id, ctx)


def show_reassignment(queue_id: str, ctx: ToolContext[CaseData]) -> dict[str, Any]:
    """What an approver is shown: from where to where, and whose case it is."""
    found = _row(ctx.session, str(ctx.data.case_id))
    return {
        "caseId": ctx.data.case_id,
        "customer": None if found is None else found.customer,
        "from": ctx.data.queue_id,
        "to": queue_id,
    }


@read("case.get")
def get_case(case_id: str, ctx: ToolContext[CaseData]) -> Case:
    """Look up one case."""
    found = _row(ctx.session, case_id)
    if found is None:
        raise Refused(f"There is no case {case_id}.", code="case_not_found")
    return Case(case_id=found.case_id, customer=found.customer, subject=found.subject, queue_id=found.queue_id)


@command("case.assign", effect="transactional", check=can_be_assigned)
def assign_case(case_id: str, queue_id: str, ctx: ToolContext[CaseData], reason: str | None = None) -> Assignment:
    """Assign a case to an eligible agent queue."""
    del reason  # it is recorded with the call, for anyone who asks why
    ctx.session.execute(sa.update(cases).where(cases.c.case_id == case_id).values(queue_id=queue_id))
    ctx.data.case_id, ctx.data.queue_id = case_id, queue_id
    ctx.emit(CaseAssigned(case_id=case_id, queue_id=queue_id))
    return Assignment(case_id=case_id, queue_id=queue_id)


@read("queue.status")
def queue_status(ctx: ToolContext[CaseData]) -> QueueStatus:
    """Look at the queue that the case waits in, and whether an agent has answered the case."""
    found = _row(ctx.session, str(ctx.data.case_id))
    if found is None or found.queue_id is None:
        raise Refused("The case is in no queue.", code="not_queued")
    open_cases = sa.select(sa.func.count()).select_from(cases)
    waiting = open_cases.where(cases.c.queue_id == found.queue_id, cases.c.is_answered.is_(False))
    ctx.data.answered = bool(found.is_answered)
    return QueueStatus(
        queue_id=found.queue_id, waiting=ctx.session.scalar(waiting) or 0, answered=bool(found.is_answered)
    )


@command("queue.reassign", effect="transactional", check=is_another_queue, preview=show_reassignment)
def reassign_case(queue_id: str, ctx: ToolContext[CaseData], reason: str | None = None) -> Assignment:
    """Move the case to another agent queue."""
    del reason
    case_id, previous = str(ctx.data.case_id), ctx.data.queue_id
    ctx.session.execute(sa.update(cases).where(cases.c.case_id == case_id).values(queue_id=queue_id))
    ctx.data.queue_id = queue_id
    ctx.data.reassigned += 1
    ctx.emit(CaseAssigned(case_id=case_id, queue_id=queue_id, previous_queue_id=previous))
    return Assignment(case_id=case_id, queue_id=queue_id)


@command("case.close", effect="transactional")
def close_case(ctx: ToolContext[CaseData]) -> Closed:
    """Close the case once an agent has answered it."""
    case_id = str(ctx.data.case_id)
    ctx.session.execute(sa.update(cases).where(cases.c.case_id == case_id).values(is_closed=True))
    ctx.emit(CaseClosed(case_id=case_id))
    return Closed(case_id=case_id)


def _row(session: Session, case_id: str) -> Any:
    return session.execute(sa.select(cases).where(cases.c.case_id == case_id)).first()
