"""A desk that refunds, closes and mails, served to several people; and short ways to ask the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from httpx import Response
from pydantic import BaseModel, Field

from interlock import Approval, Principal, SQLCheckpointer, ToolContext, Workflow, WorkflowGraph, command, read
from interlock.serving import service
from interlock.testing import ScriptedChatModel, call

KIM = Principal("kim")
"""The customer who is served."""
LEE = Principal("lee")
"""Another customer."""
SUE = Principal("sue", roles=frozenset({"supervisor"}))
OPERATOR = Principal("olga", roles=frozenset({"operator"}))
FOREIGN = Principal("kim", roles=frozenset({"supervisor", "operator"}), tenant="elsewhere")
PEOPLE = {"kim": KIM, "lee": LEE, "sue": SUE, "olga": OPERATOR, "foreign": FOREIGN}


class Refund(BaseModel):
    order_id: str
    amount: Decimal


class DeskData(BaseModel):
    refunded: Decimal = Decimal(0)
    note: str = ""


@dataclass
class Desk:
    """What a test serves."""

    ran: list[str] = field(default_factory=list)
    breaks: bool = False
    """Whether a mail breaks off in the middle of its effect."""

    def workflow(self, model: Any = None) -> Workflow:
        desk = self

        @read("order.get")
        def get_order(order_id: str) -> str:
            """Look up one order."""
            return f"{order_id} is delivered"

        def preview(order_id: str, amount: Decimal) -> dict[str, Any]:
            return {"order": order_id, "balance": {"before": "100.00", "after": str(100 - amount)}}

        @command("order.refund", effect="transactional", preview=preview)
        def refund(
            order_id: str,
            amount: Annotated[Decimal, Field(gt=0, le=100)],
            ctx: ToolContext[DeskData],
            reason: str | None = None,
        ) -> Refund:
            """Refund an order."""
            desk.ran.append(f"refund {order_id} {amount}")
            ctx.data.refunded += amount
            ctx.data.note = reason or ""
            return Refund(order_id=order_id, amount=amount)

        @command("mail.send", effect="at_most_once")
        def send(text: str) -> str:
            """Send a mail."""
            desk.ran.append(f"mail {text}")
            if desk.breaks:
                raise KeyboardInterrupt
            return "sent"

        @command("desk.close", effect="transactional")
        def close() -> str:
            """Close the case."""
            return "closed"

        flow = Workflow("desk", model=model, data=DeskData)
        flow.add_state("open", tools=[get_order]).add_state("closed", final=True)
        flow.add_edge("open", refund, "open", approval=Approval(role="supervisor", within="24h", edit=True))
        flow.add_edge("open", send, "open")
        flow.add_edge("open", close, "closed", guard=lambda view: view.data.refunded > 0)
        return flow

    def conversing(self, times: int = 1) -> Workflow:
        """The same with a model that proposes a refund, in so many conversations."""
        call_it = call("order.refund", orderId="W-7", amount="4.00", reason="It <b>broke</b>")
        return self.workflow(ScriptedChatModel([call("order.get", orderId="W-7"), call_it] * times, forever="Done."))


def by_header(request: Request) -> Principal | None:
    """An application's own function: whom a header names."""
    return PEOPLE.get(request.headers.get("x-test-user", ""))


@dataclass
class Served:
    """A service, and a client of it."""

    desk: Desk
    graph: WorkflowGraph
    app: FastAPI
    client: TestClient

    def ask(self, method: str, path: str, who: str = "kim", **options: Any) -> Response:
        headers = {"x-test-user": who, **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, follow_redirects=False, **options)

    def get(self, path: str, who: str = "kim", **options: Any) -> Response:
        return self.ask("GET", path, who, **options)

    def post(self, path: str, body: Any = None, who: str = "kim", **options: Any) -> Response:
        return self.ask("POST", path, who, json={} if body is None else body, **options)

    def started(self, who: str = "kim") -> str:
        """A new instance that serves somebody."""
        answer = self.post("/v1/workflows/desk/instances", {}, who)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["workflowId"])

    def propose(
        self, workflow_id: str, tool: str, who: str = "kim", key: str | None = "k-1", **arguments: Any
    ) -> Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"tool": tool, "arguments": arguments}
        return self.post(f"/v1/instances/{workflow_id}/proposals", body, who, headers=headers)


@contextmanager
def served(url: str | None = None, *, conversing: int = 0, **options: Any) -> Iterator[Served]:
    """Serve a desk; in memory without a URL."""
    desk = Desk()
    flow = desk.conversing(conversing) if conversing else desk.workflow()
    graph = flow.compile(None if url is None else SQLCheckpointer(url))
    app = service(graph, **({"principal": by_header} | options))
    with TestClient(app, base_url="http://testserver") as client:
        yield Served(desk, graph, app, client)
    if url is not None:
        graph.checkpointer.close()


__all__ = ["FOREIGN", "KIM", "LEE", "OPERATOR", "PEOPLE", "SUE", "Desk", "Served", "served"]
