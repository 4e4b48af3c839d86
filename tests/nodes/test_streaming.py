"""What a run streams: typed events of what it did, and of its channels those of its output."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import Command

from interlock import (
    ApprovalEvent,
    CommandResult,
    DenialEvent,
    ErrorCode,
    Principal,
    ReadEvent,
    TransitionEvent,
    parse_event,
)
from interlock.nodes.channels import Output
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InvalidInput
from tests.graphs.support import ADA, BEN, Desk, Home, said, thread

REFUND = call("order.refund", orderId="1", amount="5")

OWN = set(Output.__annotations__)
SCRIPT: list[Any] = [call("order.get", orderId="1"), call("nonsense"), call("note.add", text="a"), REFUND, "done"]


async def chunks(graph: Any, given: Any, mode: Any, how: str, by: Principal = ADA, **options: Any) -> list[Any]:
    """Everything that a run streams."""
    if how == "astream":
        return [chunk async for chunk in graph.astream(given, thread(), context=by, stream_mode=mode, **options)]
    return list(graph.stream(given, thread(), context=by, stream_mode=mode, **options))


HOW = pytest.mark.parametrize("how", ["stream", "astream"])


@HOW
async def test_every_event_is_its_model_and_nothing_is_lost_between_the_two(sql: Home, desk: Desk, how: str) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel(SCRIPT), approval=True))
    sent = await chunks(graph, said(), "custom", how)
    sent += await chunks(graph, Command(resume="approve"), "custom", how, BEN)

    events = [parse_event(chunk) for chunk in sent]
    assert [type(event) for event in events] == [
        ReadEvent,
        DenialEvent,
        TransitionEvent,
        ApprovalEvent,
        TransitionEvent,
    ]
    assert [event.to_json() for event in events if event is not None] == sent
    read, denial, _, approval, done = events
    assert isinstance(read, ReadEvent)
    assert not read.replayed
    assert isinstance(denial, DenialEvent)
    assert denial.result.error.code is ErrorCode.UNKNOWN_TOOL
    assert isinstance(done, TransitionEvent)
    assert isinstance(done.result, CommandResult)
    assert done.result.current_state == graph.instances.get(thread()).state
    (asked,) = [record for record in graph.instances.audit(thread()) if record.kind.value == "approval"]
    assert isinstance(approval, ApprovalEvent)
    assert (approval.tool, approval.requested_by, approval.workflow_id) == ("order.refund", "ada", asked.workflow_id)


@HOW
async def test_an_approval_is_told_of_once_however_often_its_node_runs(sql: Home, desk: Desk, how: str) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([REFUND, "done"]), approval=True))
    sent = await chunks(graph, said(), "custom", how)
    sent += await chunks(graph, None, "custom", how)
    sent += await chunks(graph, Command(resume="approve"), "custom", how, BEN)
    assert [chunk["type"] for chunk in sent] == ["interlock.approval", "interlock.transition"]


def test_a_result_that_is_told_again_says_so(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([REFUND, "done"]), approval=True))
    list(graph.stream(said(), thread(), context=ADA))
    (approval,) = graph.instances.snapshot(thread()).pending_approvals
    graph.instances.decide(str(approval["approvalId"]), "approve", by=BEN)
    # Carried out, and the process dies before the checkpoint: the same proposal, under the same key, comes again.
    key = graph.get_state(thread()).values["progress"]["pending"][0]["key"]
    graph.instances.execute(thread(), "order.refund", REFUND.arguments, principal=ADA, idempotency_key=key)
    (event,) = [parse_event(chunk) for chunk in graph.stream(None, thread(), context=ADA, stream_mode="custom")]
    assert isinstance(event, TransitionEvent)
    assert event.replayed
    assert event.result.replayed


@HOW
async def test_values_and_updates_show_the_channels_of_the_output_and_no_others(
    sql: Home, desk: Desk, how: str
) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel(SCRIPT), approval=True))
    sent = await chunks(graph, said(), ["values", "updates"], how)
    sent += await chunks(graph, Command(resume="approve"), ["values", "updates"], how, BEN)

    shown = [set(chunk) for mode, chunk in sent if mode == "values"]
    assert shown
    assert all(channels <= {*OWN, "__interrupt__"} for channels in shown)
    given = [update for mode, chunk in sent if mode == "updates" for node, update in chunk.items() if node[:2] != "__"]
    parts = [
        part for update in given if update is not None for part in (update if isinstance(update, list) else [update])
    ]
    assert parts
    assert all(set(part) <= OWN for part in parts)


def test_who_asks_for_other_channels_is_given_them(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel(["hello"])))
    values = list(graph.stream(said(), thread(), context=ADA, stream_mode="values", output_keys=["state", "progress"]))
    assert set(values[-1]) == {"state", "progress"}


def test_what_others_write_to_the_stream_is_none_of_these_events() -> None:
    assert parse_event({"type": "progress", "percent": 4}) is None
    assert parse_event("half way") is None


def test_an_event_that_is_not_what_it_says_is_refused_and_said_where() -> None:
    with pytest.raises(InvalidInput, match=r"calls itself interlock\.read and does not fit: .*result: Field required"):
        parse_event({"type": "interlock.read", "schemaVersion": 1, "workflowId": "wf_1", "tool": "order.get"})


def test_what_a_later_version_adds_is_no_reason_to_fail(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([call("order.get", orderId="1"), "done"])))
    (chunk,) = graph.stream(said(), thread(), context=ADA, stream_mode="custom")
    assert parse_event({**chunk, "cost": 4}) == parse_event(chunk)


def test_the_value_of_an_interrupt_is_read_as_the_event_before_it(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([call("order.refund", REFUND.arguments)]), approval=True))
    sent = list(graph.stream(said(), thread(), context=ADA, stream_mode=["custom", "updates"]))
    (event,) = [parse_event(chunk) for mode, chunk in sent if mode == "custom"]
    (waiting,) = [chunk["__interrupt__"][0] for mode, chunk in sent if mode == "updates" and "__interrupt__" in chunk]
    assert isinstance(event, ApprovalEvent)
    assert parse_event(waiting.value) == event
