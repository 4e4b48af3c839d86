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
# # From a desktop assistant
#
# An assistant on somebody's desktop works on a case, through the Model Context Protocol. It is not ours: it may call what it likes, at
# any time, and repeat itself. The workflow decides what comes of it, and a supervisor agrees in between.
#
# The official SDK's client stands in for the assistant. What it sees is what any assistant sees.

# %%
import json
import logging
from typing import Any

from mcp.client.client import Client
from mcp.types import TextResourceContents

from interlock import Principal
from interlock.mcp import WorkflowServer
from interlock.workflows.case import case_workflow, open_cases

# Everything here is kept in memory, which is meant: without this line `compile` says so each time.
logging.getLogger("interlock").setLevel(logging.ERROR)

graph = case_workflow().compile()  # without a model: the one who reasons is outside
open_cases(graph.engine.store)

server = WorkflowServer(graph, principal=Principal("ada"))
graph.picture()

# %% [markdown]
# ## What the assistant is given
#
# One list of tools, the same in every state. Each has a schema for what it takes, with the instance and, where it moves it, the revision
# that the assistant decided by; and one for what it gives.

# %%
async with Client(server.server) as assistant:
    for tool in (await assistant.list_tools()).tools:
        print(f"{tool.name:20}", *tool.input_schema.get("required", []))


# %%
async def call(name: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool as the assistant does, and show what matters of the answer."""
    async with Client(server.server) as assistant:
        answer = await assistant.call_tool(name, arguments)
        said: dict[str, Any] = answer.structured_content or {}
    for key in (
        "ok",
        "state",
        "currentState",
        "revision",
        "nextAllowedTools",
        "output",
        "replayed",
    ):
        if key in said:
            print(f"{key}:", said[key])
    if "error" in said:
        print("error:", said["error"]["code"], "-", said["error"]["message"])
    if "pending" in said:
        print(
            "pending:",
            said["pending"]["kind"],
            "by",
            said["pending"]["decidedBy"],
            said["pending"]["preview"],
        )
    return said


# %% [markdown]
# ## A case is assigned
#
# The assistant starts an instance and gets a handle, `workflowId`, which it passes with each call. It tries to close the case at once; that is
# not for now, and the answer says what is.

# %%
started = await call("workflow_start")
case = started["workflowId"]

# %%
denied = await call("case_close", workflowId=case, expectedRevision=0)

# %%
assigned = await call(
    "case_assign", workflowId=case, expectedRevision=0, caseId="77", queueId="billing"
)

# %% [markdown]
# The answer was lost on the way, says the assistant, and sends the same call again. The case was assigned once: it gets the stored result.

# %%
again = await call(
    "case_assign", workflowId=case, expectedRevision=0, caseId="77", queueId="billing"
)

# %% [markdown]
# ## A supervisor agrees
#
# To move the case to another queue, a supervisor has to agree. The answer is neither yes nor no: `ok` is null, and `pending` says who decides.
# There is no tool that approves.

# %%
waiting = await call("queue_reassign", workflowId=case, expectedRevision=1, queueId="delivery")

# %% [markdown]
# Meanwhile, the supervisor looks at the card: at her own desk, in an application of yours, or with an assistant of her own
# (`interlock mcp approve`). The assistant above has no part in it.

# %%
proposal = waiting["pending"]["proposalId"]
card = graph.instances.card(
    proposal, by=Principal("grace", roles=frozenset({"supervisor"})), resume=False
)
card

# %%
still = await call("workflow_proposal", proposalId=proposal)

# %%
graph.instances.decide(
    proposal, "approve", by=Principal("grace", roles=frozenset({"supervisor"}))
).status.value

# %% [markdown]
# The next time the assistant asks what became of its proposal, it is carried out: exactly what was shown, and once.

# %%
moved = await call("workflow_proposal", proposalId=proposal)

# %% [markdown]
# ## What is left
#
# Resources tell where the instance stands, and its trail says who did what. Each call of the assistant is there, the denied one too.

# %%
uri = f"interlock://workflows/case/instances/{case}/audit"
async with Client(server.server) as assistant:
    (content,) = (await assistant.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    trail = json.loads(content.text)
for record in trail:
    print(record["number"], record["kind"], record["tool"], record["code"], record["principalId"])

# %%
graph.instances.picture(case, principal=Principal("ada"))
