"""Ready-made policies: what they count, what they say, and what an approval under them is bound to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import pytest

from interlock import Approval, LimitPerPeriod, LimitPerRun, Principal, RequireRole, SpendingCap, WorkingHours, command
from interlock.rules.policies import Allow, Deny, Per, ProposalView, RequireApproval
from interlock.rules.view import GuardView
from interlock.tools import ContractError

NOW = 1_800_000_000_000_000  # a Friday, 08:00 UTC
HOUR = 3_600_000_000


@command("order.pay", effect="transactional")
def pay(amount: Decimal) -> str:
    """Pay."""
    return "paid"


@command("order.close", effect="transactional")
def close() -> str:
    """Close."""
    return "closed"


class Told:
    """A history that remembers what it was asked, and answers what it was told."""

    def __init__(self, times: int = 0, total: Decimal | None = Decimal(0)) -> None:
        self.asked: list[Any] = []
        self._times, self._total = times, total

    def times(self, tools: Collection[str], *, per: Per, since: int | None) -> int:
        self.asked.append((sorted(tools), per, since))
        return self._times

    def total(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Decimal | None:
        self.asked.append((sorted(tools), field, per, since))
        return self._total

    def amounts(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Any:
        raise AssertionError("nothing asks for single amounts")


def proposal(history: Any, tool: Any = pay, now: int = NOW, roles: Any = (), **arguments: Any) -> ProposalView:
    view = GuardView("wf", "open", None, Principal("ann", roles=frozenset(roles)), 0)
    return ProposalView(tool, arguments, view, {}, now, history)


@pytest.mark.parametrize(
    ("policy", "asked", "said"),
    [
        (LimitPerRun(2, [pay, close]), (["order.close", "order.pay"], Per.RUN, None),
         "at most 2 calls of order.close, order.pay in this run, and there were 2"),
        (LimitPerRun(1, "order.pay"), (["order.pay"], Per.RUN, None), "at most 1 call of order.pay in this run, and there were 2"),
        (LimitPerPeriod(2, "24h", pay), (["order.pay"], Per.PRINCIPAL, NOW - 24 * HOUR),
         "at most 2 calls of order.pay for this principal within 24h, and there were 2"),
        (LimitPerPeriod(0, "30m", pay, per="tenant"), (["order.pay"], Per.TENANT, NOW - HOUR // 2),
         "at most 0 calls of order.pay in all within 30m, and there were 2"),
        (LimitPerPeriod(2, dt.timedelta(hours=1), pay, per=Per.RUN), (["order.pay"], Per.RUN, NOW - HOUR),
         "at most 2 calls of order.pay in this run within 1:00:00, and there were 2"),
    ],
)  # fmt: skip
def test_a_limit_counts_its_tools_over_its_time_and_says_so(policy: Any, asked: Any, said: str) -> None:
    history = Told(times=2)

    ruling = policy.judge(proposal(history, amount="1"))

    assert ruling == Deny(said, retryable=isinstance(policy, LimitPerPeriod))
    assert history.asked == [asked]


def test_a_limit_allows_as_many_as_it_says() -> None:
    assert isinstance(LimitPerRun(3, pay).judge(proposal(Told(times=2))), Allow)
    assert isinstance(LimitPerRun(3, pay).judge(proposal(Told(times=3))), Deny)


def test_a_policy_is_about_its_own_tools_alone() -> None:
    history = Told(times=9)
    assert isinstance(LimitPerRun(0, pay).judge(proposal(history, close)), Allow)
    assert history.asked == []
    assert RequireRole("boss", pay).hides(close, proposal(None).view) is None


@pytest.mark.parametrize(
    ("spent", "asked", "said"),
    [
        (Decimal("4"), "6", None),
        (Decimal("4"), "6.01", "amount may come to 10 for this principal within 2d; 4 was spent, and this would be 6.01 more"),
        (Decimal("10"), "-3", None),
        (Decimal("10.5"), "-3", "amount may come to 10 for this principal within 2d; 10.5 was spent, and this would be -3 more"),
        (Decimal("10"), "0", None),
        (None, "1", "an earlier amount cannot be read, so the sum is not known"),
        (Decimal("0"), "much", "amount is not an amount"),
    ],
)  # fmt: skip
def test_a_cap_lets_the_sum_come_to_its_bound_and_no_further(
    spent: Decimal | None, asked: str, said: str | None
) -> None:
    policy, history = SpendingCap("10", "amount", pay, within="2d", per="principal"), Told(total=spent)

    ruling = policy.judge(proposal(history, amount=asked))

    assert ruling == (Allow() if said is None else Deny(said, retryable=True))
    assert history.asked in ([], [(["order.pay"], "amount", Per.PRINCIPAL, NOW - 48 * HOUR)])


@pytest.mark.parametrize(("spent", "stops"), [("9.99", False), ("10", True), ("10.01", True), (None, False)])
def test_a_cap_that_is_used_up_stops_every_call(spent: str | None, stops: bool) -> None:
    history = Told(total=None if spent is None else Decimal(spent))
    reason = SpendingCap("10", "amount", pay).stops(proposal(history))
    assert (reason is not None) is stops


def test_a_cap_over_all_time_is_never_lifted_by_waiting() -> None:
    ruling = SpendingCap(10, "amount", [pay]).judge(proposal(Told(total=Decimal(10)), amount="1"))
    assert ruling == Deny("amount may come to 10 in this run; 10 was spent, and this would be 1 more", retryable=False)


def test_otherwise_is_asked_for_instead_of_a_denial() -> None:
    rule = Approval(role="boss")
    policy = LimitPerRun(0, pay, otherwise=rule)
    ruling = policy.judge(proposal(Told()))
    assert ruling == RequireApproval(rule, "at most 0 calls of order.pay in this run, and there were 0")
    assert (policy.may_require_approval(pay), policy.may_require_approval(close)) == (True, False)
    assert LimitPerRun(0, pay).may_require_approval(pay) is False
    assert SpendingCap(1, "amount", pay, otherwise=rule).may_require_approval(pay) is True


def test_a_role_is_asked_for_where_tools_are_offered_and_where_they_are_called() -> None:
    policy = RequireRole("boss", pay)
    assert policy.hides(pay, proposal(None).view) == "it takes the role 'boss'"
    assert policy.hides(pay, proposal(None, roles=["boss"]).view) is None
    assert policy.judge(proposal(None)) == Deny("it takes the role 'boss'", retryable=False)
    assert isinstance(policy.judge(proposal(None, roles=["boss"])), Allow)


WEEK = WorkingHours("09:00", "17:30", pay)
NIGHT = WorkingHours("22:00", "06:00", pay, days=["sat", "fri"], timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("policy", "at", "said"),
    [
        (WEEK, "2027-01-15T09:00", None),
        (WEEK, "2027-01-15T08:59", "only from 09:00 to 17:30 (UTC) on mon, tue, wed, thu, fri, and it is Fri 08:59"),
        (WEEK, "2027-01-15T17:29", None),
        (WEEK, "2027-01-15T17:30", "only from 09:00 to 17:30 (UTC) on mon, tue, wed, thu, fri, and it is Fri 17:30"),
        (WEEK, "2027-01-16T12:00", "only from 09:00 to 17:30 (UTC) on mon, tue, wed, thu, fri, and it is Sat 12:00"),
        (WEEK, "2027-01-18T12:00", None),
        (NIGHT, "2027-01-15T21:00", None),
        (NIGHT, "2027-01-15T20:59", "only from 22:00 to 06:00 (Europe/Berlin) on fri, sat, and it is Fri 21:59"),
        (NIGHT, "2027-01-16T04:59", None),
        (NIGHT, "2027-01-17T04:59", None),
        (NIGHT, "2027-01-17T05:00", "only from 22:00 to 06:00 (Europe/Berlin) on fri, sat, and it is Sun 06:00"),
        (NIGHT, "2027-01-17T21:00", "only from 22:00 to 06:00 (Europe/Berlin) on fri, sat, and it is Sun 22:00"),
        (NIGHT, "2027-01-15T04:00", "only from 22:00 to 06:00 (Europe/Berlin) on fri, sat, and it is Fri 05:00"),
    ],
)
def test_hours_are_those_of_the_zone_and_a_night_belongs_to_the_day_that_it_begins_on(
    policy: WorkingHours, at: str, said: str | None
) -> None:
    now = int(dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC).timestamp() * 1_000_000)
    assert policy.judge(proposal(None, now=now)) == (Allow() if said is None else Deny(said, retryable=True))


@pytest.mark.parametrize(
    ("policy", "stamp"),
    [
        (LimitPerRun(2, [pay, close]), ["LimitPerRun", 1, ["order.close", "order.pay"], None, [2, None, "run"]]),
        (LimitPerPeriod(2, "1h", pay, name="slow"), ["slow", 1, ["order.pay"], None, [2, 3600.0, "principal"]]),
        (SpendingCap("10.50", "a.b", "order.pay", within="1m"), ["SpendingCap", 1, ["order.pay"], None, ["10.50", "a.b", 60.0, "run"]]),
        (RequireRole("boss", pay, name="bosses"), ["bosses", 1, ["order.pay"], None, "boss"]),
        (WorkingHours("09:00", "17:00", pay, name="day"),
         ["day", 1, ["order.pay"], None, ["09:00:00", "17:00:00", ["mon", "tue", "wed", "thu", "fri"], "UTC"]]),
        (SpendingCap(1, "a", pay, name="cap"), ["cap", 1, ["order.pay"], None, ["1", "a", None, "run"]]),
        (RequireRole("boss", pay), ["RequireRole", 1, ["order.pay"], None, "boss"]),
        (NIGHT, ["WorkingHours", 1, ["order.pay"], None, ["22:00:00", "06:00:00", ["fri", "sat"], "Europe/Berlin"]]),
    ],
)  # fmt: skip
def test_an_approval_is_bound_to_all_that_a_policy_was_given(policy: Any, stamp: Any) -> None:
    """Written out: an approval that was given under one release is not voided by the next one."""
    assert policy.stamp() == stamp


def test_each_is_called_as_it_was_named() -> None:
    named = [
        LimitPerRun(1, pay, name="a"),
        LimitPerPeriod(1, "1h", pay, name="b"),
        SpendingCap(1, "amount", pay, name="c"),
        RequireRole("boss", pay, name="d"),
        WorkingHours("09:00", "17:00", pay, name="e"),
    ]
    assert [policy.label for policy in named] == ["a", "b", "c", "d", "e"]


def test_what_it_asks_instead_is_part_of_what_it_was_given() -> None:
    rule = Approval(role="boss")
    assert LimitPerRun(0, pay, otherwise=rule).stamp()[3] == rule.to_json()  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LimitPerRun(-1, pay), r"LimitPerRun\(-1\): give a whole number from 0"),
        (lambda: LimitPerRun(True, pay), r"LimitPerRun\(True\)"),
        (lambda: LimitPerRun(1.5, pay), r"LimitPerRun\(1.5\)"),  # type: ignore[arg-type]
        (lambda: LimitPerPeriod(-1, "1h", pay), r"LimitPerPeriod\(-1\): give a whole number from 0"),
        (
            lambda: LimitPerPeriod(1, "1h", pay, per="week"),
            r"LimitPerPeriod\(per='week'\): give one of run, principal, tenant",
        ),
        (lambda: LimitPerRun(1, []), "LimitPerRun is about no tool"),
        (lambda: LimitPerRun(1, pay, otherwise="boss"), r"LimitPerRun\(otherwise='boss'\)"),  # type: ignore[arg-type]
        (lambda: SpendingCap("much", "amount", pay), r"SpendingCap\('much'\): give a number"),
        (lambda: WorkingHours("9", "x", pay), "Give hours such as"),
        (lambda: WorkingHours("09:00", "17:00", pay, timezone="Mars"), "Give hours such as"),
        (lambda: WorkingHours("09:00", "17:00", pay, days=["someday"]), "give some of mon, tue"),
        (lambda: WorkingHours("09:00", "17:00", pay, days=["mon", "someday"]), "give some of mon, tue"),
        (lambda: WorkingHours("09:00", "17:00", pay, days=[]), "give some of mon, tue"),
        (lambda: LimitPerRun(1, pay).judge(proposal(None)), "LimitPerRun counts what was done before"),
    ],
)
def test_what_cannot_be_a_policy_is_refused_where_it_is_written(make: Any, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        make()
