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
# # Operating it
#
# What the platform team does: look at the record and check that nobody changed it, read the statistics of the tools, erase what must be erased,
# and resolve interrupted attempts.

# %%
import logging
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from interlock import Principal, SQLCheckpointer, Workflow, command
from interlock.testing import ScriptedChatModel, call

# The payment below fails on purpose. Without this line, its traceback would be printed below the cell.
logging.getLogger("interlock").setLevel(logging.CRITICAL)


class Receipt(BaseModel):
    number: str


class Done(BaseModel):
    order_id: str


bank_answers = False
charged: list[str] = []


@command("card.charge", effect="at_most_once")
def charge(order_id: str) -> Receipt:
    """Charge the customer's card at the bank."""
    charged.append(order_id)
    if not bank_answers:
        raise TimeoutError("the bank did not answer")
    return Receipt(number="R-1")


@command("order.ship", effect="transactional")
def ship(order_id: str) -> Done:
    """Hand the order to the carrier."""
    return Done(order_id=order_id)


flow = Workflow(
    "checkout",
    model=ScriptedChatModel([call("card.charge", orderId="W1"), call("order.ship", orderId="W1")]),
)
flow.add_state("open")
flow.add_state("paid")
flow.add_state("shipped", final=True)
flow.add_edge("open", charge, "paid")
flow.add_edge("paid", ship, "shipped")

folder = tempfile.TemporaryDirectory()
saver = SQLCheckpointer(f"sqlite:///{Path(folder.name) / 'checkout.db'}")
graph = flow.compile(saver)
config = {"configurable": {"thread_id": "W1"}}

# %% [markdown]
# ## An attempt of unknown outcome
#
# The bank did not answer. Was the card charged? Interlock cannot know, and the contract says that the call must not be repeated.
# Therefore nothing is repeated: the workflow stops, and a person has to find out.

# %%
stopped = graph.invoke({"messages": [("user", "Check out W1.")]}, config, context=Principal("ada"))
waiting = stopped["__interrupt__"][0].value
print(waiting["type"], "-", waiting["tool"], "- calls to the bank:", len(charged))

graph.instances.picture(config)

# %% [markdown]
# The bank's records show that the charge happened. `interlock resolve` does the same at the command line.

# %%
graph.instances.resolve(
    config,
    "happened",
    by=Principal("op"),
    output=Receipt(number="R-77"),
    note="seen in the bank's books",
)
done = graph.instances.resume(config)
print(done["state"], "- calls to the bank:", len(charged))

# %% [markdown]
# ## The record
#
# Every step is there, chained by hashes. `interlock audit INSTANCE --verify` verifies the chain.

# %%
timeline = graph.instances.timeline(config)
frame = timeline.to_frame()
print(frame[["kind", "tool", "state", "principal"]].fillna("").to_string(index=False))

# %%
store = graph.engine.store
workflow_id = graph.instances.id_of(config)
print("whole:", store.verify(workflow_id) == [])

# %% [markdown]
# Now somebody changes a row secretly:

# %%
import sqlalchemy as sa

with store.database.write() as connection:
    connection.execute(
        sa.text("UPDATE workflow_audit SET principal_id = 'nobody' WHERE kind = 'resolution'")
    )

for broken in store.verify(workflow_id):
    print("record", broken.number, broken.problem)

# %%
with store.database.write() as connection:
    connection.execute(
        sa.text("UPDATE workflow_audit SET principal_id = 'op' WHERE kind = 'resolution'")
    )
print("whole again:", store.verify(workflow_id) == [])

# %% [markdown]
# ## What a step changed
#
# Two checkpoints of a thread differ in the conversation and in the state of the workflow. This shows the changes since it stopped.

# %%
before = next(one for one in graph.get_state_history(config) if one.values.get("state") == "open")
difference = graph.compare(before.config, graph.get_state(config).config)
for change in difference.changes:
    if not change.path.startswith("last_result"):
        print(change.path, ":", change.before, "->", change.after)
print("said since:", [message.type for message in difference.said])

# %% [markdown]
# ## Erasing a conversation
#
# The conversation is stored in separate tables. Erase it, and the workflow still knows its state.

# %%
saver.erase_conversation("W1")
print(
    "said:",
    [message.text for message in graph.get_state(config).values["messages"]][:1],
    "- state:",
    graph.instances.get(config).state,
)

# %% [markdown]
# ## Statistics of the tools

# %%
for row in graph.instances.tool_stats():
    print(
        {
            name: row[name]
            for name in ("tool", "completed", "failed", "denied", "unknown")
            if name in row
        }
    )

# %% [markdown]
# ## Now you
#
# Say that it did *not* happen: `FOUND = "retry"` lets the charge be tried again, `"failed"` gives it up and tells the model. Change
# it, and count the calls to the bank.

# %%
FOUND: Literal["happened", "retry", "failed"] = "happened"

charged.clear()
again = {"configurable": {"thread_id": "W2"}}
flow = Workflow(
    "checkout",
    model=ScriptedChatModel(
        forever=lambda messages, offered: (
            call("card.charge", orderId="W2") if "card_charge" in offered else "Done."
        )
    ),
)
flow.add_state("open")
flow.add_state("paid")
flow.add_state("shipped", final=True)
flow.add_edge("open", charge, "paid")
flow.add_edge("paid", ship, "shipped")
second = flow.compile(saver)
second.invoke({"messages": [("user", "Check out W2.")]}, again, context=Principal("ada"))
bank_answers = True
output = Receipt(number="R-78") if FOUND == "happened" else None
second.instances.resolve(again, FOUND, by=Principal("op"), output=output)
second.instances.resume(again)
print(second.instances.get(again).state, "- calls to the bank:", len(charged))

# %%
saver.database.close()
folder.cleanup()
