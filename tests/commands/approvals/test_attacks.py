"""What an attacker would try, each refused and written down; and the attacks that other stacks let through, each of them 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.messages import AIMessage
from langgraph.types import Command

from interlock import Approval, ConflictError, Policy, Principal, ProposalView, RequireApproval
from interlock.checkpointing.store import approvals as approval_rows
from interlock.checkpointing.tables.workflow import approvals as table
from interlock.rules.policies import Allow, Ruling
from interlock.testing import call
from interlock.tools import InterlockError, InvalidInput, InvalidResume, PrincipalError, ResumeError
from tests.commands.approvals.support import (
    ADA,
    BEN,
    HOUR,
    MALLORY,
    RULE,
    Home,
    Shop,
    answers,
    asked,
    kinds,
    pending,
    refund,
    refusals,
    said,
    status,
    thread,
)

EDIT = {"type": "edit", "args": {"orderId": "1", "amount": "4"}}


class TestRefusedAndWrittenDown:
    """Each ends with the error's code in the audit trail, and with the tool not having run."""

    @pytest.mark.parametrize("way", ["resume", "out of band"])
    def test_an_approval_replayed(self, shop: Shop, home: Home, way: str) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        graph.invoke(Command(resume="approve"), thread(), context=BEN)
        again: Callable[[], object] = {
            "resume": lambda: graph.invoke(Command(resume={shown["approvalId"]: "approve"}), thread(), context=BEN),
            "out of band": lambda: graph.instances.decide(shown["approvalId"], "approve", by=BEN),
        }[way]
        with pytest.raises((ConflictError, ResumeError)):
            again()
        assert shop.ran == ["refund 1 5"]
        assert refusals(graph, thread()) == ["resume_error" if way == "resume" else "conflict"]

    def test_an_approval_used_for_a_second_call(self, shop: Shop, home: Home) -> None:
        """The same arguments, proposed again, are asked about again."""
        graph = home.compile(shop.workflow([refund(), refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        output = graph.invoke(Command(resume="approve"), thread(), context=BEN)
        assert [one["tool"] for one in asked(output)] == ["order.refund"]
        assert shop.ran == ["refund 1 5"]

    def test_the_arguments_changed_in_the_database_after_the_approval(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, "approve", by=BEN)
        with graph.engine.store.write() as connection:
            statement = sa.update(table).where(table.c.approval_id == approval_id)
            connection.execute(statement.values(arguments='{"orderId": "1", "amount": "500"}'))
        output = graph.instances.resume(thread())
        assert shop.ran == []
        assert answers(output) == ["approval_void"]
        assert kinds(graph, thread())[-2:] == ["void", "denial"]

    def test_the_arguments_changed_in_the_graph_after_the_approval(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
        with pytest.raises(InvalidInput):
            graph.update_state(thread(), {"progress": [("propose", {"workflow_id": "x", "proposals": []})]})
        forged = AIMessage(
            "", tool_calls=[{"name": "order_refund", "args": {"orderId": "1", "amount": "500"}, "id": "x"}]
        )
        graph.update_state(thread(), {"messages": [forged]})
        graph.instances.resume(thread())
        assert shop.ran in ([], ["refund 1 5"])

    def test_something_else_under_the_same_preview_after_the_approval(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
        shop.balance -= 60  # somebody else took money out: what was shown is not what would happen
        output = graph.instances.resume(thread())
        assert shop.ran == []
        assert answers(output) == ["approval_void"]

    def test_approved_by_the_requester(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=True))
        graph.invoke(said(), thread(), context=ADA)
        with pytest.raises(PrincipalError):
            graph.invoke(Command(resume="approve"), thread(), context=ADA)
        with pytest.raises(PrincipalError):
            graph.invoke(Command(resume="approve"), thread())
        assert refusals(graph, thread()) == ["not_entitled", "not_entitled"]
        assert shop.ran == []

    def test_the_requester_stays_the_requester_when_somebody_else_runs_the_thread_on(
        self, shop: Shop, home: Home
    ) -> None:
        """Who runs the thread on does not become who asked, and so who asked cannot approve after them."""
        graph = home.compile(shop.workflow([refund()], approval=True, run_by="supervisor"))
        graph.invoke(said(), thread(), context=ADA)
        graph.invoke(None, thread(), context=BEN)
        with pytest.raises(PrincipalError, match="nobody approves their own request"):
            graph.invoke(Command(resume="approve"), thread(), context=ADA)

    def test_a_decision_without_the_required_role_is_refused(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        with pytest.raises(PrincipalError):
            graph.invoke(Command(resume="approve"), thread(), context=MALLORY)
        assert refusals(graph, thread()) == ["not_entitled"]
        assert shop.ran == []

    def test_an_answer_for_another_approval(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund("1"), refund("2")], approval=RULE))
        graph.invoke(said(), thread("a"), context=ADA)
        (other,) = asked(graph.invoke(said(), thread("b"), context=ADA))
        with pytest.raises(ResumeError, match="belongs to another thread"):
            graph.invoke(Command(resume={other["approvalId"]: "approve"}), thread("a"), context=BEN)
        assert refusals(graph, thread("a")) == ["resume_error"]
        assert status(graph, other["approvalId"]) == "requested"
        assert shop.ran == []

    def test_a_decision_after_expiry(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        with pytest.raises(ConflictError):
            graph.invoke(Command(resume="approve"), thread(), context=BEN)
        assert refusals(graph, thread()) == ["approval_expired"]
        assert shop.ran == []

    @pytest.mark.parametrize(
        "claim",
        [
            {"principal": {"id": "ben", "roles": ["supervisor"]}},
            {"by": "ben"},
            {"role": "supervisor"},
            {"approved_by": "ben"},
            {"user_id": "ben"},
            {"tenant": "elsewhere"},
        ],
    )
    @pytest.mark.parametrize("wrapped", [False, True])
    def test_a_resume_payload_that_claims_a_principal(
        self, shop: Shop, home: Home, claim: dict[str, Any], wrapped: bool
    ) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=MALLORY)
        answer: Any = {"type": "approve", **claim}
        with pytest.raises(InvalidResume, match="says who decides"):
            graph.invoke(Command(resume={"decisions": [answer]} if wrapped else answer), thread(), context=BEN)
        assert refusals(graph, thread()) == ["invalid_resume"]
        assert shop.ran == []

    def test_an_edit_that_would_need_its_own_approval(self, shop: Shop, home: Home) -> None:
        class BigOnes(Policy):
            def judge(self, proposal: ProposalView) -> Ruling:
                if proposal.tool.name == "order.refund" and float(proposal.arguments["amount"]) > 100:
                    return RequireApproval(Approval(role="manager"), "it is a lot")
                return Allow()

        graph = home.compile(shop.workflow([refund()], approval=RULE, policies=[BigOnes()]))
        graph.invoke(said(), thread(), context=ADA)
        big = {"type": "edit", "args": {"orderId": "1", "amount": "500"}}
        with pytest.raises(InvalidResume, match="a separate approval"):
            graph.invoke(Command(resume=big), thread(), context=BEN)
        assert refusals(graph, thread()) == ["invalid_resume"]
        graph.invoke(Command(resume=EDIT), thread(), context=BEN)
        assert shop.ran == ["refund 1 4"]

    def test_an_edit_that_turns_the_call_into_another_one(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        other = {"type": "edit", "edited_action": {"name": "order.cancel", "args": {"orderId": "1"}}}
        with pytest.raises(InvalidResume, match="cannot turn the call into"):
            graph.invoke(Command(resume=other), thread(), context=BEN)
        assert refusals(graph, thread()) == ["invalid_resume"]
        assert shop.ran == []

    def test_a_status_forged_into_the_database_does_not_stand_without_its_digest(self, shop: Shop, home: Home) -> None:
        """Whoever writes the database can do anything; what they cannot is to make another call of an approval unnoticed."""
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        row = graph.engine.store.approval(pending(graph, thread()))
        with graph.engine.store.write() as connection:
            edited = replace(
                row, status=approval_rows.ApprovalStatus.EDITED, edited_arguments={"orderId": "9", "amount": "5"}
            )
            approval_rows.update(connection, row, edited)
            connection.execute(sa.update(table).values(digest="sha256:forged"))
        assert answers(graph.instances.resume(thread())) == ["approval_void"]
        assert shop.ran == []

    def test_nothing_of_it_breaks_the_trail(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        for attempt in ("approve", EDIT, {"type": "maybe"}, {"type": "approve", "by": "ben"}):
            with pytest.raises(InterlockError):
                graph.invoke(Command(resume=attempt), thread(), context=MALLORY)
        assert len(refusals(graph, thread())) == 4
        assert graph.engine.store.verify(str(graph.instances.id_of(thread()))) == []


Attack = Callable[[Shop, Home], None]


def forgotten_in_a_list(shop: Shop, home: Home) -> None:
    """There is no list: the rule stands on the edge, and the drawing shows it. An edge without one is seen at once."""
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    drawn = {(edge.source, edge.target) for edge in graph.get_graph().edges}
    assert ("open", "open/order.refund") not in drawn
    graph.invoke(said(), thread(), context=ADA)


def a_jump_to_the_tools(shop: Shop, home: Home) -> None:
    """Rejected, and then sent straight to the execution node."""
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    with pytest.raises(InvalidInput):
        graph.invoke(Command(goto="open/order.refund"), thread(), context=BEN)
    graph.invoke(Command(resume="reject"), thread(), context=BEN)
    with pytest.raises(InvalidInput):
        graph.update_state(thread(), {"messages": []}, as_node="open/order.refund/approval")


def answers_in_another_order(shop: Shop, home: Home) -> None:
    """Two proposals in one message, decisions in the other order; the second one was refused."""
    graph = home.compile(shop.workflow([[refund("1"), refund("2")]], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    with pytest.raises(ResumeError):
        graph.invoke(Command(resume={"decisions": [{"type": "reject"}, {"type": "approve"}]}), thread(), context=BEN)


def an_old_answer(shop: Shop, home: Home) -> None:
    """The answer to an earlier call, used for the one that waits now."""
    graph = home.compile(shop.workflow([refund("1"), refund("2")], approval=RULE))
    (old,) = graph.invoke(said(), thread(), context=ADA)["__interrupt__"]
    graph.invoke(Command(resume="reject"), thread(), context=BEN)
    with pytest.raises(ResumeError):
        graph.invoke(Command(resume={old.id: "approve"}), thread(), context=BEN)


def an_old_answer_that_names_the_call(shop: Shop, home: Home) -> None:
    """The same without its id, from a user interface that sends along what it showed."""
    graph = home.compile(shop.workflow([refund("1"), refund("2")], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    graph.invoke(Command(resume="reject"), thread(), context=BEN)
    old = {"type": "approve", "action": {"name": "order.refund", "args": {"orderId": "1", "amount": "5"}}}
    with pytest.raises(ConflictError, match="not what was decided on"):
        graph.invoke(Command(resume={"decisions": [old]}), thread(), context=BEN)


def an_old_answer_without_an_id(shop: Shop, home: Home) -> None:
    """The same bare yes twice, as a double click sends it, where answers have to say what they are about."""
    graph = home.compile(shop.workflow([refund("1"), refund("2")], approval=Approval(role="supervisor", named=True)))
    graph.invoke(said(), thread(), context=ADA)
    for _ in range(2):
        with pytest.raises(ResumeError):
            graph.invoke(Command(resume={"type": "approve"}), thread(), context=BEN)
    (first,) = graph.instances.approvals().approvals
    graph.invoke(Command(resume={first.approval_id: "approve"}), thread(), context=BEN)
    shop.ran.remove("refund 1 5")  # the one that was meant
    with pytest.raises(ResumeError):
        graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread(), context=BEN)


def the_pending_call_replaced(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    output = graph.invoke(said(), thread(), context=ADA)
    proposal = output["messages"][-1]
    replaced = proposal.model_copy(
        update={"tool_calls": [{**proposal.tool_calls[0], "args": {"orderId": "1", "amount": "999"}}]}
    )
    graph.update_state(thread(), {"messages": [replaced]})
    with pytest.raises(ResumeError):
        graph.invoke(Command(resume="approve"), thread(), context=BEN)
    (still,) = asked(graph.invoke(said("and?"), thread(), context=ADA))
    assert still["arguments"]["amount"] == "5"
    graph.invoke(Command(resume="reject"), thread(), context=BEN)


def an_edit_into_another_call(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    edit = {"type": "edit", "edited_action": {"name": "order_cancel", "args": {"orderId": "1"}}}
    with pytest.raises(InvalidResume):
        graph.invoke(Command(resume={"decisions": [edit]}), thread(), context=BEN)


def an_approved_checkpoint_that_was_not_run_yet(shop: Shop, home: Home) -> None:
    """Approved once, run, and then run again from the checkpoint before."""
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    before = graph.get_state(thread()).config
    graph.invoke(Command(resume="approve"), thread(), context=BEN)
    shop.ran.remove("refund 1 5")  # the one that was meant
    with pytest.raises(InterlockError):
        graph.invoke(Command(resume="approve"), before, context=BEN)
    with pytest.raises(InterlockError):
        graph.invoke(None, before, context=BEN)


def named_although_not_offered(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([call("order.refund", orderId="1", amount="5")] * 2, approval=RULE))
    graph.instances  # noqa: B018
    graph.invoke(said(), thread(), context=ADA)
    graph.instances.execute(thread(), "order.refund", {"orderId": "1", "amount": "5"}, principal=ADA)
    with pytest.raises(PrincipalError):
        graph.instances.execute(thread(), "order.refund", {"orderId": "1", "amount": "5"}, principal=Principal("ben"))


@pytest.mark.parametrize(
    "attack",
    [
        forgotten_in_a_list,
        a_jump_to_the_tools,
        answers_in_another_order,
        an_old_answer,
        an_old_answer_that_names_the_call,
        an_old_answer_without_an_id,
        the_pending_call_replaced,
        an_edit_into_another_call,
        an_approved_checkpoint_that_was_not_run_yet,
        named_although_not_offered,
    ],
)
def test_nothing_runs_that_nobody_approved(attack: Attack, shop: Shop, home: Home) -> None:
    attack(shop, home)
    assert [one for one in shop.ran if not one.startswith("get")] == []
