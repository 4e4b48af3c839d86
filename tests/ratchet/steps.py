"""The steps that are counted: turns of a small desk, as a compiled graph and as a middleware of an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from langchain.agents import create_agent
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command
from pydantic import BaseModel

from interlock import Approval, Principal, ToolContext, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call

ADA = Principal("ada")
BEN = Principal("ben", roles={"supervisor"})


class Order(BaseModel):
    order_id: str
    total: Decimal


class Note(BaseModel):
    text: str


@read("order.get")
def get_order(order_id: str) -> Order:
    """Look up one order."""
    return Order(order_id=order_id, total=Decimal(10))


@command("note.add", effect="transactional")
def add_note(text: str, ctx: ToolContext) -> Note:
    """Keep a note on the order."""
    ctx.session.execute(sa.select(sa.literal(1)))
    return Note(text=text)


@command("order.refund", effect="transactional")
def refund(order_id: str, amount: Decimal) -> Note:
    """Refund an order."""
    return Note(text=f"{order_id} {amount}")


def desk(model: Any = None) -> Workflow:
    """Notes at any time, and refunds that a supervisor approves."""
    flow = Workflow("desk", model=model)
    flow.add_state("open", tools=[get_order, add_note])
    flow.add_edge("open", refund, "open", approval=Approval(role="supervisor"))
    return flow


def script() -> ScriptedChatModel:
    """What the model says in the turns of every run, the first one to begin with."""
    return ScriptedChatModel(
        [
            "Hello.",
            call("order.get", orderId="W1"),
            "It costs 10.",
            call("note.add", text="called"),
            "Noted.",
            call("order.refund", orderId="W1", amount="5"),
            "Refunded.",
        ]
    )


@dataclass
class Turns:
    """The turns of one thread."""

    runnable: Any
    config: Any
    way: str
    """`invoke` or `ainvoke`."""

    def say(self, text: str) -> Any:
        """A message of the person served."""
        return self._run({"messages": [("user", text)]}, ADA)

    def approve(self) -> Any:
        """The supervisor's decision."""
        return self._run(Command(resume={"decisions": [{"type": "approve"}]}), BEN)

    def _run(self, given: Any, principal: Principal) -> Any:
        if self.way == "invoke":
            return self.runnable.invoke(given, self.config, context=principal)
        return asyncio.run(self.runnable.ainvoke(given, self.config, context=principal))


def as_graph(saver: BaseCheckpointSaver[Any], store: WorkflowStore) -> Any:
    """The desk as a compiled graph."""
    return desk(script()).compile(saver, workflow_store=store)


def as_middleware(saver: BaseCheckpointSaver[Any], store: WorkflowStore) -> Any:
    """The desk as a middleware of an agent."""
    middleware = desk().as_middleware(workflow_store=store)
    return create_agent(script(), [], middleware=[middleware], checkpointer=saver, context_schema=Principal)


FORMS = {"graph": as_graph, "middleware": as_middleware}
STEPS: dict[str, Callable[[Turns], Any]] = {
    "begin": lambda turns: turns.say("hello"),
    "read": lambda turns: turns.say("what does it cost?"),
    "command": lambda turns: turns.say("note that I called"),
    "asked": lambda turns: turns.say("give me 5 back"),
    "approved": lambda turns: turns.approve(),
}
"""In the order in which a thread takes them."""
