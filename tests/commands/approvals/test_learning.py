"""What decisions teach: per tool, state and approver, as rows for a table, and as examples for evaluation."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from interlock import Approval, WorkflowGraph
from interlock.tools import InputError
from tests.commands.approvals.support import (
    ADA,
    BEN,
    CAT,
    HOUR,
    MINUTE,
    RULE,
    Home,
    Shop,
    pending,
    refund,
    said,
    thread,
)


@pytest.fixture
def graph(shop: Shop, home: Home) -> WorkflowGraph:
    """Six refunds that were asked about: accepted, accepted, edited, rejected, expired, pending; and one that was denied."""
    graph = home.compile(
        shop.workflow([*[refund(str(number)) for number in range(6)], refund("unpaid")], approval=RULE)
    )
    answers: list[tuple[Any, Any, int] | None] = [
        (BEN, "approve", 1),
        (CAT, "approve", 3),
        (BEN, {"type": "edit", "args": {"orderId": "2", "amount": "1"}, "message": "half of it"}, 5),
        (BEN, {"type": "reject", "message": "no receipt"}, 7),
        None,
        None,
    ]
    for number, answer in enumerate(answers):
        if number == 5:
            home.clock.advance(25 * HOUR)
            graph.instances.tick(resume=False)
        graph.invoke(said(), thread(f"t-{number}"), context=ADA)
        if answer is not None:
            by, decision, minutes = answer
            home.clock.advance(minutes * MINUTE)
            graph.instances.decide(pending(graph, thread(f"t-{number}")), decision, by=by)
    graph.invoke(said(), thread("t-9"), context=ADA)
    return graph


def test_outcomes_per_tool_state_and_approver(graph: WorkflowGraph) -> None:
    rows = {row["approver"]: row for row in graph.instances.outcomes()}
    assert {row["tool"] for row in rows.values()} == {"order.refund"}
    assert {row["state"] for row in rows.values()} == {"open"}
    ben, cat, nobody = rows["ben"], rows["cat"], rows[None]
    assert (ben["proposals"], ben["accepted"], ben["edited"], ben["rejected"]) == (3, 1, 1, 1)
    assert ben["edited_fields"] == {"amount": 1}
    assert ben["reasons"] == {"no receipt": 1}
    assert ben["seconds_to_decide_median"] == 5 * MINUTE
    assert ben["accepted_share"] == pytest.approx(1 / 3)
    assert (cat["proposals"], cat["accepted"]) == (1, 1)
    assert (nobody["expired"], nobody["pending"], nobody["accepted_share"]) == (1, 1, None)


def test_outcomes_per_tool_alone(graph: WorkflowGraph) -> None:
    (row,) = graph.instances.outcomes(by=["tool"])
    assert (row["proposals"], row["accepted"], row["edited"], row["rejected"]) == (6, 2, 1, 1)
    assert "approver" not in row


def test_two_who_decide_on_one_count_each_for_themselves_and_once_together(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=Approval(role="supervisor", count=2)))
    graph.invoke(said(), thread(), context=ADA)
    graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
    graph.instances.decide(pending(graph, thread()), {"type": "reject"}, by=CAT)
    by_approver = {row["approver"]: (row["accepted"], row["rejected"]) for row in graph.instances.outcomes()}
    assert by_approver == {"ben": (1, 0), "cat": (0, 1)}
    (together,) = graph.instances.outcomes(by=["tool"])
    assert (together["proposals"], together["accepted"], together["rejected"]) == (1, 0, 1)


def test_rows_are_flat_enough_for_a_data_frame(graph: WorkflowGraph) -> None:
    for rows in (graph.instances.outcomes(), graph.instances.tool_stats()):
        assert len({tuple(row) for row in rows}) == 1
        for row in rows:
            assert all(isinstance(name, str) for name in row)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(graph.instances.outcomes())
    assert frame["proposals"].sum() == 6


def test_they_can_be_limited_to_a_time_and_a_tenant(graph: WorkflowGraph, home: Home) -> None:
    now = dt.datetime.fromtimestamp(home.clock.now / 1_000_000, dt.UTC)
    (row,) = graph.instances.outcomes(by=["tool"], since=now - dt.timedelta(hours=1))
    assert row["proposals"] == 1
    assert graph.instances.outcomes(tenant="elsewhere") == []
    assert sum(row["proposals"] for row in graph.instances.outcomes(by=["tool"], tenant=None)) == 6


def test_an_unknown_grouping_is_refused(graph: WorkflowGraph) -> None:
    with pytest.raises(InputError, match="weather"):
        graph.instances.outcomes(by=["weather"])


def test_the_report_counts_the_results_of_tools(shop: Shop, home: Home) -> None:
    from interlock.testing import call

    steps = [call("order.get", orderId="1"), refund(), refund("unpaid"), refund("unpaid"), call("desk.burn")]
    graph = home.compile(shop.workflow(steps))
    graph.invoke(said(), thread(), context=ADA)
    rows = {row["tool"]: row for row in graph.instances.tool_stats()}
    assert rows["order.get"]["reads"] == 1
    refunds = rows["order.refund"]
    assert (refunds["carried_out"], refunds["denied"], refunds["retries"]) == (1, 2, 0)
    assert refunds["denials"] == {"check_failed": 2}
    assert rows["desk_burn"]["denials"] == {"unknown_tool": 1}


def test_examples_are_what_people_changed_or_refused(graph: WorkflowGraph) -> None:
    edited, rejected = graph.instances.examples()
    assert edited["outcome"] == "edited"
    assert edited["proposed"] == {"orderId": "2", "amount": "5"}
    assert edited["edited"] == {"orderId": "2", "amount": "1"}
    assert (edited["editedFields"], edited["reason"], edited["approver"]) == (["amount"], "half of it", "ben")
    assert (rejected["outcome"], rejected["edited"], rejected["reason"]) == ("rejected", None, "no receipt")


def test_reports_of_an_unused_workflow_are_empty(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([]))
    assert graph.instances.outcomes() == []
    assert graph.instances.tool_stats() == []
    assert list(graph.instances.examples()) == []
