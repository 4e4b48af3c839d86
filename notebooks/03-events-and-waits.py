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
# # Events and waits
#
# One tool call is not one business action. Here one command asks for a message over two channels. It only states the intent:
# two events leave through the outbox when its transaction commits. Other programs send the messages, and the workflow waits. At
# any time, it knows what was delivered and what was not. An event or a deadline ends the wait, whichever comes first.

# %%
import datetime as dt
import logging
from typing import Any

from interlock import WorkflowGraph, WorkflowStore
from interlock.testing import ScriptedChatModel, call
from interlock.workflows.engagement import engagement_workflow

# Everything here is kept in memory on purpose. Without this line, `compile` logs a warning each time.
logging.getLogger("interlock").setLevel(logging.ERROR)


class Clock:
    """A clock that is set by hand: in a notebook nobody wants to wait for two hours."""

    now = int(dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC).timestamp() * 1_000_000)

    def __call__(self, connection: object) -> int:
        return self.now

    def forward(self, **parts: float) -> None:
        self.now += int(dt.timedelta(**parts).total_seconds() * 1_000_000)


clock = Clock()


def engagement(thread: str) -> tuple[WorkflowGraph, dict[str, Any]]:
    """A fresh instance that has asked for a message by SMS and e-mail."""
    request = call(
        "engagement.send", customerId="c-1", template="welcome", channels=["sms", "email"]
    )
    graph = engagement_workflow(ScriptedChatModel([request])).compile(
        workflow_store=WorkflowStore.in_memory(clock=clock)
    )
    config = {"configurable": {"thread_id": thread}}
    graph.invoke({"messages": [("user", "Welcome the customer c-1.")]}, config)
    return graph, config


graph, config = engagement("first")
graph.instances.picture(config)

# %% [markdown]
# ## The workflow waits, and says for what


# %%
def where(graph: WorkflowGraph, config: dict[str, Any]) -> None:
    """State, and the progress of the wait."""
    snapshot = graph.instances.snapshot(config)
    progress = [wait["progress"] for wait in snapshot.waits]
    print(snapshot.state, progress, graph.instances.get(config).data["reached"])


where(graph, config)

# %% [markdown]
# ## Events come in
#
# In production a subscription delivers what arrives on NATS, RabbitMQ, Redis or Kafka (`interlock subscribe`). `deliver` is the
# same entry point for code. An event is processed once, by its ID; a duplicate changes nothing.

# %%
from interlock import deliver
from interlock.workflows.engagement import MessageDelivered

workflow_id = graph.instances.id_of(config)

first = deliver(
    MessageDelivered(customer_id="c-1", channel="sms"), to=graph, workflow_id=workflow_id
)
print(first.status.value)
where(graph, config)

second = deliver(
    MessageDelivered(customer_id="c-1", channel="email"), to=graph, workflow_id=workflow_id
)
print(second.status.value)
where(graph, config)

# %% [markdown]
# ## Or the deadline
#
# No process has to wait for a deadline: `interlock tick`, or `graph.instances.tick()` in any process, handles what is due by the
# database's clock. Here the answer never comes, and three hours pass.

# %%
graph, config = engagement("second")
clock.forward(hours=3)
graph.instances.tick()
where(graph, config)
graph.instances.picture(config)

# %% [markdown]
# Its timeline shows how long each step took. No process was busy in those three hours.

# %%
graph.instances.timeline(config)

# %% [markdown]
# ## What left
#
# Every event has its name, its version and its origin.

# %%
for record in graph.instances.audit(config):
    if record.kind.value == "event_out" and record.payload is not None:
        print(record.payload["eventName"])

# %% [markdown]
# ## Now you
#
# `ARRIVES_AFTER` is when the two answers come in. Set it to 3 hours and run the cell: then the deadline is first, and exactly one
# branch is taken.

# %%
ARRIVES_AFTER = dt.timedelta(hours=1)

graph, config = engagement("third")
clock.forward(seconds=ARRIVES_AFTER.total_seconds())
graph.instances.tick()
for channel in ("sms", "email"):
    deliver(
        MessageDelivered(customer_id="c-1", channel=channel),
        to=graph,
        workflow_id=graph.instances.id_of(config),
    )
where(graph, config)
