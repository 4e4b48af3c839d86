"""Several approvals at once: each answered by its own id, in any order, partly; answered ones never ask again."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from interlock import Approval, Principal
from interlock.nodes.channels import Channels
from interlock.testing import call
from interlock.tools import ConflictError, ResumeError
from tests.commands.approvals.support import (
    ADA,
    BEN,
    RULE,
    Home,
    Shop,
    answers,
    asked,
    kinds,
    refund,
    refusals,
    said,
    status,
    thread,
)

THREE = [refund("1"), refund("2"), refund("3")]


def orders(output: dict[str, Any]) -> list[str]:
    """Which orders are asked about."""
    return [one["arguments"]["orderId"] for one in asked(output)]


def by_order(output: dict[str, Any]) -> dict[str, str]:
    """The interrupt of each order."""
    return {one.value["arguments"]["orderId"]: one.id for one in output["__interrupt__"]}


@pytest.mark.parametrize("order", [*itertools.permutations("123")])
def test_each_is_answered_by_its_own_id_in_any_order(shop: Shop, home: Home, order: tuple[str, ...]) -> None:
    graph = home.compile(shop.workflow([THREE], approval=RULE))
    output = graph.invoke(said(), thread(), context=ADA)
    ids = by_order(output)
    assert len(set(ids.values())) == 3
    waiting = ["1", "2", "3"]
    for one in order:
        answer = {"type": "reject"} if one == "2" else {"type": "approve"}
        output = graph.invoke(Command(resume={ids[one]: answer}), thread(), context=BEN)
        waiting.remove(one)
        assert sorted(orders(output)) == waiting
    assert shop.ran == ["refund 1 5", "refund 3 5"]
    assert sorted(answers(output)) == ["approval_rejected", "ok", "ok"]


def test_several_approvals_are_answered_with_one_resume(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([THREE], approval=RULE))
    ids = by_order(graph.invoke(said(), thread(), context=ADA))
    graph.invoke(Command(resume={ids["3"]: False, ids["1"]: True, ids["2"]: True}), thread(), context=BEN)
    assert shop.ran == ["refund 1 5", "refund 2 5"]


def test_several_approvals_are_answered_by_their_ids(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([THREE], approval=RULE))
    shown = asked(graph.invoke(said(), thread(), context=ADA))
    graph.invoke(Command(resume={one["approvalId"]: "approve" for one in shown}), thread(), context=BEN)
    assert len(shop.ran) == 3


def test_an_answer_that_does_not_say_which_one_it_is_about_decides_nothing(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([THREE], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    with pytest.raises(ResumeError, match="3 things wait"):
        graph.invoke(Command(resume={"decisions": [{"type": "approve"}] * 3}), thread(), context=BEN)
    assert shop.ran == []
    assert refusals(graph, thread()) == ["resume_error"]


def test_several_approvals_do_not_void_each_other(shop: Shop, home: Home) -> None:
    """Each moves the revision and changes the data; none of them asks for more than what it was shown."""
    graph = home.compile(shop.workflow([THREE], approval=RULE))
    ids = by_order(graph.invoke(said(), thread(), context=ADA))
    output = graph.invoke(Command(resume=dict.fromkeys(ids.values(), "approve")), thread(), context=BEN)
    assert answers(output) == ["ok", "ok", "ok"]
    assert output["revision"] == 3


def test_a_strict_approval_is_void_after_another_call_ran(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([THREE[:2]], approval=Approval(strict=True)))
    ids = by_order(graph.invoke(said(), thread(), context=ADA))
    output = graph.invoke(Command(resume=dict.fromkeys(ids.values(), "approve")), thread(), context=BEN)
    assert answers(output) == ["ok", "approval_void"]
    assert shop.ran == ["refund 1 5"]


@pytest.mark.parametrize("strict", [True, False])
def test_after_the_instance_moved_only_a_strict_approval_is_void(shop: Shop, home: Home, strict: bool) -> None:
    graph = home.compile(shop.workflow([refund()], approval=Approval(strict=strict)))
    (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
    graph.instances.execute(graph.instances.id_of(thread()), "order.cancel", {"orderId": "9"}, principal=ADA)

    if strict:
        with pytest.raises(ConflictError) as void:
            graph.instances.decide(shown["approvalId"], {"type": "approve"}, by=BEN)
        assert void.value.code == "approval_void"
    else:
        graph.instances.decide(shown["approvalId"], {"type": "approve"}, by=BEN)
    assert status(graph, shown["approvalId"]) == ("void" if strict else "approved")


def test_an_approved_call_that_leaves_the_state_supersedes_the_others(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([THREE[:2]], approval=RULE, refund_to="parked"))
    ids = by_order(graph.invoke(said(), thread(), context=ADA))
    output = graph.invoke(Command(resume=dict.fromkeys(ids.values(), "approve")), thread(), context=BEN)
    assert shop.ran == ["refund 1 5"]
    assert answers(output)[0] == "ok"
    assert answers(output)[1] != "ok"


def test_some_approvals_are_decided_outside_and_some_by_the_graph(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([THREE], approval=RULE))
    shown = asked(graph.invoke(said(), thread(), context=ADA))
    graph.instances.decide(shown[1]["approvalId"], {"type": "reject", "message": "no"}, by=BEN)
    output = graph.invoke(Command(resume={shown[0]["approvalId"]: "approve"}), thread(), context=BEN)
    assert orders(output) == ["3"]
    output = graph.invoke(Command(resume={shown[2]["approvalId"]: "approve"}), thread(), context=BEN)
    assert sorted(answers(output)) == ["approval_rejected", "ok", "ok"]


def test_one_declined_answer_does_not_keep_the_others_from_counting(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([THREE[:2]], approval=RULE))
    shown = asked(graph.invoke(said(), thread(), context=ADA))
    bad = {"type": "edit", "args": {"orderId": "1"}}
    with pytest.raises(ResumeError, match="do not fit") as declined:
        graph.invoke(
            Command(resume={shown[0]["approvalId"]: bad, shown[1]["approvalId"]: "approve"}), thread(), context=BEN
        )
    assert (declined.value.details["declined"], declined.value.details["decided"]) == (1, 1)
    assert orders(graph.invoke(None, thread(), context=ADA)) == ["1"]


def test_a_message_of_the_user_between_question_and_answer_asks_again_and_loses_nothing(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    (first,) = asked(graph.invoke(said(), thread(), context=ADA))
    (again,) = asked(graph.invoke(said("hurry up"), thread(), context=ADA))
    assert again["approvalId"] == first["approvalId"]
    graph.invoke(Command(resume="approve"), thread(), context=BEN)
    assert shop.ran == ["refund 1 5"]
    assert kinds(graph, thread()).count("approval") == 1


class TestInAParentGraph:
    """The parent is LangGraph's own, and its resume knows nothing of approvals."""

    @staticmethod
    def parent(shop: Shop, home: Home, steps: list[Any], **options: Any) -> tuple[Any, Any]:
        inner = shop.workflow(steps, **options).compile(
            workflow_store=(outer := home.compile(shop.workflow([]))).engine.store
        )
        builder: Any = StateGraph(Channels, context_schema=Principal)
        builder.add_node("desk", inner)
        builder.add_edge(START, "desk")
        builder.add_edge("desk", END)
        return builder.compile(checkpointer=outer.checkpointer), inner

    @staticmethod
    def instance(inner: Any) -> str:
        (only,) = inner.engine.store.instances()
        return str(only.workflow_id)

    def test_each_is_answered_by_its_id(self, shop: Shop, home: Home) -> None:
        graph, _ = self.parent(shop, home, [THREE], approval=RULE)
        ids = by_order(graph.invoke(said(), thread(), context=ADA))
        output = graph.invoke(Command(resume={ids["2"]: {"type": "approve"}}), thread(), context=BEN)
        assert sorted(orders(output)) == ["1", "3"]
        graph.invoke(Command(resume={ids["1"]: False, ids["3"]: True}), thread(), context=BEN)
        assert shop.ran == ["refund 2 5", "refund 3 5"]

    def test_a_plain_answer_is_not_given_to_whichever_comes_first(self, shop: Shop, home: Home) -> None:
        graph, inner = self.parent(shop, home, [THREE[:2]], approval=RULE)
        graph.invoke(said(), thread(), context=ADA)
        with contextlib.suppress(RuntimeError):  # where LangGraph itself notices
            graph.invoke(Command(resume={"type": "approve"}), thread(), context=BEN)
        output = graph.invoke(None, thread(), context=BEN)
        assert shop.ran == []
        assert sorted(orders(output)) == ["1", "2"]
        ids = by_order(output)
        graph.invoke(Command(resume={ids["2"]: {"type": "approve"}}), thread(), context=BEN)
        rest = graph.get_state(thread(), subgraphs=True).interrupts
        graph.invoke(Command(resume={rest[0].id: {"type": "reject"}}), thread(), context=BEN)
        assert shop.ran == ["refund 2 5"]
        assert inner.engine.store.verify(self.instance(inner)) == []

    def test_an_answer_that_was_refused_is_not_taken_again_in_the_name_of_the_next(
        self, shop: Shop, home: Home
    ) -> None:
        """LangGraph runs the node again from its start and gives it the old answer first, with the new sender's context."""
        graph, inner = self.parent(shop, home, [refund()], approval=RULE)
        graph.invoke(said(), thread(), context=ADA)
        (again,) = asked(graph.invoke(Command(resume={"type": "approve"}), thread(), context=ADA))
        assert "nobody approves their own request" in again["problem"]
        output = graph.invoke(Command(resume={"type": "reject", "message": "no"}), thread(), context=BEN)
        assert shop.ran == []
        assert answers(output) == ["approval_rejected"]
        (refused,) = refusals(inner, self.instance(inner))
        assert refused == "not_entitled"

    def test_an_agreement_is_not_counted_again_in_the_name_of_the_next(self, shop: Shop, home: Home) -> None:
        cat = Principal("cat", roles=frozenset({"supervisor"}))
        graph, _ = self.parent(shop, home, [refund()], approval=Approval(role="supervisor", count=2))
        graph.invoke(said(), thread(), context=ADA)
        graph.invoke(Command(resume="approve"), thread(), context=BEN)
        output = graph.invoke(Command(resume={"type": "reject"}), thread(), context=cat)
        assert shop.ran == []
        assert answers(output) == ["approval_rejected"]

    def test_an_answer_to_the_call_before_it_was_edited_does_not_count(self, shop: Shop, home: Home) -> None:
        cat = Principal("cat", roles=frozenset({"supervisor"}))
        graph, inner = self.parent(shop, home, [refund()], approval=Approval(role="supervisor", count=2))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        edit = {"type": "edit", "args": {"orderId": "1", "amount": "1"}}
        inner.instances.decide(shown["approvalId"], edit, by=BEN)
        (again,) = asked(graph.invoke(Command(resume={"type": "approve"}), thread(), context=cat))
        assert "was edited by somebody else" in again["problem"]
        assert again["arguments"]["amount"] == "1"
        assert shop.ran == []
        graph.invoke(Command(resume={"type": "approve"}), thread(), context=cat)
        assert shop.ran == ["refund 1 1"]

    def test_run_on_in_between_the_edited_call_is_shown_and_its_answer_counts(self, shop: Shop, home: Home) -> None:
        cat = Principal("cat", roles=frozenset({"supervisor"}))
        graph, inner = self.parent(shop, home, [refund()], approval=Approval(role="supervisor", count=2))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        edit = {"type": "edit", "args": {"orderId": "1", "amount": "1"}}
        inner.instances.decide(shown["approvalId"], edit, by=BEN)
        (now,) = asked(graph.invoke(None, thread(), context=ADA))
        assert now["arguments"]["amount"] == "1"
        graph.invoke(Command(resume={"type": "approve"}), thread(), context=cat)
        assert shop.ran == ["refund 1 1"]

    def test_a_wrong_shape_is_asked_about_again(self, shop: Shop, home: Home) -> None:
        graph, _ = self.parent(shop, home, [refund()], approval=RULE)
        graph.invoke(said(), thread(), context=ADA)
        (again,) = asked(graph.invoke(Command(resume={"type": "perhaps"}), thread(), context=BEN))
        assert "That is not an answer" in again["problem"]
        assert "The last answer did not count" in again["action_requests"][0]["description"]
        graph.invoke(Command(resume={"type": "approve"}), thread(), context=BEN)
        assert shop.ran == ["refund 1 5"]

    def test_decided_outside_the_parent_goes_on(self, shop: Shop, home: Home) -> None:
        graph, inner = self.parent(shop, home, [refund()], approval=RULE)
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        inner.instances.decide(shown["approvalId"], "approve", by=BEN)
        graph.invoke(None, thread(), context=ADA)
        assert shop.ran == ["refund 1 5"]


def test_reads_of_the_same_message_run_once_although_approvals_wait(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([[call("order.get", orderId="9"), *THREE[:2]]], approval=RULE))
    shown = asked(graph.invoke(said(), thread(), context=ADA))
    graph.invoke(Command(resume={shown[0]["approvalId"]: "approve"}), thread(), context=BEN)
    graph.invoke(Command(resume={shown[1]["approvalId"]: "approve"}), thread(), context=BEN)
    assert shop.ran == ["get 9", "refund 1 5", "refund 2 5"]
