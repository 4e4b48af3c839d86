"""A trip that is booked in steps, in all three kinds of effect, and can be cancelled."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field

from interlock import Mode, Principal, ToolContext, Undo, Workflow, WorkflowGraph, WorkflowStore, command, read
from interlock.testing import Clock
from interlock.tools import Refused

ANN = Principal("ann")
BOSS = Principal("mia", roles={"supervisor"})
STRANGER = Principal("eve")
START = "2026-05-01T09:00:00+00:00"

tables = sa.MetaData()
bookings = sa.Table(
    "trip_bookings",
    tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("trip", sa.String(64), nullable=False),
    sa.Column("what", sa.String(64), nullable=False),
)


class Trip(BaseModel):
    booked: list[str] = Field(default_factory=list)
    may_cancel: bool = True


class Outside:
    """What happened outside the database."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails: set[str] = set()

    def do(self, what: str, key: str) -> None:
        if what in self.fails:
            raise ConnectionError(what)
        self.calls.append((what, key))

    @property
    def done(self) -> list[str]:
        """What was done, each key once, as a system outside that knows keys does it."""
        return [what for what, _ in dict.fromkeys(self.calls)]


class Trips:
    """The workflow on one store, with its tools."""

    def __init__(self, store: WorkflowStore, *, mode: Mode = Mode.LIVE, **rule: Any) -> None:
        self.store = store
        self.mode = mode
        self.outside = Outside()
        self.refuses = False
        with store.write() as connection:
            tables.create_all(connection)
        self.flow = self._flow(rule or {"role": "supervisor", "served": True})
        self.graph: WorkflowGraph = self.flow.compile(workflow_store=store, destructive_in_memory=True)
        self.instances = self.graph.instances
        self._keys = itertools.count()

    def _flow(self, rule: Mapping[str, Any]) -> Workflow:
        world = self.outside

        def book(ctx: ToolContext[Trip], what: str) -> None:
            ctx.session.execute(sa.insert(bookings).values(trip=ctx.workflow_id, what=what))

        @command("seat.release", effect="transactional")
        def release(ctx: ToolContext[Trip], seat: str) -> str:
            """Give a seat back."""
            if self.refuses:
                raise Refused("the train has left")
            book(ctx, f"release {seat}")
            return seat

        @command("seat.reserve", effect="transactional", undo=release)
        def reserve(ctx: ToolContext[Trip], seat: str) -> str:
            """Reserve a seat."""
            book(ctx, f"reserve {seat}")
            ctx.data.booked.append(seat)
            return seat

        @command("card.refund", effect="idempotent")
        def refund(ctx: ToolContext[Trip], payment: str, amount: int) -> str:
            """Pay back."""
            world.do(f"refund {payment} {amount}", ctx.idempotency_key)
            return payment

        @command(
            "card.charge",
            effect="idempotent",
            undo=Undo(refund, lambda done: {"payment": done.output["id"], "amount": done.arguments["amount"]}),
        )
        def charge(ctx: ToolContext[Trip], amount: int) -> dict[str, str]:
            """Charge the card."""
            world.do(f"charge {amount}", ctx.idempotency_key)
            return {"id": f"p-{amount}"}

        @command("mail.recall", effect="at_most_once")
        def recall(ctx: ToolContext[Trip], to: str) -> str:
            """Call a letter back."""
            world.do(f"recall {to}", ctx.idempotency_key)
            return to

        @command("mail.send", effect="at_most_once", undo=recall)
        def send(ctx: ToolContext[Trip], to: str) -> str:
            """Send the tickets."""
            world.do(f"send {to}", ctx.idempotency_key)
            return to

        @command("gift.add", effect="transactional")
        def gift(ctx: ToolContext[Trip], what: str) -> str:
            """Give something away, for good."""
            book(ctx, f"gift {what}")
            return what

        @command("note.add", effect="transactional", undo=False)
        def note(text: str) -> str:
            """Write a note."""
            return text

        @read("trip.look")
        def look() -> str:
            """Look."""
            return "a trip"

        flow = Workflow("trip", data=Trip, notify=True, mode=self.mode)
        flow.add_state("open", tools=[look, reserve, release, charge, send, gift, note])
        flow.add_state("gone", final=True)
        self.tools = {"leave": _leave()}
        flow.add_edge("open", self.tools["leave"], "gone", approval=True)
        flow.cancellable(**rule)
        return flow

    def start(self, **data: Any) -> str:
        return str(self.instances.start(principal=ANN, data=data or None).workflow_id)

    def call(self, trip: str, tool: str, **arguments: Any) -> Any:
        return self.instances.propose(trip, tool, arguments, principal=ANN, key=f"k-{next(self._keys)}")

    def booked(self, trip: str) -> list[str]:
        with self.store.read() as connection:
            found = sa.select(bookings.c.what).where(bookings.c.trip == trip).order_by(bookings.c.number)
            return [*connection.scalars(found)]

    def kinds(self, trip: str) -> list[str]:
        return [record.kind.value for record in self.instances.audit(trip)]


def _leave() -> Any:
    @command("trip.leave", effect="transactional")
    def leave() -> str:
        """Leave."""
        return "gone"

    return leave


def clock() -> Clock:
    return Clock(START)


__all__ = ["ANN", "BOSS", "START", "STRANGER", "Trips", "clock"]
