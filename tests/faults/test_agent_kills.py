"""An agent of LangChain's with a workflow as its middleware, killed at its fault points: it ends as undisturbed all the same."""

from __future__ import annotations

import signal
from typing import Any

import sqlalchemy as sa
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.types import Command

from interlock import Principal, SQLCheckpointer, Workflow, WorkflowStore
from interlock.checkpointing.tables.workflow import ledger, outbox
from interlock.testing import Child, ScriptedChatModel, call, injected

from .kills import PRELOAD
from .workflows import BOSS, CLERK, Till, bookings, close_till, look, open_till, refuse, sell


def _next_calls(messages: list[BaseMessage], _: list[str]) -> Any:
    answers = sum(isinstance(message, ToolMessage) for message in messages)
    by_answers = {
        0: call("till.open"),
        1: [call("till.look"), call("till.sell", what="tea", amount="2.50")],
        3: call("till.refuse"),
        4: call("till.close"),
    }
    return by_answers.get(answers, "That is all.")


def go(url: str, thread: str) -> dict[str, Any]:
    """Go on with an agent until it has nothing more to say; what it left behind."""
    flow = Workflow("agents-till", data=Till)
    flow.add_state("closed")
    flow.add_state("open", tools=[look])
    flow.add_state("over", final=True)
    flow.add_edge("closed", open_till, "open")
    flow.add_edge("open", sell, "open")
    flow.add_edge("open", refuse, "over")
    flow.add_edge("open", close_till, "over", approval=True)
    with SQLCheckpointer(url) as saver:
        store = WorkflowStore(saver.database)
        gate = flow.as_middleware(workflow_store=store, initial_data={"thread": thread})
        agent: Any = create_agent(
            ScriptedChatModel(forever=_next_calls),
            tools=[],
            middleware=[gate],
            checkpointer=saver,
            context_schema=Principal,
        )
        config = {"configurable": {"thread_id": thread}}
        for _ in range(20):
            state = agent.get_state(config)
            if not state.values:
                agent.invoke({"messages": [("user", "go on")]}, config, context=CLERK)
            elif state.interrupts:
                waits = store.pending_approvals(gate.instances.id_of(config))
                answer = Command(resume={state.interrupts[0].id: {"type": "approve"}}) if waits else None
                agent.invoke(answer, config, context=BOSS if waits else CLERK)
            elif state.tasks:
                agent.invoke(None, config, context=CLERK)
            else:
                break
        instance = gate.instances.get(config)
        with store.read() as connection:
            entries = connection.execute(
                sa.select(ledger.c.tool, ledger.c.status).where(ledger.c.workflow_id == instance.workflow_id)
            ).all()
            sent = connection.scalars(sa.select(outbox.c.event_id).where(outbox.c.workflow_id == instance.workflow_id))
            booked = connection.scalars(sa.select(bookings.c.what).where(bookings.c.thread == thread))
            return {
                "state": instance.state,
                "revision": instance.revision,
                "done": instance.data["done"],
                "ledger": sorted((tool, status) for tool, status in entries),
                "events": len(sent.all()),
                "booked": sorted(booked.all()),
                "answers": [
                    (message.name, message.status)
                    for message in agent.get_state(config).values["messages"]
                    if isinstance(message, ToolMessage)
                ],
                "broken": store.verify(instance.workflow_id),
            }


def points(url: str, thread: str) -> list[str]:
    """The fault points that it comes to."""
    with injected() as reached:
        go(url, thread)
    return reached.points


def test_an_agent_that_is_killed_anywhere_ends_as_if_it_had_not_been(prepared_url: str) -> None:
    with Child(points, prepared_url, "undisturbed", preload=[*PRELOAD, "langchain.agents"]) as child:
        reached = child.result()
    with Child(go, prepared_url, "undisturbed") as child:
        whole = child.result()
    assert (whole["state"], whole["done"], whole["broken"]) == ("over", ["open", "tea", "close"], [])
    assert whole["booked"] == sorted(whole["done"])

    for number in range(1, len(reached), 4):
        thread = f"t-{number}"
        with Child(go, prepared_url, thread, kill_at=(None, number)) as child:
            # What is written in the background comes in another order each time, and one more or less of it.
            assert child.ended() == -signal.SIGKILL
        with Child(go, prepared_url, thread) as child:
            assert child.result() == whole, f"killed at {number}, {reached[number - 1]}"
