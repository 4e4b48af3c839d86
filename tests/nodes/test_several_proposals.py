"""Several proposals in one message: reads together, the others one after another, each judged where the one before left things."""

from __future__ import annotations

import threading

from interlock import Workflow, read
from interlock.rules import Limits
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import Desk, Home, Note, Runner, answers, codes, dangling, said, thread, trail


def test_reads_of_one_message_run_at_the_same_time(memory: Home) -> None:
    together = threading.Barrier(3, timeout=20)

    @read("stock.count")
    def count(item: str) -> Note:
        """Count what is in stock."""
        together.wait()
        return Note(text=item)

    flow = Workflow("stock", model=ScriptedChatModel([[call("stock.count", item=item) for item in "abc"], "counted"]))
    flow.add_state("open", tools=[count])
    flow.add_state("closed", final=True)
    flow.add_edge("open", Desk().refund, "closed")
    output = memory.compile(flow).invoke(said(), thread())
    assert [answer["output"]["text"] for answer in answers(output)] == ["a", "b", "c"]


def test_commands_of_one_message_run_one_after_another_in_their_order(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([[call("note.add", text=text) for text in "abcd"], "done"])))
    output = run(graph, said(), thread())
    assert desk.ran == ["note a", "note b", "note c", "note d"]
    assert (output["data"]["notes"], output["revision"]) == (4, 4)
    assert not dangling(output)


def test_what_the_state_after_a_command_does_not_allow_is_denied(home: Home, run: Runner, desk: Desk) -> None:
    message = [call("order.hold", orderId="1"), call("note.add", text="late"), call("order.get", orderId="1")]
    graph = home.compile(desk.workflow(ScriptedChatModel([message, "done"])))
    output = run(graph, said(), thread())
    assert codes(output) == ["ok", "tool_not_allowed", "ok"]
    assert desk.ran == ["hold 1", "get 1"]
    assert not dangling(output)


def test_what_was_not_offered_when_it_was_proposed_is_denied_even_where_it_is_allowed_by_then(
    home: Home, run: Runner, desk: Desk
) -> None:
    message = [call("order.hold", orderId="1"), call("order.release", orderId="1")]
    model = ScriptedChatModel([message, call("order.release", orderId="1"), "done"])
    graph = home.compile(desk.workflow(model))
    output = run(graph, said(), thread())
    assert codes(output) == ["ok", "tool_not_allowed", "ok"]
    assert "was not offered when it was called" in answers(output)[1]["error"]["message"]
    assert desk.ran == ["hold 1", "release 1"]


def test_reads_and_commands_mixed_keep_the_order_of_the_message(home: Home, run: Runner, desk: Desk) -> None:
    message = [
        call("order.get", orderId="1"),
        call("note.add", text="a"),
        call("order.get", orderId="2"),
        call("order.get", orderId="3"),
        call("order.hold", orderId="1"),
        call("order.get", orderId="4"),
    ]
    graph = home.compile(desk.workflow(ScriptedChatModel([message, "done"])))
    output = run(graph, said(), thread())
    assert desk.ran[:2] == ["get 1", "note a"]
    assert sorted(desk.ran[2:4]) == ["get 2", "get 3"]
    assert desk.ran[4:] == ["hold 1", "get 4"]
    assert codes(output) == ["ok"] * 6
    assert not dangling(output)


def test_a_denial_in_the_middle_does_not_stop_the_others(home: Home, run: Runner, desk: Desk) -> None:
    message = [call("note.add", text="a"), call("nonsense"), call("note.add"), call("note.add", text="b")]
    output = run(home.compile(desk.workflow(ScriptedChatModel([message, "done"]))), said(), thread())
    assert codes(output) == ["ok", "unknown_tool", "invalid_arguments", "ok"]
    assert output["data"]["notes"] == 2


def test_calls_that_cannot_be_read_are_answered_among_the_others(home: Home, run: Runner, desk: Desk) -> None:
    message = [call("note.add", "[1, 2"), call("note.add", text="a")]
    output = run(home.compile(desk.workflow(ScriptedChatModel([message, "done"]))), said(), thread())
    assert sorted(codes(output)) == ["invalid_arguments", "ok"]
    assert not dangling(output)


def test_what_is_left_over_in_a_final_state_is_answered_and_does_not_run(home: Home, run: Runner, desk: Desk) -> None:
    message = [
        call("order.refund", orderId="1", amount="5"),
        call("note.add", text="late"),
        call("order.get", orderId="1"),
        call("order.refund", orderId="2", amount="5"),
    ]
    model = ScriptedChatModel([message])
    graph = home.compile(desk.workflow(model))
    output = run(graph, said(), thread())
    assert codes(output) == ["ok", "superseded", "superseded", "superseded"]
    assert desk.ran == ["refund 1 5"]
    assert output["state"] == "closed"
    assert not dangling(output)
    assert [record[2] for record in trail(graph, thread())][2:] == ["superseded"] * 3


def test_a_message_with_too_many_calls_is_carried_out_up_to_the_bound(memory: Home, desk: Desk) -> None:
    message = [call("note.add", text=str(number)) for number in range(6)]
    flow = desk.workflow(ScriptedChatModel([message, "done"]), limits=Limits(proposals=4))
    output = memory.compile(flow).invoke(said(), thread())
    assert sorted(codes(output)) == ["ok"] * 4 + ["too_many_calls"] * 2
    assert output["data"]["notes"] == 4
