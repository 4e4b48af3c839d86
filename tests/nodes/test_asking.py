"""Asking a person about a proposal, and going on with what they decide."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import Command

from interlock import Approval, ConflictError, Decision, DecisionKind, GuardView, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import PrincipalError
from tests.graphs.support import (
    ADA,
    BEN,
    Desk,
    Home,
    Note,
    Runner,
    answers,
    codes,
    dangling,
    interrupts,
    said,
    shown,
    thread,
    trail,
)

REFUND = call("order.refund", orderId="1", amount="5")


@pytest.mark.parametrize(
    "answer",
    [
        "approve",
        True,
        {"type": "approve"},
        {"type": "accept"},
        [{"type": "accept", "args": None}],
        {"decisions": [{"type": "approve"}]},
    ],
)
def test_an_approval_in_any_shape_carries_the_proposal_out(home: Home, run: Runner, desk: Desk, answer: Any) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    output = run(graph, said(), thread(), context=ADA)
    assert shown(output) == ["order.refund"]
    assert desk.ran == []
    output = run(graph, Command(resume=answer), thread(), context=BEN)
    assert (desk.ran, output["state"], codes(output)) == (["refund 1 5"], "closed", ["ok"])


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "edit", "args": {"orderId": "1", "amount": "4"}},
        {"type": "edit", "args": {"action": "order.refund", "args": {"orderId": "1", "amount": "4"}}},
        {
            "decisions": [
                {"type": "edit", "edited_action": {"name": "order_refund", "args": {"orderId": "1", "amount": "4"}}}
            ]
        },
    ],
)
def test_an_edit_in_any_shape_carries_out_what_was_edited(home: Home, run: Runner, desk: Desk, answer: Any) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    run(graph, said(), thread(), context=ADA)
    output = run(graph, Command(resume=answer), thread(), context=BEN)
    assert desk.ran == ["refund 1 4"]
    assert output["last_result"]["output"] == {"orderId": "1", "amount": "4"}


@pytest.mark.parametrize(
    "answer",
    [
        "reject",
        False,
        {"type": "reject", "message": "too much"},
        {"type": "ignore"},
        {"decisions": [{"type": "reject"}]},
    ],
)
def test_a_rejection_in_any_shape_is_answered_to_the_model_which_goes_on(
    home: Home, run: Runner, desk: Desk, answer: Any
) -> None:
    model = ScriptedChatModel([REFUND, "I understand."])
    graph = home.compile(desk.workflow(model, approval=True))
    run(graph, said(), thread(), context=ADA)
    output = run(graph, Command(resume=answer), thread(), context=BEN)
    assert (desk.ran, output["state"], codes(output)) == ([], "open", ["approval_rejected"])
    assert output["messages"][-1].content == "I understand."


def test_a_response_is_handed_to_the_model(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([REFUND, "Which one?"])
    graph = home.compile(desk.workflow(model, approval=True))
    run(graph, said(), thread(), context=ADA)
    output = run(graph, Command(resume={"type": "respond", "message": "Ask for the receipt."}), thread(), context=BEN)
    assert "Ask for the receipt." in answers(output)[0]["error"]["message"]
    assert desk.ran == []


def test_an_answer_may_name_its_interrupt_or_its_approval(home: Home, run: Runner, desk: Desk) -> None:
    for name in ("interrupt", "approval"):
        graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
        asked = next(interrupts(run(graph, said(), thread(name), context=ADA)))
        key = asked.id if name == "interrupt" else asked.value["approvalId"]
        output = run(graph, Command(resume={key: {"type": "approve"}}), thread(name), context=BEN)
        assert output["state"] == "closed"


def test_who_approves_does_not_become_who_asked(home: Home, run: Runner, desk: Desk) -> None:
    seen: list[str] = []

    def watched(view: GuardView) -> bool:
        seen.append(view.principal.id)
        return True

    model = ScriptedChatModel([call("order.hold", orderId="1"), call("note.add", text="after"), "done"])
    flow = desk.workflow(model)
    flow.add_edge("held", desk.add_note, "held", guard=watched, approval=True)
    graph = home.compile(flow)
    run(graph, said(), thread(), context=ADA)
    run(graph, Command(resume="approve"), thread(), context=BEN)
    transitions = [record for record in graph.instances.audit(thread()) if record.kind == "transition"]
    assert [record.principal_id for record in transitions] == ["ada", "ada"]
    assert [record.principal_id for record in graph.instances.audit(thread()) if record.kind == "decision"] == ["ben"]
    assert set(seen) == {"ada"}


def test_the_person_who_asked_cannot_approve(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=Approval(role="supervisor")))
    run(graph, said(), thread(), context=ADA)
    with pytest.raises(PrincipalError, match="nobody approves their own request"):
        run(graph, Command(resume="approve"), thread(), context=ADA)
    assert desk.ran == []
    assert run(graph, Command(resume="approve"), thread(), context=BEN)["state"] == "closed"


def test_several_approvals_of_one_message_are_asked_together_and_carried_out_in_order(
    home: Home, run: Runner, desk: Desk
) -> None:
    flow = desk.workflow(
        ScriptedChatModel([[call("order.get", orderId="1"), REFUND, call("order.hold", orderId="1")]]), approval=True
    )
    graph = home.compile(flow)
    assert shown(run(graph, said(), thread(), context=ADA)) == ["order.refund"]
    assert desk.ran == []
    output = run(graph, Command(resume="approve"), thread(), context=BEN)
    assert desk.ran == ["get 1", "refund 1 5"]
    assert codes(output) == ["ok", "ok", "superseded"]


@pytest.mark.parametrize("first", [0, 1])
def test_approvals_may_be_answered_one_at_a_time_and_nothing_runs_before_the_last(
    home: Home, run: Runner, desk: Desk, first: int
) -> None:
    flow = desk.workflow(ScriptedChatModel([[call("note.sign", text="a"), call("note.sign", text="b")], "done"]))
    signed = sign_tool(desk)
    flow.add_edge("open", signed, "open", approval=True)
    graph = home.compile(flow)
    asked = sorted(
        interrupts(run(graph, said(), thread(), context=ADA)), key=lambda one: one.value["arguments"]["text"]
    )
    assert [one.value["arguments"]["text"] for one in asked] == ["a", "b"]
    output = run(graph, Command(resume={asked[first].id: "approve"}), thread(), context=BEN)
    assert [one.value["arguments"]["text"] for one in interrupts(output)] == [
        asked[1 - first].value["arguments"]["text"]
    ]
    assert desk.ran == []
    output = run(graph, Command(resume={asked[1 - first].id: "approve"}), thread(), context=BEN)
    assert desk.ran == ["sign a", "sign b"]
    assert codes(output) == ["ok", "ok"]


def test_approvals_of_one_message_are_decided_each_for_itself(home: Home, run: Runner, desk: Desk) -> None:
    signs = [call("note.sign", text=text) for text in "abc"]
    flow = desk.workflow(ScriptedChatModel([signs, "done"]))
    flow.add_edge("open", sign_tool(desk), "open", approval=True)
    graph = home.compile(flow)
    asked = sorted(
        interrupts(run(graph, said(), thread(), context=ADA)), key=lambda one: one.value["arguments"]["text"]
    )
    resume = {asked[0].id: "approve", asked[1].id: "reject", asked[2].id: {"type": "edit", "args": {"text": "C"}}}
    output = run(graph, Command(resume=resume), thread(), context=BEN)
    assert desk.ran == ["sign a", "sign C"]
    assert sorted(codes(output)) == ["approval_rejected", "ok", "ok"]
    assert not dangling(output)


def test_a_proposal_that_would_be_denied_is_denied_and_nobody_is_asked(home: Home, run: Runner, desk: Desk) -> None:
    flow = desk.workflow(ScriptedChatModel([call("order.refund", orderId="1"), "I see"]), approval=True)
    output = run(home.compile(flow), said(), thread(), context=ADA)
    assert (shown(output), codes(output)) == ([], ["invalid_arguments"])


def test_an_approval_that_need_not_be_asked_for_passes(home: Home, run: Runner, desk: Desk) -> None:
    flow = desk.workflow(ScriptedChatModel([REFUND]), approval=Approval(when=lambda amount: amount > 100))
    output = run(home.compile(flow), said(), thread(), context=ADA)
    assert (shown(output), output["state"]) == ([], "closed")


def test_a_message_of_the_user_during_an_approval_asks_again_and_loses_nothing(
    home: Home, run: Runner, desk: Desk
) -> None:
    model = ScriptedChatModel([REFUND, "not reached before the decision"])
    graph = home.compile(desk.workflow(model, approval=True))
    before = next(interrupts(run(graph, said("refund"), thread(), context=ADA)))
    output = run(graph, said("hello? anybody?"), thread(), context=ADA)
    after = next(interrupts(output))
    assert after.value["approvalId"] == before.value["approvalId"]
    assert len(model.requests) == 1
    output = run(graph, Command(resume="approve"), thread(), context=BEN)
    assert (desk.ran, output["state"]) == (["refund 1 5"], "closed")
    assert not dangling(output)


def test_after_such_a_message_the_model_reads_each_answer_behind_its_call(home: Home, run: Runner, desk: Desk) -> None:
    flow = desk.workflow(model := ScriptedChatModel([call("note.sign", text="a"), "done"]))
    flow.add_edge("open", sign_tool(desk), "open", approval=True)
    graph = home.compile(flow)
    run(graph, said("sign"), thread(), context=ADA)
    run(graph, said("hello?"), thread(), context=ADA)
    run(graph, Command(resume="approve"), thread(), context=BEN)
    assert [message.type for message in model.seen[-1]] == ["human", "ai", "tool", "human"]


def test_a_decision_taken_outside_the_graph_is_found_when_it_goes_on(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    asked = next(interrupts(run(graph, said(), thread(), context=ADA)))
    graph.instances.decide(asked.value["approvalId"], Decision(DecisionKind.APPROVE), by=BEN)
    output = run(graph, None, thread())
    assert (desk.ran, output["state"]) == (["refund 1 5"], "closed")


def test_nothing_is_decided_on_what_the_workflow_has_moved_on_from(home: Home, run: Runner, desk: Desk) -> None:
    flow = desk.workflow(ScriptedChatModel([REFUND, "I see"]), approval=True)
    graph = home.compile(flow)
    run(graph, said(), thread(), context=ADA)
    assert graph.instances.execute(thread(), "order.hold", {"orderId": "1"}, principal=ADA)["ok"]
    with pytest.raises(ConflictError, match=r"moved on while order\.refund"):
        run(graph, Command(resume="approve"), thread(), context=BEN)
    output = run(graph, None, thread())
    assert (desk.ran, output["state"]) == (["hold 1"], "held")
    assert codes(output) not in ([], ["ok"])
    assert not dangling(output)


def test_the_trail_tells_who_proposed_who_decided_and_what_became_of_it(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    run(graph, said(), thread(), context=ADA)
    run(graph, Command(resume="approve"), thread(), context=BEN)
    assert [record[0] for record in trail(graph, thread())] == ["started", "approval", "decision", "transition"]
    assert graph.engine.store.verify(graph.instances.id_of(thread())) == []


def sign_tool(desk: Desk) -> Any:
    @command("note.sign", effect="transactional")
    def sign(text: str) -> Note:
        """Sign a note."""
        desk.ran.append(f"sign {text}")
        return Note(text=text)

    return sign
