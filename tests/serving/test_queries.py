"""What is looked up for a caller, whatever else there is: their own approvals, words of data, figures that are remembered."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from interlock.checkpointing.reports.attention import attention
from interlock.checkpointing.tables.workflow import instances
from interlock.serving.queries import open_approvals
from interlock.serving.queries.figures import Figures
from tests.serving.desk import Served, served


def asked(at: Served, who: str, key: str = "k-1") -> tuple[str, str]:
    workflow_id = at.started(who)
    pending = at.propose(workflow_id, "order.refund", who, key, orderId="W-7", amount="4.00")
    return workflow_id, str(pending.json()["pending"]["proposalId"])


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_approvals, "LOOKED_AT", 4)
    monkeypatch.setattr(open_approvals, "_AT_ONCE", 2)


def test_a_customer_is_shown_what_serves_them_behind_however_many_of_others(few_at_once: None) -> None:
    with served() as at:
        for _ in range(8):
            asked(at, "kim")
        _, theirs = asked(at, "lee")
        page = at.get("/console/attention", "lee").text
        assert theirs in page
        assert page.count("/console/approvals/apr_") == 1


def test_an_approver_is_shown_the_oldest_of_those_that_they_are_asked_about(few_at_once: None) -> None:
    with served() as at:
        approvals = [asked(at, "kim")[1] for _ in range(6)]
        page = at.get("/console/attention", "sue").text
        assert [one in page for one in approvals] == [True] * 4 + [False] * 2
        ticked = at.get("/console/approvals", "sue").text
        assert [one in ticked for one in approvals] == [True] * 4 + [False] * 2
        assert "apr_" not in at.get("/console/approvals", "lee").text


def test_an_operator_asks_for_one_person_alone() -> None:
    with served() as at:
        _, kims = asked(at, "kim")
        _, lees = asked(at, "lee")
        page = at.get("/console/attention?person=lee", "olga").text
        assert lees in page
        assert kims not in page


def test_an_instance_is_found_by_a_word_of_its_data_and_by_nothing_that_is_sensitive(monkeypatch: Any) -> None:
    with served() as at:
        workflow_id = at.started("kim")
        data = '{"refunded": "4.00", "note": "The Kettle leaks"}'
        with at.graph.engine.store.write() as connection:
            connection.execute(instances.update().where(instances.c.workflow_id == workflow_id).values(data=data))
        for who, finds in (("olga", True), ("kim", True), ("lee", False), ("foreign", False)):
            assert (workflow_id in at.get("/console/attention?find=kettle", who).text) is finds
        assert workflow_id not in at.get("/console/attention?find=kettles", "olga").text
        monkeypatch.setitem(at.graph.engine.definition.__dict__, "sensitive", frozenset({"note"}))
        assert workflow_id not in at.get("/console/attention?find=kettle", "olga").text


def test_records_are_read_page_by_page() -> None:
    with served() as at:
        workflow_id, _ = asked(at, "kim")
        at.propose(workflow_id, "order.get", key=None, orderId="W-7")
        whole = at.graph.instances.audit(workflow_id)
        assert len(whole) > 2
        assert at.graph.instances.audit(workflow_id, after=1, limit=1) == whole[1:2]
        first = at.get(f"/v1/instances/{workflow_id}/audit?limit=2").json()
        rest = at.get(f"/v1/instances/{workflow_id}/audit?limit=2&after={first['next']}").json()
        numbers = [one["number"] for one in (*first["records"], *rest["records"])]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_figures_are_counted_once_and_then_shown_as_of_when_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    figures, counted = Figures(), []

    def count() -> int:
        counted.append(threading.get_ident())
        return len(counted)

    assert (await figures.of(("t", "desk"), count))[0] == 1
    assert (await figures.of(("t", "desk"), count))[0] == 1
    assert (await figures.of(("other", "desk"), count))[0] == 2
    figures._remembered["t", "desk"].is_due = 0
    assert (await figures.of(("t", "desk"), count))[0] == 1
    await figures.close()
    assert (await figures.of(("t", "desk"), count))[0] == 3


def test_unknown_outcomes_are_read_off_their_index_and_not_off_the_whole_ledger(tmp_path: Any) -> None:
    with served(f"sqlite:///{tmp_path / 'desk.db'}") as at:
        at.started("kim")
        store, said = at.graph.engine.store, list[tuple[str, Any]]()

        @sa.event.listens_for(store.database.engine, "after_cursor_execute")
        def executed(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
            if "lease_until <" in statement:
                said.append((statement, parameters))

        with store.read() as connection:
            attention(connection, tenant="default", now=1, kinds=["unknown"])
            (one,) = [*said]
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one[0]}", one[1])]
        assert any("ix_workflow_ledger_unsettled" in line for line in plan), plan
        assert not any(line.startswith(("SCAN workflow_ledger", "SCAN workflow_instances")) for line in plan), plan
