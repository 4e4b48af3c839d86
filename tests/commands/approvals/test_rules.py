"""Who may decide, how many must agree, what may be edited, and when nobody is asked at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Approval, Confirmation, ConflictError, Escalate, Principal, TakeEdge
from interlock.tools import ContractError, InvalidResume, PrincipalError, WorkflowDefinitionError
from interlock.tools.approvals import duration
from tests.commands.approvals.support import (
    ADA,
    BEN,
    CAT,
    DAN,
    MALLORY,
    STRANGER,
    Home,
    Shop,
    asked,
    pending,
    refund,
    refusals,
    said,
    status,
    thread,
)


def decided_by(shop: Shop, home: Home, rule: Any, *people: Principal, answer: Any = "approve") -> str:
    """What becomes of a request of ada's when these people decide on it, one after another; a refusal is raised."""
    graph = home.compile(shop.workflow([refund()], approval=rule))
    graph.invoke(said(), thread(), context=ADA)
    approval_id = pending(graph, thread())
    for person in people:
        graph.instances.decide(approval_id, answer, by=person)
    return status(graph, approval_id)


class TestWho:
    def test_a_role_is_needed_where_the_rule_names_one(self, shop: Shop, home: Home) -> None:
        with pytest.raises(PrincipalError, match="it takes the role 'supervisor'"):
            decided_by(shop, home, Approval(role="supervisor"), MALLORY)
        assert decided_by(Shop(), home, Approval(role="supervisor"), BEN) == "approved"

    def test_a_principal_who_is_not_known_has_no_role_whatever_they_claim(self, shop: Shop, home: Home) -> None:
        claimed = Principal("anonymous", roles=frozenset({"supervisor"}))
        with pytest.raises(PrincipalError, match="who decides is not known"):
            decided_by(shop, home, Approval(role="supervisor"), claimed)

    def test_nobody_approves_their_own_request_whatever_their_role(self, shop: Shop, home: Home) -> None:
        boss = Principal("ada", roles=frozenset({"supervisor"}))
        with pytest.raises(PrincipalError, match="nobody approves their own request"):
            decided_by(shop, home, Approval(role="supervisor"), boss)

    def test_without_a_role_anybody_else_decides_but_nobody_who_could_be_the_requester(
        self, shop: Shop, home: Home
    ) -> None:
        with pytest.raises(PrincipalError, match="it could be the requester"):
            decided_by(shop, home, Approval(), Principal.ANONYMOUS)
        assert decided_by(Shop(), home, Approval(), MALLORY) == "approved"

    def test_a_confirmation_is_given_by_the_person_served_and_nobody_else(self, shop: Shop, home: Home) -> None:
        with pytest.raises(PrincipalError, match="only the person served"):
            decided_by(shop, home, Confirmation(), BEN)
        assert decided_by(Shop(), home, Confirmation(), ADA) == "approved"

    def test_an_approval_of_another_tenant_is_not_there(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=True))
        graph.invoke(said(), thread(), context=ADA)
        with pytest.raises(Exception, match="There is no approval"):
            graph.instances.decide(pending(graph, thread()), "approve", by=STRANGER)
        assert refusals(graph, thread()) == ["not_entitled"]
        assert status(graph, pending(graph, thread())) == "requested"


class TestFourEyes:
    RULE = Approval(role="supervisor", count=2)

    def test_two_people_must_agree(self, shop: Shop, home: Home) -> None:
        assert decided_by(shop, home, self.RULE, BEN) == "requested"
        assert decided_by(Shop(), home, self.RULE, CAT) == "approved"

    def test_the_same_person_does_not_count_twice(self, shop: Shop, home: Home) -> None:
        with pytest.raises(PrincipalError, match="the same person already agreed"):
            decided_by(shop, home, self.RULE, BEN, BEN)

    def test_one_no_is_enough_also_from_somebody_who_agreed_before(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, "approve", by=BEN)
        graph.instances.decide(approval_id, {"type": "reject", "message": "on second thoughts"}, by=BEN)
        assert status(graph, approval_id) == "rejected"

    def test_an_edit_by_the_first_is_agreed_to_by_the_second_as_edited(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(amount="5")], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, {"type": "edit", "args": {"orderId": "1", "amount": "3"}}, by=BEN)
        assert status(graph, approval_id) == "requested"
        shown = graph.instances.approval(approval_id)
        assert shown["arguments"] == {"orderId": "1", "amount": "3"}
        assert shown["proposedArguments"] == {"orderId": "1", "amount": "5"}
        graph.instances.decide(approval_id, "approve", by=CAT)
        assert status(graph, approval_id) == "edited"
        graph.instances.resume(thread())
        assert shop.ran == ["refund 1 3"]

    def test_an_edit_by_the_second_is_agreed_to_by_somebody_else_again(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(amount="5")], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, "approve", by=BEN)
        graph.instances.decide(approval_id, {"type": "edit", "args": {"orderId": "1", "amount": "3"}}, by=CAT)
        assert status(graph, approval_id) == "requested"
        graph.instances.decide(approval_id, "approve", by=BEN)
        graph.instances.resume(thread())
        assert shop.ran == ["refund 1 3"]

    def test_an_answer_to_the_call_before_it_was_edited_does_not_count(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(amount="5")], approval=self.RULE))
        output = graph.invoke(said(), thread(), context=ADA)
        (interrupt,) = output["__interrupt__"]
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, {"type": "edit", "args": {"orderId": "1", "amount": "3"}}, by=BEN)
        with pytest.raises(ConflictError, match="not what was decided on"):
            graph.invoke(Command(resume={interrupt.id: {"type": "approve"}}), thread(), context=CAT)
        assert status(graph, approval_id) == "requested"
        assert refusals(graph, thread()) == ["conflict"]
        # Run on, the thread shows what would run now.
        (now,) = graph.instances.resume(thread())["__interrupt__"]
        assert now.value["arguments"]["amount"] == "3"
        graph.invoke(Command(resume={now.id: {"type": "approve"}}), thread(), context=CAT)
        assert shop.ran == ["refund 1 3"]

    def test_both_may_answer_through_the_graph(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        between = graph.invoke(Command(resume="approve"), thread(), context=BEN)
        assert [one["tool"] for one in asked(between)] == ["order.refund"]
        assert shop.ran == []
        graph.invoke(Command(resume="approve"), thread(), context=CAT)
        assert shop.ran == ["refund 1 5"]


class TestChains:
    def test_the_customer_confirms_and_then_a_supervisor_approves(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=Confirmation(then=Approval(role="supervisor"))))
        first = graph.invoke(said(), thread(), context=ADA)
        assert [one["type"] for one in asked(first)] == ["confirmation"]
        with pytest.raises(PrincipalError):
            graph.invoke(Command(resume="approve"), thread(), context=BEN)
        second = graph.invoke(Command(resume="approve"), thread(), context=ADA)
        assert [one["type"] for one in asked(second)] == ["approval"]
        assert shop.ran == []
        with pytest.raises(PrincipalError):
            graph.invoke(Command(resume="approve"), thread(), context=ADA)
        graph.invoke(Command(resume="approve"), thread(), context=BEN)
        assert shop.ran == ["refund 1 5"]

    def test_those_who_come_later_cannot_change_what_was_agreed_to(self, shop: Shop, home: Home) -> None:
        rule = Approval(role="supervisor", then=Approval(role="manager"))
        graph = home.compile(shop.workflow([refund()], approval=rule))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, "approve", by=BEN)
        shown = graph.instances.approval(approval_id)
        assert shown["review_configs"][0]["allowed_decisions"] == ["approve", "reject", "respond"]  # type: ignore[index,call-overload]
        with pytest.raises(PrincipalError, match="others agreed to it as it is"):
            graph.instances.decide(approval_id, {"type": "edit", "args": {"orderId": "1", "amount": "1"}}, by=DAN)
        graph.instances.decide(approval_id, "approve", by=DAN)
        assert status(graph, approval_id) == "approved"

    def test_each_asks_for_as_many_as_it_says_and_has_its_own_time(self, shop: Shop, home: Home) -> None:
        rule = Approval(role="supervisor", count=2, within="1h", then=Approval(role="manager", within="2h"))
        graph = home.compile(shop.workflow([refund()], approval=rule))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, "approve", by=BEN)
        home.clock.advance(3000)
        graph.instances.decide(approval_id, "approve", by=CAT)
        home.clock.advance(7000)
        assert graph.instances.tick().lapsed == []
        graph.instances.decide(approval_id, "approve", by=DAN)
        assert status(graph, approval_id) == "approved"


class TestEdits:
    def test_an_edit_is_neither_offered_nor_accepted_without_permission(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=Approval(edit=False)))
        output = graph.invoke(said(), thread(), context=ADA)
        assert "edit" not in asked(output)[0]["review_configs"][0]["allowed_decisions"]
        with pytest.raises(PrincipalError, match="may not be edited"):
            graph.instances.decide(
                pending(graph, thread()), {"type": "edit", "args": {"orderId": "1", "amount": "4"}}, by=BEN
            )

    @pytest.mark.parametrize(
        ("arguments", "ran"),
        [
            ({"orderId": "1", "amount": "4"}, ["refund 1 4"]),
            ({"orderId": "2", "amount": "5"}, None),
            ({"orderId": "1", "amount": "4", "note": "x"}, None),
        ],
    )
    def test_only_the_named_fields_may_change(
        self, shop: Shop, home: Home, arguments: dict[str, Any], ran: list[str] | None
    ) -> None:
        graph = home.compile(shop.workflow([refund()], approval=Approval(edit=frozenset({"amount"}))))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        if ran is None:
            with pytest.raises(PrincipalError, match="may not be edited"):
                graph.instances.decide(approval_id, {"type": "edit", "args": arguments}, by=BEN)
            assert status(graph, approval_id) == "requested"
            return
        graph.instances.decide(approval_id, {"type": "edit", "args": arguments}, by=BEN)
        graph.instances.resume(thread())
        assert shop.ran == ran

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"orderId": "1", "amount": "many"}, "do not fit"),
            ({"orderId": "1"}, "do not fit"),
            ({"orderId": "unpaid", "amount": "5"}, "the order is not paid"),
        ],
    )
    def test_an_edit_goes_through_contract_and_check_again(
        self, shop: Shop, home: Home, arguments: dict[str, Any], reason: str
    ) -> None:
        graph = home.compile(shop.workflow([refund()], approval=Approval()))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        with pytest.raises(InvalidResume, match=reason):
            graph.instances.decide(approval_id, {"type": "edit", "args": arguments}, by=BEN)
        assert status(graph, approval_id) == "requested"

    def test_the_model_is_told_what_ran_and_not_what_it_proposed(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(amount="5")], approval=Approval()))
        graph.invoke(said(), thread(), context=ADA)
        edit = {"type": "edit", "args": {"orderId": "1", "amount": "4"}}
        output = graph.invoke(Command(resume=edit), thread(), context=BEN)
        assert output["last_result"]["output"] == {"orderId": "1", "amount": "4"}
        assert output["data"]["refunded"] == "4"


class TestConditions:
    RULE = Approval(role="supervisor", when=lambda amount: amount > 100)

    @pytest.mark.parametrize(("amount", "asks"), [("100", False), ("100.01", True)])
    def test_a_condition_decides_whether_a_person_is_asked(
        self, shop: Shop, home: Home, amount: str, asks: bool
    ) -> None:
        graph = home.compile(shop.workflow([refund(amount=amount)], approval=self.RULE))
        output = graph.invoke(said(), thread(), context=ADA)
        assert bool(asked(output)) is asks
        assert shop.ran == ([] if asks else [f"refund 1 {amount}"])

    def test_a_condition_over_what_the_tool_does_not_have_is_refused_at_compile_time(self, shop: Shop) -> None:
        rule = Approval(when=lambda price: price > 100)
        with pytest.raises(WorkflowDefinitionError, match=r"open --order\.refund--> open.*'price'"):
            shop.workflow([], approval=rule).compile()


class TestRulesThatCannotBe:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: Approval(count=0),
            lambda: Approval(count=True),
            lambda: Approval(role=""),
            lambda: Approval(within="soon"),
            lambda: Approval(within="0m"),
            lambda: Approval(edit="amount"),  # type: ignore[arg-type]
            lambda: Approval(confirmation=True, role="supervisor"),
            lambda: Approval(confirmation=True, count=2),
            lambda: Approval(on_expiry="shrug", within="1h"),
            lambda: Approval(on_expiry=Escalate("manager")),
            lambda: Approval(confirmation=True, within="1h", on_expiry=Escalate("manager")),
            lambda: Approval(then=Approval(when=lambda amount: amount > 1)),
            lambda: Escalate(""),
            lambda: Escalate("manager", within="never"),
            lambda: TakeEdge(""),
            lambda: TakeEdge("desk.park", {"orderId": object()}),
        ],
    )
    def test_they_are_refused_where_they_are_written(self, make: Any) -> None:
        with pytest.raises(ContractError):
            make()

    @pytest.mark.parametrize(
        "rule",
        [
            Approval(),
            Approval(role="a", count=2, within="1h30m", edit=frozenset({"x", "y"}), strict=True),
            Confirmation(within="5m", on_expiry=TakeEdge("desk.park", {"orderId": "1"})),
            Approval(within="1h", on_expiry=Escalate("b", "2h", Escalate("c", then=TakeEdge("desk.park")))),
            Approval(within="1d", on_expiry="escalate:manager", then=Approval(role="c", then=Confirmation())),
        ],
    )
    def test_a_rule_is_stored_and_read_back_as_it_is(self, rule: Approval) -> None:
        assert Approval.from_json(rule.to_json()).to_json() == rule.to_json()

    @pytest.mark.parametrize(
        ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1w", 604800)]
    )
    def test_durations_read_as_they_are_written(self, text: str, seconds: int) -> None:
        assert duration(text) == seconds


def test_approvals_of_an_edge_and_a_policy_are_both_requested_and_equal_ones_once() -> None:
    edge, policy = Approval(role="clerk"), Approval(role="manager")
    both = edge.followed_by(policy)
    assert [stage.role for stage in both.stages] == ["clerk", "manager"]
    assert both.followed_by(policy).to_json() == both.to_json()
    assert both.followed_by(edge).to_json() == both.to_json()
    longer = both.followed_by(Approval(role="manager", then=Approval(role="board")))
    assert [stage.role for stage in longer.stages] == ["clerk", "manager", "board"]


def test_amounts_compare_as_numbers(shop: Shop, home: Home) -> None:
    graph = home.compile(
        shop.workflow([refund(amount="9")], approval=Approval(when=lambda amount: amount > Decimal("10")))
    )
    assert asked(graph.invoke(said(), thread(), context=ADA)) == []
