"""Looking through approvals: pages in a stable order, filters, and 10,000 that wait."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import WorkflowGraph
from interlock.checkpointing.store import ApprovalRequest
from interlock.checkpointing.store import approvals as approval_rows
from interlock.tools import InputError
from tests.commands.approvals.support import ADA, BEN, RULE, STRANGER, Home, Shop, pending, refund, said, thread


def everything(graph: WorkflowGraph, limit: int, **filters: Any) -> list[ApprovalRequest]:
    """All pages, one after another."""
    found: list[ApprovalRequest] = []
    after: str | None = None
    while True:
        page = graph.instances.approvals(limit=limit, after=after, **filters)
        found += page.approvals
        after = page.next
        if after is None:
            return found


def more(graph: WorkflowGraph, number: int) -> None:
    """So many requests more, like the one that is there; some at the same moment."""
    (like,) = graph.instances.approvals(tenant=None, limit=1).approvals
    with graph.engine.store.write() as connection:
        for one in range(number):
            approval_rows.insert(
                connection,
                replace(
                    like,
                    approval_id=f"apr_{one:06}",
                    idempotency_key=f"key_{one:06}",
                    requested_at=like.requested_at + one // 3,
                ),
            )


@pytest.fixture
def graph(shop: Shop, home: Home) -> WorkflowGraph:
    graph = home.compile(shop.workflow([refund(), refund()], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    return graph


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_pages_give_each_once_and_the_oldest_first(graph: WorkflowGraph, limit: int) -> None:
    more(graph, 20)
    found = everything(graph, limit)
    keys = [(one.requested_at, one.approval_id) for one in found]
    assert len(keys) == 21
    assert keys == sorted(set(keys))


def test_decisions_between_two_pages_do_not_shift_the_next_page(graph: WorkflowGraph) -> None:
    more(graph, 20)
    first = graph.instances.approvals(limit=10)
    with graph.engine.store.write() as connection:
        for one in first.approvals[:5]:
            approval_rows.update(connection, one, replace(one, status=approval_rows.ApprovalStatus.VOID))
    second = graph.instances.approvals(limit=20, after=first.next)
    assert len(second.approvals) == 11
    assert not {one.approval_id for one in first.approvals} & {one.approval_id for one in second.approvals}


def test_a_listing_of_approvals_can_be_filtered(graph: WorkflowGraph) -> None:
    graph.invoke(said(), thread("t-2"), context=STRANGER)
    approval_id = pending(graph, thread())
    assert [one.approval_id for one in everything(graph, 10)] == [approval_id]
    assert len(everything(graph, 10, tenant=None)) == 2
    assert len(everything(graph, 10, tenant="elsewhere")) == 1
    assert everything(graph, 10, tool="order.cancel") == []
    graph.instances.decide(approval_id, "reject", by=BEN)
    assert everything(graph, 10) == []
    assert [one.approval_id for one in everything(graph, 10, status="rejected")] == [approval_id]
    assert [one.approval_id for one in everything(graph, 10, status=None)] == [approval_id]


@pytest.mark.parametrize(
    "asked",
    [{"limit": 0}, {"limit": 1001}, {"limit": True}, {"after": "yesterday"}, {"after": "1."}, {"status": "lost"}],
)
def test_an_invalid_limit_or_cursor_is_refused(graph: WorkflowGraph, asked: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        graph.instances.approvals(**asked)


class _Counted:
    """The statements that run within a block."""

    def __init__(self, graph: WorkflowGraph) -> None:
        self._engine = graph.engine.store.database.engine
        self.statements: list[str] = []

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.statements.append(statement)

    def __enter__(self) -> _Counted:
        sa.event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self._engine, "before_cursor_execute", self._note)


class TestTenThousand:
    @pytest.fixture
    def graph(self, graph: WorkflowGraph) -> WorkflowGraph:
        more(graph, 10_000)
        return graph

    def test_a_page_takes_under_50_milliseconds(self, graph: WorkflowGraph) -> None:
        first = graph.instances.approvals()
        took = []
        after = first.next
        for _ in range(15):
            began = time.perf_counter()
            page = graph.instances.approvals(after=after)
            took.append(time.perf_counter() - began)
            after = page.next
            assert len(page.approvals) == 50
        assert statistics.median(took) < 0.05

    def test_a_page_is_read_off_an_index_without_sorting(self, graph: WorkflowGraph) -> None:
        after = graph.instances.approvals().next
        with _Counted(graph) as counted:
            graph.instances.approvals(after=after)
        (statement,) = [one for one in counted.statements if "workflow_approvals" in one]
        with graph.engine.store.read() as connection:
            filled = (statement.count("?")) * ("x",)
            plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", filled))
        assert "ix_workflow_approvals_pending" in plan
        assert "TEMP B-TREE" not in plan

    def test_one_decision_costs_what_it_costs_among_few(self, graph: WorkflowGraph, shop: Shop, home: Home) -> None:
        few = home.compile(shop.workflow([refund()], approval=RULE))
        few.invoke(said(), thread("t-few"), context=ADA)
        with _Counted(few) as among_many:
            few.instances.decide(pending(few, thread("t-few")), "approve", by=BEN)
        with few.engine.store.write() as connection:
            connection.exec_driver_sql("DELETE FROM workflow_approvals WHERE approval_id LIKE 'apr_00%'")
        few.invoke(said(), thread("t-few-2"), context=ADA)
        assert few.instances.tick().lapsed == []
        other = home.compile(shop.workflow([refund()], approval=RULE))
        other.invoke(said(), thread("t-few-3"), context=ADA)
        with _Counted(other) as among_few:
            other.instances.decide(pending(other, thread("t-few-3")), "approve", by=BEN)
        assert among_many.statements == among_few.statements
        with few.engine.store.read() as connection:
            for statement in {one for one in among_many.statements if one.startswith(("SELECT", "UPDATE"))}:
                filled = statement.count("?") * ("x",)
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", filled):
                    assert "SCAN workflow_" not in row[3], statement
