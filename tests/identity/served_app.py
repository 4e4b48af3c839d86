"""What LangGraph's development server loads in tests: the desk as a graph and as an agent, and who its users are."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

from langchain.agents import create_agent
from langgraph_sdk import Auth

from interlock import Approval, Principal, RequireRole, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel, call

auth = Auth()
USERS: dict[str, Any] = {
    "mallory": {"identity": "mallory", "permissions": ["supervisor"], "tenant": "acme"},
    "ben": {"identity": "ben", "permissions": ["supervisor"], "tenant": "acme"},
    "stranger": {"identity": "stranger", "permissions": [], "tenant": "acme"},
    "eve": {"identity": "eve", "permissions": ["supervisor"], "tenant": "bank"},
}


@auth.authenticate
async def who(authorization: str | None) -> Any:
    name = (authorization or "").removeprefix("Bearer ")
    if name not in USERS:
        raise Auth.exceptions.HTTPException(status_code=401, detail="no such user")
    return USERS[name]


@command("order.wipe", effect="transactional")
def wipe() -> str:
    """Delete everything."""
    return "wiped"


@command("order.refund", effect="transactional")
def refund(order_id: str, amount: Decimal) -> str:
    """Refund an order."""
    return f"{amount} refunded"


def desk(model: Any = None) -> Workflow:
    flow = Workflow("desk", model=model, policies=[RequireRole("admin", [wipe])])
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", refund, "closed", approval=Approval(role="supervisor"))
    flow.add_edge("open", wipe, "open")
    return flow


def asks_or_wipes(messages: list[Any], _offered: list[str]) -> Any:
    """The model does what the last message of the user says."""
    said = next((str(one.text) for one in reversed(messages) if one.type == "human"), "")
    if messages[-1].type != "human":
        return "Done."
    if "refund" in said:
        return call("order.refund", orderId="W1", amount="999")
    return call("order.wipe") if "wipe" in said else "Hello."


URL = os.environ["INTERLOCK_TEST_DB"]
agent = create_agent(
    ScriptedChatModel([], forever=asks_or_wipes),
    [],
    middleware=[desk().as_middleware(workflow_store=WorkflowStore(URL))],
    context_schema=Principal,
)
graph = desk(ScriptedChatModel([], forever=asks_or_wipes)).compile(workflow_store=WorkflowStore(URL))
