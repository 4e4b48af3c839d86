"""What the tests of the core share: ways to run a graph, homes to keep it in, and a desk with tools that count their runs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from interlock import (
    Event,
    Principal,
    Refused,
    SQLCheckpointer,
    ToolContext,
    ToolContract,
    Workflow,
    WorkflowGraph,
    WorkflowStore,
    command,
    event,
    read,
)

ADA = Principal("ada")
BEN = Principal("ben", roles=frozenset({"supervisor"}))

SETTINGS = [("memory", "invoke"), ("sql", "ainvoke"), ("beside", "stream")]
"""Homes (`Home.kind`) and ways (`Runner.way`): each once, which is what every run of the tests has time for."""
if os.environ.get("INTERLOCK_FULL"):
    SETTINGS += [("memory", "astream"), ("sql", "stream"), ("beside", "invoke")]


@dataclass(frozen=True)
class Runner:
    """One of the ways to run a graph, all giving the same: the output, interrupts included."""

    way: str

    def __call__(self, graph: Any, given: Any, config: Any, **options: Any) -> dict[str, Any]:
        match self.way:
            case "invoke":
                return dict(graph.invoke(given, config, **options))
            case "ainvoke":
                return dict(asyncio.run(graph.ainvoke(given, config, **options)))
            case "stream":
                return self._gathered(list(graph.stream(given, config, stream_mode=["values", "updates"], **options)))
            case _:
                return self._gathered(asyncio.run(self._astream(graph, given, config, options)))

    @staticmethod
    async def _astream(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
        return [chunk async for chunk in graph.astream(given, config, stream_mode=["values", "updates"], **options)]

    @staticmethod
    def _gathered(chunks: list[Any]) -> dict[str, Any]:
        output: dict[str, Any] = {}
        interrupts: tuple[Any, ...] = ()
        for mode, chunk in chunks:
            if mode == "values":
                output = dict(chunk)
                output.pop("__interrupt__", None)
            elif "__interrupt__" in chunk:
                interrupts += chunk["__interrupt__"]
        return output | ({"__interrupt__": list(interrupts)} if interrupts else {})


class Home:
    """Where a test keeps its workflows: `memory`, `sql` (one database), or `beside` (a store beside another saver)."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.url = f"sqlite:///{folder}/interlock.db"
        self.saver: BaseCheckpointSaver[Any] | None = None
        self.store: WorkflowStore | None = None
        match kind:
            case "sql":
                self.saver = SQLCheckpointer(self.url)
            case "beside":
                self.saver, self.store = InMemorySaver(), WorkflowStore(self.url)

    def compile(self, workflow: Workflow, **options: Any) -> WorkflowGraph:
        return workflow.compile(self.saver, workflow_store=self.store, **options)

    def close(self) -> None:
        if isinstance(self.saver, SQLCheckpointer):
            self.saver.close()
        if self.store is not None:
            self.store.close()


class Order(BaseModel):
    order_id: str
    total: Decimal


class Refund(BaseModel):
    order_id: str
    amount: Decimal


class Note(BaseModel):
    text: str


class Done(BaseModel):
    done: bool = True


class DeskData(BaseModel):
    notes: int = 0
    limit: Decimal = Decimal(100)


class OrderFlagged(Event, name="order.flagged.v1"):
    """Somebody should look at an order."""

    order_id: str


@dataclass
class Desk:
    """A workflow over tools that count their runs: open, then maybe held, then closed."""

    ran: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ran = self.ran

        @read("order.get")
        def get_order(order_id: str) -> Order:
            """Look up one order."""
            ran.append(f"get {order_id}")
            if order_id == "none":
                raise Refused("There is no such order.", code="order_not_found")
            if order_id == "broken":
                raise RuntimeError("the secret of the shop")
            return Order(order_id=order_id, total=Decimal(10))

        @command("note.add", effect="transactional")
        def add_note(text: str, ctx: ToolContext[DeskData]) -> Note:
            """Keep a note on the order."""
            ran.append(f"note {text}")
            if text == "refuse":
                ctx.data.notes += 100
                raise Refused("No such notes.", code="bad_note")
            ctx.data.notes += 1
            return Note(text=text)

        @command("order.refund", effect="transactional")
        def refund(order_id: str, amount: Decimal) -> Refund:
            """Refund an order."""
            ran.append(f"refund {order_id} {amount}")
            return Refund(order_id=order_id, amount=amount)

        @command("order.hold", effect="transactional")
        def hold(order_id: str) -> Done:
            """Put an order on hold."""
            ran.append(f"hold {order_id}")
            return Done()

        @command("order.release", effect="transactional")
        def release(order_id: str) -> Done:
            """Release an order from its hold."""
            ran.append(f"release {order_id}")
            return Done()

        @event("order.flag")
        def flag(order_id: str) -> OrderFlagged:
            """Flag an order for somebody to look at."""
            ran.append(f"flag {order_id}")
            return OrderFlagged(order_id=order_id)

        self.get_order: ToolContract = get_order
        self.add_note: ToolContract = add_note
        self.refund: ToolContract = refund
        self.hold: ToolContract = hold
        self.release: ToolContract = release
        self.flag: ToolContract = flag

    def workflow(self, model: Any, *, approval: Any = None, **options: Any) -> Workflow:
        """Open and held states, both with reads and notes; a refund closes."""
        flow = Workflow("desk", model=model, data=DeskData, **options)
        flow.add_state("open", tools=[self.get_order, self.add_note, self.flag])
        flow.add_state("held", tools=[self.get_order])
        flow.add_state("closed", final=True)
        flow.add_edge("open", self.hold, "held")
        flow.add_edge("held", self.release, "open")
        flow.add_edge("open", self.refund, "closed", approval=approval)
        return flow


def thread(name: str = "t-1") -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


def said(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"messages": [("user", text)], **more}


def answers(output: dict[str, Any]) -> list[dict[str, Any]]:
    """What the tool messages of a run say, in their order."""
    return [json.loads(str(message.content)) for message in output["messages"] if isinstance(message, ToolMessage)]


def codes(output: dict[str, Any]) -> list[str]:
    """What became of each proposal: ok, or the code of its error."""
    return ["ok" if answer["ok"] else answer["error"]["code"] for answer in answers(output)]


def dangling(output: dict[str, Any]) -> set[str]:
    """Ids of calls that nothing answers, or that are answered more than once."""
    asked = [
        call["id"]
        for message in output["messages"]
        if isinstance(message, AIMessage)
        for call in (*message.tool_calls, *message.invalid_tool_calls)
    ]
    given = [message.tool_call_id for message in output["messages"] if isinstance(message, ToolMessage)]
    return {str(one) for one in {*asked, *given} if asked.count(one) != 1 or given.count(one) != 1}


def trail(graph: WorkflowGraph, config: Any) -> list[tuple[str, str | None, str | None]]:
    """The audit trail: kind, tool and code of each record."""
    return [(str(record.kind), record.tool, record.code) for record in graph.instances.audit(config)]


def interrupts(output: dict[str, Any]) -> Iterator[Any]:
    yield from output.get("__interrupt__", [])


def shown(output: dict[str, Any]) -> list[str]:
    """What a person is asked about: the tools, or the type of the question."""
    return [one.value.get("tool") or one.value["type"] for one in interrupts(output)]
