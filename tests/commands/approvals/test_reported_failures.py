"""Failures that users of LangGraph and LangChain reported, played again here; each test is named after its report."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, hook_config
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from interlock import ConflictError
from interlock.testing import ScriptedChatModel, call
from interlock.tools import InvalidResume, ResumeError
from tests.commands.approvals.support import ADA, BEN, RULE, Home, Shop, answers, asked, kinds, refund, said, thread


def test_langgraph_6208_what_was_answered_is_not_run_again_while_others_wait(shop: Shop, home: Home) -> None:
    """A node with several interrupts is run again for each answer; here each has a node of its own, and its place in SQL."""
    graph = home.compile(shop.workflow([[refund("1"), refund("2"), refund("3")]], approval=RULE))
    shown = asked(graph.invoke(said(), thread(), context=ADA))
    for one in shown:
        graph.invoke(Command(resume={one["approvalId"]: "approve"}), thread(), context=BEN)
    assert shop.ran == ["refund 1 5", "refund 2 5", "refund 3 5"]
    assert kinds(graph, thread()).count("approval") == 3
    assert kinds(graph, thread()).count("decision") == 3


def test_langgraph_7780_asking_again_in_a_loop_takes_one_resume_for_each_answer(shop: Shop, home: Home) -> None:
    """Asked until the answer is good, LangGraph wanted more resumes than there were questions."""
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    for bad in ("perhaps", {"type": "edit", "args": {"orderId": "1", "amount": "a lot"}}, 7):
        with pytest.raises(InvalidResume):
            graph.invoke(Command(resume=bad), thread(), context=BEN)
    output = graph.invoke(Command(resume="approve"), thread(), context=BEN)
    assert asked(output) == []
    assert shop.ran == ["refund 1 5"]


async def test_langgraph_6533_answers_reach_the_call_that_they_are_meant_for(shop: Shop, home: Home) -> None:
    """Parallel tools that interrupted were given each other's answers."""
    graph = home.compile(shop.workflow([[refund("1"), refund("2")]], approval=RULE))
    output = await graph.ainvoke(said(), thread(), context=ADA)
    meant = {one["approvalId"]: {"type": "respond", "message": one["arguments"]["orderId"]} for one in asked(output)}
    output = await graph.ainvoke(Command(resume=meant), thread(), context=BEN)
    told = [(one.tool_call_id, str(one.content)) for one in output["messages"] if one.type == "tool"]
    calls = {one["id"]: one["args"]["orderId"] for one in output["messages"][1].tool_calls}
    assert len(told) == 2
    assert all(f"answers: {calls[call_id]}" in content for call_id, content in told)


def test_langgraph_6626_parallel_questions_have_ids_of_their_own(shop: Shop, home: Home) -> None:
    """Interrupts of parallel tools had one id, so that a map of answers had one entry."""
    graph = home.compile(shop.workflow([[refund("1"), refund("2"), refund("3")]], approval=RULE))
    interrupts = graph.invoke(said(), thread(), context=ADA)["__interrupt__"]
    assert len({one.id for one in interrupts}) == 3
    assert len({one.value["approvalId"] for one in interrupts}) == 3
    graph.invoke(Command(resume={one.id: True for one in interrupts}), thread(), context=BEN)
    assert len(shop.ran) == 3


def test_langgraph_8026_an_approval_is_bound_to_what_was_shown(shop: Shop, home: Home) -> None:
    """Asked for there: approval id, tool, arguments, context, decision, principal, expiry, and what came of it, in one record."""
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
    graph.instances.decide(shown["approvalId"], "approve", by=BEN)
    row = graph.engine.store.approval(shown["approvalId"])
    (decision,) = graph.engine.store.decisions(shown["approvalId"])
    assert (row.tool, row.arguments, row.state, row.requester.id) == (
        "order.refund",
        {"orderId": "1", "amount": "5"},
        "open",
        "ada",
    )
    assert row.digest.startswith("sha256:")
    assert row.expires_at is not None
    assert (decision.kind, decision.principal.id) == ("approve", "ben")
    shop.balance = shop.balance - 1  # a material change of what the approver saw
    assert answers(graph.instances.resume(thread())) == ["approval_void"]
    assert shop.ran == []


def test_langgraph_8579_a_plain_answer_is_not_taken_while_several_questions_wait(shop: Shop, home: Home) -> None:
    """LangGraph takes it where the questions stand in one subgraph, and gives it to either.

    The case with a parent graph is in `test_several_at_once`.
    """
    graph = home.compile(shop.workflow([[refund("1"), refund("2")]], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    with pytest.raises(ResumeError, match="answer each by its id"):
        graph.invoke(Command(resume={"type": "approve"}), thread(), context=BEN)
    assert shop.ran == []


class _JumpsToTheTools(AgentMiddleware):
    """A middleware with the documented jump, as in the report."""

    @hook_config(can_jump_to=["tools"])
    def after_model(self, state: Any, runtime: Any) -> Any:
        return {"jump_to": "tools"}


def test_langchain_40491_a_rejected_call_is_not_executed(shop: Shop, home: Home) -> None:
    """Another middleware that jumps to the tools executed what a person had just rejected. First as it is there, then here."""
    executed: list[str] = []

    @tool
    def order_refund(orderId: str, amount: str) -> str:
        """Refund an order."""
        executed.append(f"{orderId} {amount}")
        return "done"

    there = create_agent(
        ScriptedChatModel([refund(), "bye"]),
        [order_refund],
        middleware=[_JumpsToTheTools(), HumanInTheLoopMiddleware(interrupt_on={"order_refund": True})],
        checkpointer=InMemorySaver(),
    )
    config: Any = {**thread(), "recursion_limit": 8}
    there.invoke({"messages": [("user", "please")]}, config)
    try:
        there.invoke(Command(resume={"decisions": [{"type": "reject"}]}), config)
    except Exception:  # what it does afterwards is not what is looked at
        executed.append("and then it broke")
    if not executed:
        pytest.skip("this release of LangChain no longer executes it; there is nothing to compare with")

    graph = home.compile(shop.workflow([refund(), "bye"], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    output = graph.invoke(Command(resume={"decisions": [{"type": "reject"}]}), thread(), context=BEN)
    assert answers(output) == ["approval_rejected"]
    assert shop.ran == []


@pytest.mark.parametrize("name", ["order.cancel", "order_cancel", "desk.close"])
def test_langchain_40166_an_edit_does_not_escape_into_another_tool(shop: Shop, home: Home, name: str) -> None:
    """An edit that named another tool ran it without that tool's own approval."""
    graph = home.compile(shop.workflow([refund()], approval=RULE, cancel_approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    edit = {"type": "edit", "edited_action": {"name": name, "args": {"orderId": "1"}}}
    with pytest.raises(InvalidResume, match="cannot turn the call into"):
        graph.invoke(Command(resume={"decisions": [edit]}), thread(), context=BEN)
    assert shop.ran == []


def test_langchain_33787_after_an_edit_the_first_call_is_not_made_again_unasked(shop: Shop, home: Home) -> None:
    """The model saw that what it was asked for had not been done, and made its first call again.

    It may propose what it likes: it is told what ran, and whatever it proposes is asked about again.
    """
    seen: list[str] = []

    def again(messages: list[Any], offered: list[str]) -> Any:
        seen.append(str(messages[-1].content))
        return call("order.refund", orderId="1", amount="5")

    graph = home.compile(shop.workflow([refund(amount="5"), again, "well then"], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    edit = {"type": "edit", "args": {"orderId": "1", "amount": "3"}}
    output = graph.invoke(Command(resume={"decisions": [edit]}), thread(), context=BEN)
    assert '"amount":"3"' in seen[0]
    assert shop.ran == ["refund 1 3"]
    (shown,) = asked(output)
    assert shown["arguments"]["amount"] == "5"
    with pytest.raises(ConflictError):
        graph.instances.decide(graph.instances.approvals(status="used").approvals[0].approval_id, "approve", by=BEN)
    graph.invoke(Command(resume={"decisions": [{"type": "reject"}]}), thread(), context=BEN)
    assert shop.ran == ["refund 1 3"]
