"""What happens on a step: offered, proposed, judged, carried out, answered."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import Workflow
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import Desk, Home, Runner, answers, codes, dangling, said, thread, trail


def test_the_model_is_offered_the_tools_of_its_state_and_nothing_else(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([call("order.hold", orderId="1"), call("order.release", orderId="1"), "done"])
    run(home.compile(desk.workflow(model)), said(), thread())
    open_tools = ["order_get", "note_add", "order_flag", "order_hold", "order_refund"]
    assert model.offered == [open_tools, ["order_get", "order_release"], open_tools]


def test_a_command_is_answered_with_the_result_in_its_documented_shape(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([call("order.hold", orderId="1"), "done"])))
    output = run(graph, said(), thread())
    result = output["last_result"]
    assert result == {
        "ok": True,
        "workflowId": graph.instances.id_of(thread()),
        "previousState": "open",
        "currentState": "held",
        "revision": 1,
        "nextAllowedTools": ["order.get", "order.release"],
        "auditRef": result["auditRef"],
        "output": {"done": True},
    }
    assert [record.audit_ref for record in graph.instances.audit(thread())][-1] == result["auditRef"]


def test_the_model_reads_wire_names_and_the_caller_canonical_ones(home: Home, run: Runner, desk: Desk) -> None:
    output = run(
        home.compile(desk.workflow(ScriptedChatModel([call("order.hold", orderId="1"), "done"]))), said(), thread()
    )
    assert answers(output)[0]["nextAllowedTools"] == ["order_get", "order_release"]
    assert output["last_result"]["nextAllowedTools"] == ["order.get", "order.release"]
    assert output["next_allowed_tools"] == ["order.get", "order.release"]


def test_the_output_shows_where_the_instance_stands(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([call("note.add", text="a"), "done"])))
    output = run(graph, said(data={"notes": 4}), thread())
    assert {name: output[name] for name in ("state", "revision", "data")} == {
        "state": "open",
        "revision": 1,
        "data": {"notes": 5, "limit": "100"},
    }
    row = graph.instances.get(thread())
    assert (row.state, row.revision, row.data) == (output["state"], output["revision"], output["data"])


def test_a_read_changes_nothing_and_is_recorded(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([call("order.get", orderId="1"), "done"])))
    output = run(graph, said(), thread())
    assert output["revision"] == 0
    assert answers(output)[0]["output"] == {"orderId": "1", "total": "10"}
    assert trail(graph, thread()) == [("started", None, None), ("read", "order.get", None)]


@pytest.mark.parametrize(
    ("proposed", "code"),
    [
        (call("order.release", orderId="1"), "tool_not_allowed"),
        (call("order.delete", orderId="1"), "unknown_tool"),
        (call(""), "unknown_tool"),
        (call("x" * 300), "unknown_tool"),
        (call("order.hold"), "invalid_arguments"),
        (call("order.hold", orderId=["1"]), "invalid_arguments"),
        (call("order.hold", orderId="1", force=True), "invalid_arguments"),
        (call("order.hold", '{"orderId": 1'), "invalid_arguments"),
        (call("order.release", "nonsense"), "tool_not_allowed"),
    ],
)
def test_a_forbidden_call_is_denied_and_recorded_and_its_body_never_runs(
    home: Home, run: Runner, desk: Desk, proposed: Any, code: str
) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([proposed, "I see"])))
    output = run(graph, said(), thread())
    assert codes(output) == [code]
    assert desk.ran == []
    assert not dangling(output)
    assert [record[2] for record in trail(graph, thread())] == [None, code]
    assert (output["state"], output["revision"]) == ("open", 0)
    assert output["last_result"]["nextAllowedTools"] == [
        "order.get",
        "note.add",
        "order.flag",
        "order.hold",
        "order.refund",
    ]


def test_a_denial_says_what_may_be_called_in_the_words_of_the_model(memory: Home, desk: Desk) -> None:
    graph = memory.compile(desk.workflow(ScriptedChatModel([call("order.release", orderId="1"), "I see"])))
    message = answers(graph.invoke(said(), thread()))[0]["error"]["message"]
    assert "order_release may not be called in the state 'open'" in message
    assert "order_get, note_add, order_flag, order_hold, order_refund" in message


def test_the_models_next_call_sees_the_answer_directly_behind_its_proposal(memory: Home, desk: Desk) -> None:
    model = ScriptedChatModel([call("order.get", orderId="1"), "done"])
    memory.compile(desk.workflow(model, prompt="Be kind.")).invoke(said(), thread())
    assert [message.type for message in model.seen[1]] == ["system", "human", "ai", "tool"]


def test_a_tool_that_says_no_is_answered_with_its_reason_and_nothing_is_kept(
    home: Home, run: Runner, desk: Desk
) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([call("note.add", text="refuse"), "I see"])))
    output = run(graph, said(), thread())
    assert codes(output) == ["refused"]
    assert answers(output)[0]["error"]["details"] == {"reason": "bad_note"}
    assert output["data"] == {"notes": 0, "limit": "100"}
    assert output["revision"] == 0
    assert trail(graph, thread())[-1] == ("refusal", "note.add", "refused")


def test_a_read_that_says_no_or_breaks_is_an_answer_too(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(
        desk.workflow(
            ScriptedChatModel([[call("order.get", orderId="none"), call("order.get", orderId="broken")], "I see"])
        )
    )
    output = run(graph, said(), thread())
    assert sorted(codes(output)) == ["refused", "tool_failed"]
    assert "secret of the shop" not in str(output["messages"])


def test_doubled_and_empty_call_ids_are_repaired(home: Home, run: Runner, desk: Desk) -> None:
    twice = [
        call("order.get", orderId="1").with_id("same"),
        call("order.get", orderId="2").with_id("same"),
        call("order.get", orderId="3").with_id(""),
    ]
    output = run(home.compile(desk.workflow(ScriptedChatModel([twice, "done"]))), said(), thread())
    assert codes(output) == ["ok", "ok", "ok"]
    assert not dangling(output)


def test_turns_of_one_thread_go_on_where_the_last_one_ended(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel(
        [call("order.hold", orderId="1"), "on hold", call("order.release", orderId="1"), "released", "bye"]
    )
    graph = home.compile(desk.workflow(model))
    assert run(graph, said("hold it"), thread())["state"] == "held"
    assert run(graph, said("release it"), thread())["state"] == "open"
    output = run(graph, said("thanks"), thread())
    assert (output["state"], output["revision"]) == ("open", 2)
    assert model.offered[2] == ["order_get", "order_release"]
    assert len(model.seen[-1]) == 9


def test_threads_do_not_share_an_instance(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([call("order.hold", orderId="1"), "ok", "hello"])))
    assert run(graph, said(), thread("a"))["state"] == "held"
    assert run(graph, said(), thread("b"))["state"] == "open"
    assert graph.instances.id_of(thread("a")) != graph.instances.id_of(thread("b"))


def test_an_instance_can_be_named_by_the_application(memory: Home, desk: Desk) -> None:
    graph = memory.compile(desk.workflow(ScriptedChatModel([call("order.hold", orderId="1"), "ok"])))
    output = graph.invoke(said(), {"configurable": {"thread_id": "t", "workflow_id": "wf_723"}})
    assert output["workflow_id"] == "wf_723"
    assert graph.instances.get("wf_723").state == "held"


def test_an_event_tool_states_its_intent_in_the_outbox(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([call("order.flag", orderId="7"), "done"])))
    output = run(graph, said(), thread())
    assert codes(output) == ["ok"]
    assert [record[0] for record in trail(graph, thread())] == ["started", "transition", "event_out"]


def test_the_smallest_workflow_of_the_documentation_runs(memory: Home, desk: Desk) -> None:
    model = ScriptedChatModel([call("order.refund", orderId="1", amount="5"), "refunded"])
    flow = Workflow("desk", model=model)
    flow.add_state("open", tools=[desk.get_order])
    flow.add_state("closed", final=True)
    flow.add_edge("open", desk.refund, "closed", approval=True)
    graph = flow.compile()
    assert "__interrupt__" in graph.invoke(said(), thread())
    assert desk.ran == []
