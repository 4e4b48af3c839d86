"""The workflows that are killed: of transactions, of effects outside, of several calls in a message, of coroutines, and of waits.

All of them are deterministic, and can be built in any process from the address of the world outside.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from langchain_core.messages import BaseMessage, ToolMessage
from pydantic import BaseModel

from interlock import (
    Event,
    Principal,
    Refused,
    RetryPolicy,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowGraph,
    command,
    read,
)
from interlock.testing import ScriptedChatModel, call

from .outside import call_out

tables = sa.MetaData()
bookings = sa.Table(
    "shop_bookings",
    tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("thread", sa.String(64), nullable=False),
    sa.Column("what", sa.String(64), nullable=False),
    sa.Column("amount", sa.String(32), nullable=False),
)
"""The tools' own table, in the workflow store's database, without anything that would keep a second booking out."""

Address = tuple[str, int]
CLERK = Principal("clerk", roles=frozenset({"clerk"}))
BOSS = Principal("boss", roles=frozenset({"boss"}))


class Booked(Event, name="shop.booked.v1"):
    """Something was booked."""

    what: str
    amount: Decimal


class Paid(Event, name="shop.paid.v1"):
    """Somebody paid."""


class Receipt(BaseModel):
    """What a command answers."""

    what: str
    number: int = 0


class Till(BaseModel):
    """The data of all these workflows."""

    thread: str = ""
    total: Decimal = Decimal(0)
    done: list[str] = []


def _book(ctx: ToolContext[Till], what: str, amount: Decimal) -> Receipt:
    ctx.session.execute(sa.insert(bookings).values(thread=ctx.data.thread, what=what, amount=str(amount)))
    ctx.data.total += amount
    ctx.data.done.append(what)
    ctx.emit(Booked(what=what, amount=amount))
    return Receipt(what=what, number=len(ctx.data.done))


@read("till.look")
def look(ctx: ToolContext[Till]) -> Receipt:
    """Look into the till."""
    count = ctx.session.scalar(sa.select(sa.func.count()).where(bookings.c.thread == ctx.data.thread))
    return Receipt(what="look", number=count)


@read("till.shelf")
def shelf(name: str) -> Receipt:
    """Look at a shelf."""
    return Receipt(what=name)


@command("till.open", effect="transactional")
def open_till(ctx: ToolContext[Till]) -> Receipt:
    """Open the till."""
    return _book(ctx, "open", Decimal("10.00"))


@command("till.sell", effect="transactional")
def sell(what: str, amount: Decimal, ctx: ToolContext[Till]) -> Receipt:
    """Sell something."""
    return _book(ctx, what, amount)


@command("till.refuse", effect="transactional")
def refuse(ctx: ToolContext[Till]) -> Receipt:
    """Write, and then say no."""
    _book(ctx, "never", Decimal("99.00"))
    raise Refused("the till says no", code="no")


@command("till.close", effect="transactional")
def close_till(ctx: ToolContext[Till]) -> Receipt:
    """Close the till."""
    return _book(ctx, "close", Decimal("-1.00"))


def transactions(_: Address) -> Workflow:
    """Commands in one transaction each, a read, a refusal, and an approval, proposed by a function."""

    def in_open(view: Any) -> Any:
        refused = any(isinstance(message, ToolMessage) and message.status == "error" for message in view.messages)
        if not refused:
            return ("till.refuse", {})
        if len(view.data.done) == 1:
            return [("till.look", {}), ("till.sell", {"what": "tea", "amount": "2.50"})]
        return ("till.close", {})

    flow = Workflow("transactions", data=Till)
    flow.add_state("closed", decide=lambda _: ("till.open", {}))
    flow.add_state("open", decide=in_open, tools=[look])
    flow.add_state("over", final=True)
    flow.add_edge("closed", open_till, "open")
    flow.add_edge("open", refuse, "over")
    flow.add_edge("open", sell, "open")
    flow.add_edge("open", close_till, "over", approval=True)
    return flow


def effects(address: Address) -> Workflow:
    """Effects outside the database: one that may be repeated, one that may not, one of each kind after the other."""

    @command("label.buy", effect="idempotent", retry=RetryPolicy(attempts=2, initial=0))
    def buy_label(ctx: ToolContext[Till]) -> Receipt:
        """Buy a label for a parcel."""
        call_out(address, scope=ctx.data.thread, tool="label.buy", key=ctx.idempotency_key)
        ctx.data.done.append("label")
        ctx.emit(Booked(what="label", amount=Decimal("4.00")))
        return Receipt(what="label")

    @command("parcel.hand_over", effect="at_most_once")
    def hand_over(ctx: ToolContext[Till]) -> Receipt:
        """Hand the parcel over."""
        call_out(address, scope=ctx.data.thread, tool="parcel.hand_over", key=ctx.idempotency_key)
        ctx.data.done.append("parcel")
        ctx.emit(Booked(what="parcel", amount=Decimal("0.00")))
        return Receipt(what="parcel")

    flow = Workflow("effects", data=Till)
    flow.add_state("packed", decide=lambda _: ("label.buy", {}))
    flow.add_state("labelled", decide=lambda _: ("parcel.hand_over", {}))
    flow.add_state("gone", decide=lambda _: ("till.close", {}))
    flow.add_state("over", final=True)
    flow.add_edge("packed", buy_label, "labelled")
    flow.add_edge("labelled", hand_over, "gone", approval=True)
    flow.add_edge("gone", close_till, "over")
    return flow


def _next_calls(messages: list[BaseMessage], _: list[str]) -> Any:
    answers = sum(isinstance(message, ToolMessage) for message in messages)
    if answers == 0:
        return [
            call("till.shelf", name="left"),
            call("till.shelf", name="right"),
            call("till.sell", what="tea", amount="1.00"),
            call("till.sell", what="cake", amount="2.00"),
        ]
    if answers == 4:
        return [call("till.close"), call("till.sell", what="late", amount="3.00")]
    return "That is all."


def messages(_: Address) -> Workflow:
    """Several calls in one message of a chat model: reads in parallel, commands in turn, and one that comes too late."""
    flow = Workflow("messages", data=Till, model=ScriptedChatModel(forever=_next_calls))
    flow.add_state("open", tools=[shelf])
    flow.add_state("over", final=True)
    flow.add_edge("open", sell, "open")
    flow.add_edge("open", close_till, "over")
    return flow


def coroutines(address: Address) -> Workflow:
    """Asynchronous tools: a read, a command in its own transaction, one that says no, and an effect outside."""

    @read("till.look")
    async def alook(ctx: ToolContext[Till]) -> Receipt:
        """Look into the till."""
        count = await ctx.session.scalar(sa.select(sa.func.count()).where(bookings.c.thread == ctx.data.thread))
        return Receipt(what="look", number=count)

    async def abook(ctx: ToolContext[Till], what: str, amount: Decimal) -> Receipt:
        await ctx.session.execute(sa.insert(bookings).values(thread=ctx.data.thread, what=what, amount=str(amount)))
        ctx.data.total += amount
        ctx.data.done.append(what)
        ctx.emit(Booked(what=what, amount=amount))
        return Receipt(what=what, number=len(ctx.data.done))

    @command("till.open", effect="transactional")
    async def aopen(ctx: ToolContext[Till]) -> Receipt:
        """Open the till."""
        return await abook(ctx, "open", Decimal("10.00"))

    @command("till.refuse", effect="transactional")
    async def arefuse(ctx: ToolContext[Till]) -> Receipt:
        """Write, and then say no."""
        await abook(ctx, "never", Decimal("99.00"))
        raise Refused("the till says no", code="no")

    @command("label.buy", effect="idempotent", retry=RetryPolicy(attempts=2, initial=0))
    async def abuy(ctx: ToolContext[Till]) -> Receipt:
        """Buy a label for a parcel."""
        await asyncio.to_thread(call_out, address, scope=ctx.data.thread, tool="label.buy", key=ctx.idempotency_key)
        ctx.data.done.append("label")
        ctx.emit(Booked(what="label", amount=Decimal("4.00")))
        return Receipt(what="label")

    def in_open(view: Any) -> Any:
        refused = any(isinstance(message, ToolMessage) and message.status == "error" for message in view.messages)
        return ("label.buy", {}) if refused else [("till.look", {}), ("till.refuse", {})]

    flow = Workflow("coroutines", data=Till)
    flow.add_state("closed", decide=lambda _: ("till.open", {}))
    flow.add_state("open", decide=in_open, tools=[alook])
    flow.add_state("over", final=True)
    flow.add_edge("closed", aopen, "open")
    flow.add_edge("open", arefuse, "over")
    flow.add_edge("open", abuy, "over", approval=True)
    return flow


def waits(_: Address) -> Workflow:
    """Two waits, one that an event ends and one whose time is over at once, between commands."""
    flow = Workflow("waits", data=Till)
    flow.add_state("closed", decide=lambda _: ("till.open", {}))
    flow.add_wait("asked", for_event=Paid, then="open")
    flow.add_state("open", decide=lambda _: ("till.sell", {"what": "tea", "amount": "2.50"}))
    flow.add_wait("late", for_event=Paid, within=dt.timedelta(milliseconds=1), then="never", on_timeout="overdue")
    flow.add_state("overdue", decide=lambda _: ("till.close", {}))
    flow.add_state("never", final=True)
    flow.add_state("over", final=True)
    flow.add_edge("closed", open_till, "asked")
    flow.add_edge("open", sell, "late")
    flow.add_edge("overdue", close_till, "over")
    return flow


WORKFLOWS: dict[str, Callable[[Address], Workflow]] = {
    "transactions": transactions,
    "effects": effects,
    "messages": messages,
    "coroutines": coroutines,
    "waits": waits,
}
ASYNCHRONOUS = frozenset({"coroutines"})
"""Those that run in an event loop only."""
AT_MOST_ONCE = "parcel.hand_over"


@functools.cache
def built(name: str, url: str, address: Address) -> WorkflowGraph:
    """A workflow on a database."""
    return WORKFLOWS[name](address).compile(SQLCheckpointer(url))


def prepare(url: str) -> None:
    """Make all tables."""
    with SQLCheckpointer(url) as saver:
        saver.setup()
        with saver.database.write() as connection:
            tables.create_all(connection)
