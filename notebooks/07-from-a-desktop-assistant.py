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
# An assistant on somebody's desktop works on a case, through the Model Context Protocol. We do not control the assistant: it may call any tool at
# any time, and repeat calls. The workflow decides what is executed, and a supervisor approves one step.
#
# The official SDK's client plays the assistant. It sees what any assistant sees.

# %%
import json
import logging
from typing import Any

from mcp.client.client import Client
from mcp.types import TextResourceContents

from interlock import Principal
from interlock.mcp import WorkflowServer
from interlock.workflows.case import case_workflow, open_cases

# Everything here is kept in memory on purpose. Without this line, `compile` logs a warning each time.
logging.getLogger("interlock").setLevel(logging.ERROR)

graph = case_workflow().compile()  # without a model: the one who reasons is outside
open_cases(graph.engine.store)

server = WorkflowServer(graph, principal=Principal("ada"))
graph.picture()

# %% [markdown]
# ## What the assistant is given
#
# There is one list of tools, the same in every state. Each tool has a schema of its input, which includes the instance and, if the tool
# changes it, the revision on which the assistant based the call; and a schema of its output.

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
# The assistant starts an instance and gets a handle, `workflowId`, which it passes with each call. It tries to close the case at once. That is
# not allowed yet, and the answer lists what is.

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
# Suppose the answer was lost, and the assistant sends the same call again. The case is assigned once; the assistant gets the stored result.

# %%
again = await call(
    "case_assign", workflowId=case, expectedRevision=0, caseId="77", queueId="billing"
)

# %% [markdown]
# ## A supervisor agrees
#
# To move the case to another queue, a supervisor has to agree. In the answer, `ok` is null, and `pending` says who decides.
# No tool can approve it.

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
# When the assistant next asks for the result of its proposal, the call is executed: once, and exactly as it was shown.

# %%
moved = await call("workflow_proposal", proposalId=proposal)

# %% [markdown]
# ## What is left
#
# Resources show the current state of the instance, and its trail shows who did what, including the denied call.

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
