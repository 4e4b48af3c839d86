"""Looking at a run: its timeline, the conversation beside the state, what differs between checkpoints, and step by step."""

import json
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Approval, Principal, Workflow, WorkflowGraph, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InputError

ANN, BOB = Principal("ann"), Principal("bob")


class Done(BaseModel):
    ok: bool = True


class Data(BaseModel):
    refunds: int = 0


@read("order.get")
def get_order(order_id: str) -> Done:
    """Look."""
    return Done()


@command("order.refund", effect="transactional")
def refund(order_id: str) -> Done:
    """Refund."""
    return Done()


@command("order.close", effect="transactional")
def close(order_id: str) -> Done:
    """Close."""
    return Done()


CONFIG: Any = {"configurable": {"thread_id": "t"}}


def graph() -> WorkflowGraph:
    steps = [
        call("order.close", orderId="<1>"),
        call("order.get", orderId="1"),
        call("order.refund", orderId="1"),
        "refunded",
    ]
    workflow = Workflow("desk", model=ScriptedChatModel(steps), data=Data)
    workflow.add_state("open", tools=[get_order])
    workflow.add_state("refunded")
    workflow.add_state("closed", final=True)
    workflow.add_edge("open", refund, "refunded", approval=Approval())
    workflow.add_edge("refunded", close, "closed")
    return workflow.compile()


def ran() -> WorkflowGraph:
    made = graph()
    stepper = made.stepper(CONFIG, context=ANN).say("please")
    list(stepper.run())
    stepper.answer("approve", by=BOB)
    list(stepper.run())
    return made


def test_a_stepper_takes_one_node_at_a_time_and_says_what_is_waited_for() -> None:
    made = graph()
    stepper = made.stepper(CONFIG, context=ANN)

    visited = [stepper.say("please").next, *(one.next for one in stepper.run())]

    assert visited[-1] == ("open/order.refund/approval",)
    assert stepper.waits_for[0]["tool"] == "order.refund"
    assert "waits for an answer about order.refund" in str(stepper)
    stepper.answer("approve", by=BOB)
    assert len(list(stepper.run())) >= 1
    assert stepper.next == ()
    assert stepper.step().last["state"] == "refunded"
    assert set(stepper._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}


def test_a_long_run_is_watched_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    stepper = graph().stepper(CONFIG, context=ANN).say("please")
    following: list[tuple[str, ...]] = []

    stepper.watch(lambda one: following.append(one.next))

    assert following[0] == ("open",)
    assert following[-1] == ("open/order.refund/approval",)
    assert capsys.readouterr().out == ""
    stepper.answer("approve", by=BOB)
    stepper.watch()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "workflow desk v1, now in refunded; the turn is over"


def test_a_timeline_tells_what_happened_with_reasons_and_who_decided() -> None:
    timeline = ran().instances.timeline(CONFIG)

    told = [(entry.kind, entry.tool, entry.state) for entry in timeline.entries]
    assert told == [
        ("started", None, "open"),
        ("denial", "order.close", "open"),
        ("read", "order.get", "open"),
        ("approval", "order.refund", "open"),
        ("decision", "order.refund", "open"),
        ("transition", "order.refund", "refunded"),
    ]
    assert timeline.entries[1].detail.startswith("tool_not_allowed: ")
    assert timeline.entries[4].detail == "approve by bob"
    assert timeline.entries[4].seconds == pytest.approx(
        (timeline.entries[4].at - timeline.entries[3].at).total_seconds()
    )
    assert "open → refunded" in str(timeline)


def test_a_timeline_is_a_figure_and_a_table() -> None:
    timeline = ran().instances.timeline(CONFIG)

    ET.fromstring(timeline.svg)
    assert set(timeline._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}
    frame = timeline.to_frame()
    assert list(frame["kind"]) == [row["kind"] for row in timeline.to_rows()]


def test_without_pandas_the_table_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    timeline = ran().instances.timeline(CONFIG)
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(InputError, match="langgraph-interlock"):
        timeline.to_frame()


def test_the_conversation_stands_beside_the_workflow_as_another_thing() -> None:
    panes = ran().side_by_side(CONFIG)

    ET.fromstring(panes.svg)
    assert [panes.messages[0].type, panes.messages[-1].text] == ["human", "refunded"]
    assert panes.standing["state"] == "refunded"
    assert "conversation\n  human: please" in str(panes)
    assert "  state: refunded" in str(panes)


def test_two_checkpoints_are_compared_by_what_was_said_and_what_changed() -> None:
    made = ran()
    history = list(made.get_state_history(CONFIG))
    asked = next(one for one in history if one.next == ("open/order.refund/approval",))

    difference = made.compare(asked.config, history[0].config)

    changed = {change.path: (change.before, change.after) for change in difference.changes}
    assert changed["state"] == ("open", "refunded")
    assert changed["revision"] == (0, 1)
    assert [message.type for message in difference.said] == ["tool", "ai"]
    assert difference.unsaid == ()
    assert "state: 'open' -> 'refunded'" in str(difference)
    assert "+ tool: order_refund: ok, now in refunded: " in str(difference)
    written = [element.text for element in ET.fromstring(difference.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert written.index("open") < written.index("refunded")
    assert set(difference._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}
    started = made.compare(history[-1].config, history[0].config)
    labels = [element.text for element in ET.fromstring(started.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "null" not in labels, "what the earlier checkpoint does not have takes no line"
    assert labels.count("conversation") == 1
    assert len(started.said) > 2
    nothing = made.compare(history[0].config, history[0].config)
    assert "nothing differs" in str(nothing)
    assert "nothing differs" in nothing.svg
    json.dumps(difference.to_rows(), default=str)
