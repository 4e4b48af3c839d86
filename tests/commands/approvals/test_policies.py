"""Policies: allow, deny or ask, with a reason; the ready-made ones; and their order and outcome in the record."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from langgraph.types import Command

from interlock import (
    Allow,
    Approval,
    Deny,
    LimitPerPeriod,
    LimitPerRun,
    Policy,
    Principal,
    ProposalView,
    RequireApproval,
    RequireRole,
    SpendingCap,
    WorkingHours,
)
from interlock.testing import call
from interlock.tools import ContractError
from tests.commands.approvals.support import ADA, BEN, HOUR, MALLORY, Home, Shop, answers, asked, refund, said, thread


def outcome(home: Home, shop: Shop, steps: list[Any], *policies: Policy, name: str = "t-1", by: Principal = ADA) -> Any:
    graph = home.compile(shop.workflow(steps, policies=policies))
    return graph.invoke(said(), thread(name), context=by)


def denial(output: Any) -> str:
    return str(output["last_result"]["error"]["message"])


class TestLimits:
    def test_a_limit_per_run_counts_in_the_run(self, shop: Shop, home: Home) -> None:
        policy = LimitPerRun(2, [shop.refund])
        output = outcome(home, shop, [refund(), refund(), refund()], policy)
        assert answers(output) == ["ok", "ok", "policy_denied"]
        assert "at most 2 calls of order.refund in this run, and there were 2" in denial(output)
        assert answers(outcome(home, shop, [refund()], policy, name="t-2")) == ["ok"]

    def test_several_tools_are_counted_together(self, shop: Shop, home: Home) -> None:
        policy = LimitPerRun(1, [shop.refund, "order.cancel"])
        output = outcome(home, shop, [refund(), call("order.cancel", orderId="1")], policy)
        assert answers(output) == ["ok", "policy_denied"]

    def test_a_limit_of_zero_denies_every_call(self, shop: Shop, home: Home) -> None:
        assert answers(outcome(home, shop, [refund()], LimitPerRun(0, "order.refund"))) == ["policy_denied"]

    def test_a_limit_per_period_counts_over_runs_and_passes_with_time(self, shop: Shop, home: Home) -> None:
        policy = LimitPerPeriod(1, "24h", [shop.refund])
        assert answers(outcome(home, shop, [refund()], policy, name="a")) == ["ok"]
        second = outcome(home, shop, [refund()], policy, name="b")
        assert answers(second) == ["policy_denied"]
        assert second["last_result"]["error"]["retryable"] is True
        assert answers(outcome(home, shop, [refund()], policy, name="c", by=MALLORY)) == ["ok"]
        home.clock.advance(24 * HOUR)
        assert answers(outcome(home, shop, [refund()], policy, name="d")) == ["ok"]

    def test_a_limit_may_count_everything_that_a_tenant_does(self, shop: Shop, home: Home) -> None:
        policy = LimitPerPeriod(1, "24h", [shop.refund], per="tenant")
        elsewhere = Principal("eve", tenant="elsewhere")
        assert answers(outcome(home, shop, [refund()], policy, name="a")) == ["ok"]
        assert answers(outcome(home, shop, [refund()], policy, name="b", by=MALLORY)) == ["policy_denied"]
        assert answers(outcome(home, shop, [refund()], policy, name="c", by=elsewhere)) == ["ok"]

    def test_a_refused_call_does_not_count(self, shop: Shop, home: Home) -> None:
        output = outcome(home, shop, [refund("unpaid"), refund()], LimitPerRun(1, [shop.refund]))
        assert answers(output) == ["check_failed", "ok"]

    def test_a_limit_may_ask_instead_of_denying(self, shop: Shop, home: Home) -> None:
        policy = LimitPerRun(1, [shop.refund], otherwise=Approval(role="supervisor"), name="second refunds")
        graph = home.compile(shop.workflow([refund(), refund()], policies=[policy]))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        assert shown["reasons"] == ["second refunds: at most 1 call of order.refund in this run, and there were 1"]
        graph.invoke(Command(resume="approve"), thread(), context=BEN)
        assert shop.ran == ["refund 1 5"] * 2

    def test_only_tools_that_a_policy_may_ask_about_get_an_approval_node(self, shop: Shop) -> None:
        policy = LimitPerRun(1, [shop.refund], otherwise=Approval())
        nodes = set(shop.workflow([], policies=[policy]).compile().get_graph().nodes)
        assert {node for node in nodes if node.endswith("/approval")} == {"open/order.refund/approval"}


class TestSpending:
    def test_the_sum_over_a_run_may_not_pass_the_cap(self, shop: Shop, home: Home) -> None:
        policy = SpendingCap(Decimal("10"), "amount", [shop.refund])
        output = outcome(home, shop, [refund(amount="6"), refund(amount="4.01"), refund(amount="4")], policy)
        assert answers(output) == ["ok", "policy_denied", "ok"]

    def test_the_reason_says_what_was_spent(self, shop: Shop, home: Home) -> None:
        policy = SpendingCap(10, "amount", [shop.refund])
        output = outcome(home, shop, [refund(amount="6"), refund(amount="5")], policy)
        assert "amount may come to 10 in this run; 6 was spent, and this would be 5 more" in denial(output)

    def test_a_spending_cap_may_count_per_principal_within_a_period(self, shop: Shop, home: Home) -> None:
        policy = SpendingCap(10, "amount", [shop.refund], within="30d", per="principal")
        assert answers(outcome(home, shop, [refund(amount="9")], policy, name="a")) == ["ok"]
        assert answers(outcome(home, shop, [refund(amount="2")], policy, name="b")) == ["policy_denied"]
        assert answers(outcome(home, shop, [refund(amount="2")], policy, name="c", by=MALLORY)) == ["ok"]
        home.clock.advance(31 * 24 * HOUR)
        assert answers(outcome(home, shop, [refund(amount="2")], policy, name="d")) == ["ok"]

    def test_a_negative_amount_makes_no_room_under_a_cap(self, shop: Shop, home: Home) -> None:
        policy = SpendingCap(10, "amount", [shop.refund])
        output = outcome(home, shop, [refund(amount="-100"), refund(amount="11")], policy)
        assert answers(output) == ["ok", "policy_denied"]

    def test_an_edit_is_held_to_it_as_well(self, shop: Shop, home: Home) -> None:
        policy = SpendingCap(10, "amount", [shop.refund])
        graph = home.compile(shop.workflow([refund()], approval=True, policies=[policy]))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        edit = {"type": "edit", "args": {"orderId": "1", "amount": "11"}}
        with pytest.raises(Exception, match="would be denied"):
            graph.instances.decide(shown["approvalId"], edit, by=BEN)

    def test_approved_but_spent_meanwhile_is_denied(self, shop: Shop, home: Home) -> None:
        policy = SpendingCap(10, "amount", [shop.refund], per="tenant")
        graph = home.compile(shop.workflow([refund(amount="6")], approval=True, policies=[policy]))
        graph.invoke(said(), thread("a"), context=ADA)
        outcome(home, shop, [refund(amount="6")], policy, name="b", by=MALLORY)
        output = graph.invoke(Command(resume="approve"), thread("a"), context=BEN)
        assert answers(output) == ["policy_denied"]
        assert shop.ran == ["refund 1 6"]


class TestRolesAndHours:
    def test_a_role_decides_what_is_offered(self, shop: Shop, home: Home) -> None:
        policies = [RequireRole("supervisor", [shop.refund])]
        graph = home.compile(shop.workflow([refund()], policies=policies, run_by="tenant"))
        output = graph.invoke(said(), thread(), context=ADA)
        assert answers(output) == ["policy_denied"]
        assert "order.refund" not in output["next_allowed_tools"]
        offered = graph.instances.snapshot(thread(), principal=BEN).next_allowed_tools
        assert "order.refund" in offered

    @pytest.mark.parametrize(
        ("moment", "open_"),
        [
            ("2027-01-18T09:00", True),  # a Monday
            ("2027-01-18T08:59", False),
            ("2027-01-18T16:59", True),
            ("2027-01-18T17:00", False),
            ("2027-01-17T12:00", False),  # a Sunday
        ],
    )
    def test_working_hours(self, shop: Shop, home: Home, moment: str, open_: bool) -> None:
        berlin = dt.timezone(dt.timedelta(hours=1))
        at = dt.datetime.fromisoformat(moment).replace(tzinfo=berlin)
        home.clock.now = int(at.timestamp() * 1_000_000)
        policy = WorkingHours("09:00", "17:00", [shop.refund], timezone="Europe/Berlin")
        output = outcome(home, shop, [refund()], policy)
        assert answers(output) == (["ok"] if open_ else ["policy_denied"])

    @pytest.mark.parametrize(
        ("moment", "open_"),
        [
            ("2027-01-18T23:00", True),
            ("2027-01-19T05:59", True),  # still Monday's night
            ("2027-01-19T06:00", False),
            ("2027-01-18T05:00", False),  # Sunday's night is not among the days
        ],
    )
    def test_hours_may_pass_midnight(self, shop: Shop, home: Home, moment: str, open_: bool) -> None:
        at = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC)
        home.clock.now = int(at.timestamp() * 1_000_000)
        policy = WorkingHours("22:00", "06:00", [shop.refund], days=["mon"])
        assert answers(outcome(home, shop, [refund()], policy)) == (["ok"] if open_ else ["policy_denied"])


class Says(Policy):
    def __init__(self, name: str, ruling: Any) -> None:
        self.name = name
        self.ruling = ruling

    def judge(self, proposal: ProposalView) -> Any:
        return self.ruling


class TestInTheRecord:
    def test_their_order_and_outcome_are_in_the_record_of_what_was_done(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], policies=[Says("first", Allow()), Says("second", Allow())]))
        graph.invoke(said(), thread(), context=ADA)
        (record,) = [one for one in graph.instances.audit(thread()) if one.kind == "transition"]
        assert record.payload is not None
        assert [(one["policy"], one["ruling"]) for one in record.payload["policies"]] == [  # type: ignore[index, union-attr, call-overload]
            ("first", "allow"),
            ("second", "allow"),
        ]

    def test_the_first_no_ends_it_and_those_before_it_are_told_as_well(self, shop: Shop, home: Home) -> None:
        policies = [Says("first", Allow()), Says("second", Deny("not today")), Says("third", Deny("never"))]
        graph = home.compile(shop.workflow([refund()], policies=policies))
        output = graph.invoke(said(), thread(), context=ADA)
        details = output["last_result"]["error"]["details"]
        assert details["policy"] == "second"
        assert [(one["policy"], one["ruling"], one["reason"]) for one in details["rulings"]] == [
            ("first", "allow", None),
            ("second", "deny", "not today"),
        ]

    def test_the_approvals_of_several_policies_are_requested_one_after_another(self, shop: Shop, home: Home) -> None:
        policies = [
            Says("money", RequireApproval(Approval(role="supervisor"), "it costs")),
            Says("law", RequireApproval(Approval(role="manager"), "it is risky")),
            Says("again", RequireApproval(Approval(role="manager"), "it is late")),
        ]
        graph = home.compile(shop.workflow([refund()], policies=policies))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        assert shown["reasons"] == ["money: it costs", "law: it is risky", "again: it is late"]
        manager = Principal("dan", roles=frozenset({"manager"}))
        (then,) = asked(graph.invoke(Command(resume="approve"), thread(), context=BEN))
        assert (then["rule"]["role"], shop.ran) == ("manager", [])
        graph.invoke(Command(resume="approve"), thread(), context=manager)
        assert shop.ran == ["refund 1 5"]

    @pytest.mark.parametrize("what", [True, None, "deny", Deny])
    def test_an_invalid_ruling_does_not_permit_the_call(self, shop: Shop, home: Home, what: Any) -> None:
        graph = home.compile(shop.workflow([refund()], policies=[Says("odd", what)]))
        assert answers(graph.invoke(said(), thread(), context=ADA)) == ["rule_error"]
        assert shop.ran == []

    def test_a_policy_that_raises_is_a_denial(self, shop: Shop, home: Home) -> None:
        class Broken(Policy):
            def judge(self, proposal: ProposalView) -> Any:
                raise KeyError("limit")

        graph = home.compile(shop.workflow([refund()], policies=[Broken()]))
        assert answers(graph.invoke(said(), thread(), context=ADA)) == ["rule_error"]
        assert shop.ran == []

    def test_a_call_under_another_rule_since_its_approval_does_not_run_on_the_first(
        self, shop: Shop, home: Home
    ) -> None:
        """Approved by a supervisor; meanwhile so much was spent that a manager would have to be asked as well."""
        cap = SpendingCap(10, "amount", [shop.refund], per="tenant", otherwise=Approval(role="manager"))
        graph = home.compile(shop.workflow([refund(amount="6")], approval=Approval(role="supervisor"), policies=[cap]))
        (shown,) = asked(graph.invoke(said(), thread("a"), context=ADA))
        graph.instances.decide(shown["approvalId"], "approve", by=BEN)
        other = home.compile(shop.workflow([refund(amount="6")], approval=Approval(role="supervisor"), policies=[cap]))
        other.invoke(said(), thread("b"), context=MALLORY)
        other.invoke(Command(resume="approve"), thread("b"), context=BEN)
        shop.ran.clear()
        assert answers(graph.instances.resume(thread("a"))) == ["approval_void"]
        assert shop.ran == []

    def test_a_rule_that_was_tightened_voids_what_was_approved_under_the_old_one(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=Approval(role="supervisor")))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        graph.instances.decide(shown["approvalId"], "approve", by=BEN)
        tightened = home.compile(shop.workflow([], approval=Approval(role="manager")))
        assert answers(tightened.instances.resume(thread())) == ["approval_void"]
        assert shop.ran == []

    def test_another_limit_is_another_policy_and_voids_what_was_approved_under_the_first(
        self, shop: Shop, home: Home
    ) -> None:
        graph = home.compile(shop.workflow([refund()], approval=True, policies=[LimitPerRun(3, [shop.refund])]))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        graph.instances.decide(shown["approvalId"], "approve", by=BEN)
        changed = home.compile(shop.workflow([], approval=True, policies=[LimitPerRun(2, [shop.refund])]))
        assert answers(changed.instances.resume(thread())) == ["approval_void"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: LimitPerRun(-1, "a"),
        lambda: LimitPerRun(True, "a"),
        lambda: LimitPerRun(1, []),
        lambda: LimitPerRun(1, "a", otherwise=True),  # type: ignore[arg-type]
        lambda: LimitPerPeriod(1, "soon", "a"),
        lambda: LimitPerPeriod(1, "1h", "a", per="month"),
        lambda: SpendingCap("much", "amount", "a"),
        lambda: WorkingHours("9", "25:00", "a"),
        lambda: WorkingHours("09:00", "17:00", "a", timezone="Middle/Earth"),
        lambda: WorkingHours("09:00", "17:00", "a", days=["monday"]),
        lambda: WorkingHours("09:00", "17:00", "a", days=[]),
    ],
)
def test_policies_that_cannot_be_are_refused_where_they_are_written(make: Any) -> None:
    with pytest.raises(ContractError):
        make()


def test_a_sensitive_argument_cannot_be_added_up() -> None:
    from interlock import command

    @command("pay.out", sensitive=["amount"])
    def pay(amount: int) -> bool:
        """Pay."""
        return True

    with pytest.raises(ContractError, match="a sensitive argument of"):
        SpendingCap(1, "amount", [pay])
