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
# # Debugging in LangSmith
#
# A trace shows the state of the workflow in each run, what was denied and why, and who decided. From each run you can get to the
# audit record, and back. With an account, set `LANGSMITH_TRACING=true` and look there. Here a local sink takes what
# LangSmith's own client sends, so that nothing leaves this machine.

# %%
import logging

from langgraph.types import Command
from langsmith import tracing_context

from interlock import Principal
from interlock.testing import ScriptedChatModel, TraceSink, call
from interlock.workflows.case import case_workflow, open_cases

# Everything here is kept in memory on purpose. Without this line, `compile` logs a warning each time.
logging.getLogger("interlock").setLevel(logging.ERROR)

sink = TraceSink()
client = sink.client()

model = ScriptedChatModel(
    [
        call("case.close", resolution="done"),
        call("case.assign", caseId="77", queueId="billing"),
        call("queue.reassign", queueId="delivery", reason="a parcel"),
        "Moved.",
    ]
)
graph = case_workflow(model).compile()
open_cases(graph.engine.store)
config = {"configurable": {"thread_id": "case-77"}}
ADA, GRACE = Principal("ada"), Principal("grace", roles=frozenset({"supervisor"}))

with tracing_context(enabled=True, client=client, project_name="cases"):
    graph.invoke({"messages": [("user", "Case 77 goes to billing.")]}, config, context=ADA)
    graph.invoke(Command(resume={"type": "approve"}), config, context=GRACE)
client.flush()

# %% [markdown]
# ## The tree
#
# An interrupted node is not an error, a resumed run names the run that it continues, and a denial is shown as one.

# %%
roots = [run for run in sink.runs if run.parent_id is None]
for root in roots:
    print(root.name)
    for run in sink.runs:
        if run.parent_id == root.id and run.name != "__start__":
            print("   ", run.name, "" if run.error is None else "ERROR")

# %% [markdown]
# ## Why was that tool not offered?
#
# The run of a denial has the code and the reason; each state's run says what could be called next.

# %%
denied = sink.find("denied: case.close")
assert denied is not None
print(
    denied.metadata["denial_code"],
    "in",
    denied.metadata["state_before"],
    "- next:",
    denied.metadata["next_allowed_tools"],
)
print(denied.metadata["denial_reason"])

# %% [markdown]
# ## From the trace to the record, and back
#
# `interlock trace INSTANCE` and `interlock audit --trace ID` do the same at the command line.

# %%
from interlock.tracing import reference_in

for record in graph.instances.audit(config):
    reference = reference_in(record)
    print(
        record.number,
        record.kind.value,
        record.tool or "",
        "->",
        sink.run(reference.run).name if reference and reference.run else "untraced",
    )

# %%
client.close()
sink.close()

# %% [markdown]
# ## Now you
#
# `sensitive` fields of a contract are masked before anything is sent. Below, the card number is marked; remove the mark, run
# the cell, and see what a trace would have contained.

# %%
from pydantic import BaseModel

from interlock import Workflow, command

SENSITIVE = ["card"]


class Paid(BaseModel):
    amount: int


@command("order.pay", effect="transactional", sensitive=SENSITIVE)
def pay(amount: int, card: str) -> Paid:
    """Pay with a card."""
    return Paid(amount=amount)


shop = Workflow(
    "shop", model=ScriptedChatModel([call("order.pay", amount=5, card="4929 1111 2222 3333")])
)
shop.add_state("open")
shop.add_state("paid", final=True)
shop.add_edge("open", pay, "paid")
with TraceSink() as watched:
    client = watched.client()
    with tracing_context(enabled=True, client=client):
        shop.compile().invoke(
            {"messages": [("user", "Pay.")]}, {"configurable": {"thread_id": "pay"}}
        )
    client.flush()
    print("the card number was sent:", "4929 1111" in watched.text)
    client.close()
