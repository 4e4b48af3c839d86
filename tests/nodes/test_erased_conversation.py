"""Nothing of where a workflow stands is in its conversation: erase that, and it goes on in the same state with the same tools."""

from __future__ import annotations

from langgraph.types import Command

from interlock import SQLCheckpointer
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import ADA, BEN, Desk, Home, Runner, said, shown, thread


def test_a_workflow_whose_conversation_was_erased_goes_on_where_it_was(sql: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel(
        [call("order.hold", orderId="1"), "on hold", call("order.release", orderId="1"), "released"]
    )
    graph = sql.compile(desk.workflow(model))
    before = run(graph, said("My name is Marigold."), thread())
    assert isinstance(sql.saver, SQLCheckpointer)
    sql.saver.erase_conversation("t-1")
    assert "Marigold" not in str(graph.get_state(thread()).values["messages"])
    assert graph.instances.snapshot(thread()).next_allowed_tools == tuple(before["next_allowed_tools"])
    output = run(graph, said("Release it."), thread())
    assert model.offered[2] == ["order_get", "order_release"]
    assert "Marigold" not in str(model.seen[2])
    assert (desk.ran, output["state"], output["revision"]) == (["hold 1", "release 1"], "open", 2)


def test_an_approval_outlives_the_conversation_it_came_from(sql: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([call("order.refund", orderId="1", amount="5")])
    graph = sql.compile(desk.workflow(model, approval=True))
    assert shown(run(graph, said("My name is Marigold."), thread(), context=ADA)) == ["order.refund"]
    assert isinstance(sql.saver, SQLCheckpointer)
    sql.saver.erase_conversation("t-1")
    output = run(graph, Command(resume="approve"), thread(), context=BEN)
    assert (desk.ran, output["state"]) == (["refund 1 5"], "closed")
