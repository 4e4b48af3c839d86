"""What users of LangGraph know works as they know it."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import Command

from interlock import WorkflowGraph
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import ADA, BEN, Desk, Home, interrupts, said, shown, thread

REFUND = call("order.refund", orderId="1", amount="5")
HOLD = call("order.hold", orderId="1")


def test_a_config_can_be_bound_and_the_copy_is_a_workflow_too(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True)).with_config(thread("bound"))
    assert isinstance(graph, WorkflowGraph)
    assert shown(graph.invoke(said(), context=ADA)) == ["order.refund"]
    assert graph.invoke(Command(resume="approve"), context=BEN)["state"] == "closed"
    assert graph.instances.get(thread("bound")).state == "closed"


def test_a_copy_shares_the_engine(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([HOLD, "ok"])))
    copied = graph.copy({"name": "other"})
    assert (type(copied), copied.engine, copied.name) == (WorkflowGraph, graph.engine, "other")
    assert copied.invoke(said(), thread())["state"] == "held"


@pytest.mark.parametrize("mode", ["values", "updates", "custom", "messages", "debug", "tasks", "checkpoints"])
def test_every_stream_mode_streams(sql: Home, desk: Desk, mode: Any) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))
    assert list(graph.stream(said(), thread(), stream_mode=mode))
    assert graph.instances.get(thread()).state == "held"


@pytest.mark.parametrize("mode", ["values", "updates", "custom", "messages", "debug", "tasks", "checkpoints"])
async def test_every_stream_mode_streams_asynchronously(sql: Home, desk: Desk, mode: Any) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))
    assert [chunk async for chunk in graph.astream(said(), thread(), stream_mode=mode)]
    assert graph.instances.get(thread()).state == "held"


def test_typed_events_tell_of_transitions_reads_denials_and_approvals(sql: Home, desk: Desk) -> None:
    script = [call("order.get", orderId="1"), call("nonsense"), call("note.add", text="a"), REFUND]
    graph = sql.compile(desk.workflow(ScriptedChatModel(script), approval=True))
    events = list(graph.stream(said(), thread(), stream_mode="custom", context=ADA))
    assert [(event["type"], event["tool"]) for event in events] == [
        ("interlock.read", "order.get"),
        ("interlock.denial", "nonsense"),
        ("interlock.transition", "note.add"),
        ("interlock.approval", "order.refund"),
    ]
    assert all(event["schemaVersion"] == 1 for event in events)
    resumed = list(graph.stream(Command(resume="approve"), thread(), stream_mode="custom", context=BEN))
    assert [(event["type"], event["result"]["currentState"]) for event in resumed] == [
        ("interlock.transition", "closed")
    ]


async def test_events_of_langchain_name_the_nodes(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))
    events = [event async for event in graph.astream_events(said(), thread(), version="v2")]
    started = [event["name"] for event in events if event["event"] == "on_chain_start"]
    assert {"desk", "open", "open/order.hold", "held"} <= set(started)
    assert any(event["event"] == "on_chat_model_end" for event in events)


def test_the_models_words_are_streamed_as_they_come(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel(["It is on its way to you now."])))
    chunks = [
        chunk.content for chunk, _ in graph.stream(said(), thread(), stream_mode="messages") if chunk.type != "human"
    ]
    assert "".join(chunks) == "It is on its way to you now."
    assert len(chunks) > 1


def test_the_state_of_a_thread_shows_what_waits(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    asked = next(interrupts(graph.invoke(said(), thread(), context=ADA)))
    state = graph.get_state(thread())
    assert state.next == ("open/order.refund/approval",)
    assert [one.id for one in state.interrupts] == [asked.id]
    assert (state.values["state"], state.values["next_allowed_tools"][-1]) == ("open", "order.refund")


async def test_state_and_history_read_asynchronously_too(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))
    await graph.ainvoke(said(), thread())
    state = await graph.aget_state(thread())
    history = [past async for past in graph.aget_state_history(thread())]
    assert (state.values["state"], state.next) == ("held", ())
    assert [past.next for past in history] == [(), ("held",), ("open/order.hold",), ("open",), ("__start__",)]
    assert [past.config for past in history] == [past.config for past in graph.get_state_history(thread())]


def test_messages_can_be_updated_from_outside(sql: Home, desk: Desk) -> None:
    model = ScriptedChatModel(["hello", "I remember"])
    graph = sql.compile(desk.workflow(model))
    graph.invoke(said(), thread())
    graph.update_state(thread(), {"messages": [("user", "By the way, I am Ada.")]})
    graph.invoke(said("who am I?"), thread())
    assert [message.content for message in model.seen[-1]] == ["hello", "hello", "By the way, I am Ada.", "who am I?"]


def test_a_batch_runs_each_thread_for_itself(sql: Home, desk: Desk) -> None:
    graph = sql.compile(
        desk.workflow(ScriptedChatModel(forever=lambda messages, offered: HOLD if "order_hold" in offered else "ok"))
    )
    outputs = graph.batch([said(), said(), said()], [thread(name) for name in "abc"])
    assert [output["state"] for output in outputs] == ["held"] * 3


def test_the_input_schema_shows_what_a_caller_gives_and_the_output_schema_what_it_gets(
    memory: Home, desk: Desk
) -> None:
    graph = memory.compile(desk.workflow(ScriptedChatModel()))
    assert set(graph.get_input_jsonschema()["properties"]) == {"messages", "data"}
    assert set(graph.get_output_jsonschema()["properties"]) == {
        "messages",
        "workflow_id",
        "state",
        "revision",
        "data",
        "next_allowed_tools",
        "last_result",
    }


def test_a_run_can_be_held_before_a_node_and_go_on(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])), interrupt_before=["open/order.hold"])
    graph.invoke(said(), thread())
    assert (desk.ran, graph.get_state(thread()).next) == ([], ("open/order.hold",))
    assert graph.invoke(None, thread())["state"] == "held"


def test_an_instance_can_be_looked_at_from_outside(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    graph.invoke(said(data={"notes": 2}), thread(), context=ADA)
    snapshot = graph.instances.snapshot(thread()).to_json()
    assert (snapshot["workflow"], snapshot["state"], snapshot["revision"]) == ("desk", "open", 0)
    assert snapshot["data"] == {"notes": 2, "limit": "100"}
    assert snapshot["nextAllowedTools"] == ["order.get", "note.add", "order.flag", "order.hold", "order.refund"]
    assert [one["tool"] for one in snapshot["pendingApprovals"]] == ["order.refund"]
