# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # In a LangChain app
#
# You can add a workflow to an existing app: as a Runnable, as a node of another graph, or as a middleware of an agent from
# `create_agent`.

# %%
import json
import logging
from typing import Any

from pydantic import BaseModel

from interlock import Approval, Principal, Workflow, command, read
from interlock.testing import ScriptedChatModel, call

# Everything here is kept in memory on purpose. Without this line, `compile` logs a warning each time.
logging.getLogger("interlock").setLevel(logging.ERROR)


class Order(BaseModel):
    order_id: str
    status: str


@read("order.get")
def get_order(order_id: str) -> Order:
    """Look up one order."""
    return Order(order_id=order_id, status="paid")


@command("order.cancel", effect="transactional")
def cancel(order_id: str) -> Order:
    """Cancel an order."""
    return Order(order_id=order_id, status="cancelled")


def desk(model: ScriptedChatModel | None = None) -> Workflow:
    """A desk where orders are looked up and, with a supervisor's consent, cancelled."""
    workflow = Workflow("desk", model=model)
    workflow.add_state("open", tools=[get_order])
    workflow.add_state("closed", final=True)
    workflow.add_edge("open", cancel, "closed", approval=Approval(role="supervisor"))
    return workflow


ADA, GRACE = Principal("ada"), Principal("grace", roles=frozenset({"supervisor"}))

# %% [markdown]
# ## As a Runnable
#
# `compile()` returns LangGraph's own compiled graph, so you can use it in a chain like any other Runnable.

# %%
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda

graph = desk(ScriptedChatModel([call("order.get", orderId="W1"), "It is paid."])).compile()


def asked_by(text: str) -> dict[str, Any]:
    """The input of the graph."""
    return {"messages": [("user", text)]}


def answer_of(output: dict[str, Any]) -> str:
    """What the model said last."""
    return str(output["messages"][-1].text)


chain = RunnableLambda(asked_by) | graph | RunnableLambda(answer_of)

print(chain.invoke("Where is W1?", {"configurable": {"thread_id": "chain"}}))

# %% [markdown]
# Everything has its async form, and a notebook awaits at the top of a cell.

# %%
graph = desk(ScriptedChatModel([call("order.get", orderId="W1"), "It is still paid."])).compile()
answer = await graph.ainvoke(
    {"messages": [("user", "And now?")]}, {"configurable": {"thread_id": "async"}}, context=ADA
)
print(answer["messages"][-1].text)

# %% [markdown]
# ## As a node of another graph
#
# The instance belongs to the parent's thread and the node's name, and its interrupts come up through the parent.

# %%
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

inner = desk(ScriptedChatModel([call("order.cancel", orderId="W1")])).compile()

parent = StateGraph(MessagesState, context_schema=Principal)
parent.add_node("greet", lambda state: {"messages": [("ai", "Let me see to that.")]})
parent.add_node("desk", inner)
parent.add_edge(START, "greet")
parent.add_edge("greet", "desk")
app = parent.compile(checkpointer=InMemorySaver())

config: RunnableConfig = {"configurable": {"thread_id": "parent"}}
paused = app.invoke({"messages": [HumanMessage("Cancel W1.")]}, config, context=ADA)
print("waits for", paused["__interrupt__"][0].value["tool"])
done = app.invoke(Command(resume={"type": "approve"}), config, context=GRACE)
print(json.loads(done["messages"][-1].text)["currentState"])

# %% [markdown]
# ## As a middleware of an agent
#
# LangChain keeps running the loop. One line adds the gate, approvals, the ledger and the audit trail: the edges determine which
# tools the model is offered, and each call is judged where it runs. Tools that the workflow does not know are neither offered nor run.

# %%
from langchain.agents import create_agent
from langchain_core.tools import tool

from interlock import WorkflowStore


@tool
def drop_tables() -> str:
    """Drop all tables."""
    return "gone"


store = WorkflowStore.in_memory()
model = ScriptedChatModel(
    [call("drop_tables"), call("order.cancel", orderId="W1"), "W1 is cancelled."]
)
agent = create_agent(
    model,
    [drop_tables, get_order.as_tool(), cancel.as_tool()],
    middleware=[desk().as_middleware(workflow_store=store)],  # the one line
    checkpointer=InMemorySaver(),
    context_schema=Principal,
)

config = {"configurable": {"thread_id": "agent"}}
agent.invoke({"messages": [HumanMessage("Cancel W1.")]}, config, context=ADA)
agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config, context=GRACE)

print("offered:", model.offered)
(instance,) = store.instances()
for record in store.audit(instance.workflow_id):
    print(record.number, record.kind.value, record.tool or "", record.code or "")

# %% [markdown]
# ## Tools that are there already
#
# An existing LangChain tool becomes a contract with the schema that it has.

# %%
from interlock.tools.langchain import contract_from_tool


@tool
def search_orders(customer: str, limit: int = 5) -> list[str]:
    """Search the orders of a customer."""
    return [f"{customer}-{number}" for number in range(limit)]


searching = contract_from_tool(search_orders, kind="read", name="order.search")
print(searching.name, searching.annotations.to_json())
print(searching.input_schema())

# %% [markdown]
# ## Now you
#
# Give the agent `others=["drop_tables"]`, as in `desk().as_middleware(workflow_store=store, others=["drop_tables"])`, and run its
# cell again: a tool that the workflow does not know is then executed without the gate. Is that what you want for this one?
#
# Or give it `search_orders`: put `searching` among the tools of the state `open`, and see it offered.

# %%
LIMIT = 2

flow = Workflow(
    "finder",
    model=ScriptedChatModel([call("search_orders", customer="ada", limit=LIMIT), "Found them."]),
)
flow.add_state("open", tools=[searching])
flow.add_state("closed", final=True)
flow.add_edge("open", cancel, "closed")
found = flow.compile().invoke(
    {"messages": [("user", "What did Ada order?")]}, {"configurable": {"thread_id": "finder"}}
)
print(found["last_result"]["output"])
