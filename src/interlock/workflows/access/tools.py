"""The tools of the access desk."""

import datetime as dt
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field

from ...rules.view import GuardView
from ...tools.context import ToolContext
from ...tools.contracts import command, read
from ...tools.errors import Refused
from ...tools.events import Event
from ...tools.schemas.from_decision import FromDecision
from .tables import grants, people


class AccessData(BaseModel):
    """What the workflow keeps of a request for access."""

    person: str
    """Who is to have access."""
    manager: str | None = None
    """Their manager by the directory, once it was looked up."""
    system: str | None = None
    until: dt.datetime | None = None
    """When the access ends, once it was granted."""
    ends_because: str | None = None


class PersonLeft(Event, name="people.left"):
    """Somebody does not work here any more."""

    person: str


class Person(BaseModel):
    """Somebody by the directory."""

    name: str
    manager: str


class Access(BaseModel):
    """What was granted."""

    system: str
    until: dt.datetime


Days = Literal[7, 90]
Justification = Annotated[str, Field(min_length=10, max_length=500), FromDecision("Why does this person need it?")]


@read("people.get")
def get_person(ctx: ToolContext[AccessData]) -> Person:
    """Look up in the directory who the access is for, and who their manager is."""
    row = ctx.session.execute(sa.select(people).where(people.c.person == ctx.data.person)).one_or_none()
    if row is None:
        raise Refused(f"{ctx.data.person} is not in the directory")
    ctx.data.manager = row.manager
    return Person(name=row.name, manager=row.manager)


def not_twice(system: str, ctx: ToolContext[AccessData]) -> bool | str:
    """A person has access to a system once."""
    there = sa.select(grants.c.until).where(
        grants.c.person == ctx.data.person, grants.c.system == system, grants.c.ended_because.is_(None)
    )
    until = ctx.session.execute(there).scalar_one_or_none()
    return True if until is None else f"{ctx.data.person} has access to {system} already, until {until[:10]}"


def grant_preview(system: str, days: int, view: GuardView) -> dict[str, Any]:
    """What the manager is shown."""
    return {"person": view.data.person, "system": system, "days": days}


@command("access.grant", effect="transactional", check=not_twice, preview=grant_preview)
def grant_access(system: str, days: Days, justification: Justification, ctx: ToolContext[AccessData]) -> Access:
    """Give the person access to a system for 7 or 90 days. Their manager decides, and says why."""
    until = ctx.now + dt.timedelta(days=days)
    ctx.session.execute(
        sa.insert(grants).values(
            grant_id=ctx.workflow_id,
            person=ctx.data.person,
            system=system,
            until=until.isoformat(),
            justification=justification,
        )
    )
    ctx.data.system, ctx.data.until = system, until
    return Access(system=system, until=until)


@command("access.end", effect="transactional")
def end_access(reason: str, ctx: ToolContext[AccessData]) -> str:
    """End the access that was granted."""
    ctx.session.execute(
        sa.update(grants).where(grants.c.grant_id == ctx.workflow_id).values(ended_because=reason[:200])
    )
    ctx.data.ends_because = reason
    return reason
