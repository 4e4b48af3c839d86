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
# # Approvals
#
# A case is to be moved to another queue, and a supervisor has to agree. The decision applies to exactly what was shown. The
# application says who decides, and the requester cannot.
#
# The case workflow is part of the package. Its picture shows who has to approve which call.

# %%
import logging

from interlock import Principal
from interlock.testing import ScriptedChatModel, call
from interlock.workflows.case import case_workflow, open_cases

# Everything here is kept in memory on purpose. Without this line, `compile` logs a warning each time.
logging.getLogger("interlock").setLevel(logging.ERROR)

model = ScriptedChatModel(
    [
        call("case.assign", caseId="77", queueId="billing", reason="asks about an invoice"),
        call("queue.reassign", queueId="delivery", reason="it is about a parcel"),
        "I moved the case to delivery.",
    ]
)
workflow = case_workflow(model)
graph = workflow.compile()
open_cases(graph.engine.store)
workflow

# %% [markdown]
# ## Step by step
#
# A stepper goes through a run one step at a time: a model's answer, one tool, one approval. It shows where the workflow stands,
# what may be called there, and what comes next.

# %%
AGENT, SUPERVISOR = Principal("ada"), Principal("grace", roles=frozenset({"supervisor"}))
config = {"configurable": {"thread_id": "case-77"}}

stepper = graph.stepper(config, context=AGENT)
stepper.say("Case 77 goes to billing.")

# %% [markdown]
# `watch` takes step after step and updates its picture in place, until the turn is over or somebody has to answer. The model assigns
# the case, which needs no approval, and then proposes to move it. The run stops there.

# %%
stepper.watch()

# %%
request = stepper.waits_for[0]
print(request["tool"], request["arguments"])
print("asked by", request["requestedBy"], "- to be decided by the role", request["rule"]["role"])

# %% [markdown]
# ## A card
#
# In a notebook, an approval is displayed as a card. With widgets it has buttons. It always has methods, and the buttons only call
# these.

# %%
card = graph.instances.card(request["approvalId"], by=AGENT)
card

# %% [markdown]
# Ada asked for this herself, so her answer is refused, and the refusal is recorded.

# %%
from interlock import InterlockError

try:
    card.approve()
except InterlockError as error:
    print(error.code, "-", error.message)

# %% [markdown]
# Grace may decide. She also may change the arguments; the edited call goes through the same gate as a proposal would.

# %%
card = graph.instances.card(request["approvalId"], by=SUPERVISOR)
try:
    card.edit(queueId="archive")
except InterlockError as error:
    print(error.message)

print(card.edit(reason="the parcel never arrived"))
print(graph.instances.get(config).data)

# %% [markdown]
# ## Two things, in two places
#
# The conversation and the state of the workflow are stored separately. If you erase the left side, the right side remains.

# %%
graph.side_by_side(config)

# %% [markdown]
# ## What is known afterwards
#
# The record shows which proposals were approved unchanged, which were edited or rejected, and why. Use it to improve the next
# prompt, or the next model.

# %%
for row in graph.instances.outcomes():
    print(
        {
            name: row[name]
            for name in ("tool", "proposals", "accepted", "edited", "rejected")
            if name in row
        }
    )

for record in graph.instances.audit(config):
    print(
        record.number,
        record.kind.value,
        record.tool or "",
        record.code or "",
        "by",
        record.principal_id,
    )

# %% [markdown]
# ## Now you
#
# Let two supervisors agree: below the rule says `count=1`. Change it to 2, run the cell, and see that the first yes is not enough.
# Then try `on_expiry` and `within`.

# %%
from pydantic import BaseModel

from interlock import Approval, Workflow, command


class Written(BaseModel):
    amount: int


@command("debt.write_off", effect="transactional")
def write_off(amount: int) -> Written:
    """Write a debt off."""
    return Written(amount=amount)


COUNT = 1

books = Workflow("books", model=ScriptedChatModel([call("debt.write_off", amount=500)]))
books.add_state("open")
books.add_state("closed", final=True)
books.add_edge("open", write_off, "closed", approval=Approval(role="supervisor", count=COUNT))
ledger = books.compile()
mine = {"configurable": {"thread_id": "debt-1"}}
paused = ledger.invoke({"messages": [("user", "Write it off.")]}, mine, context=AGENT)
asked = paused["__interrupt__"][0].value
for supervisor in ("grace", "hedy"):
    if ledger.instances.get(mine).state == "open":
        who = Principal(supervisor, roles=frozenset({"supervisor"}))
        print(ledger.instances.card(asked["approvalId"], by=who).approve())
print("now in", ledger.instances.get(mine).state)
