"""What the tests of engines share: a shop with every kind of stop, a worker for as long as a block runs, and a look at the outcome."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from interlock import (
    Approval,
    Event,
    Policy,
    Principal,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowGraph,
    command,
)
from interlock.engines import Runs
from interlock.engines.worker import Worker
from interlock.testing import ScriptedChatModel, call

ADA = Principal("ada")
BEN = Principal("ben", roles=frozenset({"supervisor"}))


class Paid(Event, name="shop.paid"):
    amount: Decimal = Decimal(0)


class ShopData(BaseModel):
    notes: int = 0
    refunded: Decimal = Decimal(0)


@command("shop.note", effect="transactional")
def note(ctx: ToolContext[ShopData]) -> int:
    """Keep a note."""
    ctx.data.notes += 1
    return ctx.data.notes


@command("shop.refund", effect="transactional")
def refund(amount: Decimal, ctx: ToolContext[ShopData]) -> Decimal:
    """Refund."""
    ctx.data.refunded += amount
    return amount


@command("shop.finish", effect="transactional")
def finish() -> bool:
    """Finish."""
    return True


class Trouble:
    """A workflow of one outside effect, which does what the test wants."""

    def __init__(self) -> None:
        self.go_on = go_on = threading.Event()
        go_on.set()
        self.begun = threading.Event()
        self.times = 0

        @command("job.do", effect="idempotent")
        def do() -> int:
            """Do it."""
            self.times += 1
            self.begun.set()
            go_on.wait(30)
            return 1

        @command("job.risk", effect="at_most_once")
        def risk() -> int:
            """Do it once at most."""
            raise RuntimeError("nobody knows")

        self.do, self.risk = do, risk

    def flow(self, name: str = "job", tool: str = "job.do", model: Any = None) -> Workflow:
        flow = Workflow(name, model=model or ScriptedChatModel(forever=call(tool)))
        flow.add_state("open")
        flow.add_state("done", final=True)
        flow.add_edge("open", self.do if tool == "job.do" else self.risk, "done")
        return flow


def next_step(messages: list[BaseMessage], offered: list[str]) -> Any:
    """A note, a refund that a supervisor agrees to, then the payment is awaited, then the end."""
    del messages
    if "shop_note" in offered:
        return call("shop.note")
    if "shop_refund" in offered:
        return call("shop.refund", amount="5")
    if "shop_finish" in offered:
        return call("shop.finish")
    return "I wait."


def shop_flow(name: str = "shop", *, version: int = 1, within: str = "1h", policies: Sequence[Policy] = ()) -> Workflow:
    """`open`, `noted`, `waiting` for a payment, `paid` or `overdue`, `closed`."""
    model = ScriptedChatModel(forever=next_step)
    flow = Workflow(name, version=version, model=model, data=ShopData, policies=policies)
    flow.add_state("open")
    flow.add_state("noted")
    flow.add_wait("waiting", for_event=Paid, within=within, then="paid", on_timeout="overdue")
    flow.add_state("paid")
    flow.add_state("overdue", final=True)
    flow.add_state("closed", final=True)
    flow.add_edge("open", note, "noted")
    flow.add_edge("noted", refund, "waiting", approval=Approval(role="supervisor"))
    flow.add_edge("paid", finish, "closed")
    return flow


def compiled(url: str, flow: Workflow | None = None) -> WorkflowGraph:
    return (flow or shop_flow()).compile(SQLCheckpointer(url))


@contextlib.asynccontextmanager
async def working(runs: Runs, **options: Any) -> AsyncIterator[Worker]:
    """A worker in this process, for as long as the block runs."""
    worker, stop = Worker(runs, **{"deadlines": 1, "takeover": 3.0, **options}), asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield worker
    finally:
        stop.set()
        await task


async def until(happened: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for something that other tasks and processes do."""
    deadline = time.monotonic() + seconds
    while not (found := await asyncio.to_thread(happened)):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)
    return found


def said(messages: list[BaseMessage]) -> tuple[int, int]:
    """How often a person spoke, and how many tools answered."""
    return (
        sum(isinstance(one, HumanMessage) for one in messages),
        sum(isinstance(one, ToolMessage) for one in messages),
    )
