"""Which requests a tick finds: of its workflow, from the moment that they are due, the longest overdue first, and none before its retry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from interlock import WorkflowStore
from interlock.checkpointing.store import ApprovalRequest, ApprovalStatus, approval_listing
from interlock.checkpointing.store import approvals as approval_rows
from interlock.checkpointing.store.settled import claims
from interlock.checkpointing.store.settled.stops import Kind, Stop
from tests.commands.approvals.support import ADA, RULE, Clock, Shop, refund, said, thread

NOW = 1_800_000_000_000_000


@pytest.fixture
def like(shop: Shop) -> ApprovalRequest:
    """A request like those that the tests write."""
    store = WorkflowStore.in_memory(clock=Clock())
    graph = shop.workflow([refund()], approval=RULE).compile(workflow_store=store, destructive_in_memory=True)
    graph.invoke(said(), thread(), context=ADA)
    (found,) = graph.instances.approvals(limit=1).approvals
    store.close()
    return found


class Rows:
    """Requests, named by what the tests call them."""

    def __init__(self, like: ApprovalRequest) -> None:
        self.store = WorkflowStore.in_memory()
        self._like = like

    def add(self, name: str, **changes: Any) -> None:
        changes = {"approval_id": name, "idempotency_key": name, "expires_at": None, **changes}
        with self.store.write() as connection:
            approval_rows.insert(connection, replace(self._like, **changes))

    def failed(self, kind: Kind, name: str, *, until: int) -> None:
        """Note that a tick could not carry something out, and tries it again then."""
        with self.store.write() as connection:
            stop = Stop(kind, self._like.workflow_id, name)
            claims.note(connection, stop, workflow="shop", now=NOW, at=until)

    def found(self, look: Any, now: int = NOW, workflow: str = "shop", limit: int = 10) -> list[str]:
        connection: Connection
        with self.store.read() as connection:
            return [name for name, _ in look(connection, workflow=workflow, now=now, limit=limit)]


@pytest.fixture
def rows(like: ApprovalRequest) -> Rows:
    return Rows(like)


class TestDeadlines:
    def test_a_request_is_due_at_its_deadline_and_not_before(self, rows: Rows) -> None:
        rows.add("a", expires_at=NOW)
        assert rows.found(approval_listing.due, NOW - 1) == []
        assert rows.found(approval_listing.due, NOW) == ["a"]

    def test_the_longest_overdue_comes_first_whatever_its_name(self, rows: Rows) -> None:
        for name, late in (("a", 1), ("b", 3), ("c", 2)):
            rows.add(name, expires_at=NOW - late)
        assert rows.found(approval_listing.due) == ["b", "c", "a"]
        assert rows.found(approval_listing.due, limit=2) == ["b", "c"]

    def test_only_open_requests_of_the_workflow_are_due(self, rows: Rows) -> None:
        rows.add("ours", expires_at=NOW)
        rows.add("decided", expires_at=NOW, status=ApprovalStatus.REJECTED)
        rows.add("of another workflow", expires_at=NOW, workflow="desk")
        rows.add("without a deadline")
        assert rows.found(approval_listing.due) == ["ours"]
        assert rows.found(approval_listing.due, workflow="desk") == ["of another workflow"]

    def test_one_that_could_not_be_carried_out_waits_for_its_retry(self, rows: Rows) -> None:
        rows.add("a", expires_at=NOW)
        rows.add("b", expires_at=NOW)
        rows.failed(Kind.DEADLINE, "a", until=NOW + 10)
        rows.failed(Kind.PROPOSAL, "b", until=NOW + 10)  # of something else than its deadline
        assert rows.found(approval_listing.due) == ["b"]
        assert rows.found(approval_listing.due, NOW + 10) == ["a", "b"]


class TestReminders:
    def test_a_reminder_is_due_at_its_moment_for_open_requests_of_the_workflow(self, rows: Rows) -> None:
        rows.add("a", remind_at=NOW)
        rows.add("b", remind_at=NOW - 1)
        rows.add("later", remind_at=NOW + 1)
        rows.add("never", remind_at=None)
        rows.add("decided", remind_at=NOW, status=ApprovalStatus.APPROVED)
        rows.add("of another workflow", remind_at=NOW, workflow="desk")
        assert rows.found(approval_listing.reminders) == ["b", "a"]
        assert rows.found(approval_listing.reminders, limit=1) == ["b"]


class TestGranted:
    AT_THE_DOOR = {"thread_id": None, "interrupt_id": None, "status": ApprovalStatus.APPROVED}  # noqa: RUF012

    def test_granted_proposals_are_executed_in_order_by_their_own_workflow(self, rows: Rows) -> None:
        rows.add("a", decided_at=NOW - 1, **self.AT_THE_DOOR)
        rows.add("b", decided_at=NOW - 2, **{**self.AT_THE_DOOR, "status": ApprovalStatus.EDITED})
        rows.add("of another workflow", decided_at=NOW, **self.AT_THE_DOOR, workflow="desk")
        rows.add("used", decided_at=NOW, **{**self.AT_THE_DOOR, "status": ApprovalStatus.USED})
        rows.add("rejected", decided_at=NOW, **{**self.AT_THE_DOOR, "status": ApprovalStatus.REJECTED})
        assert rows.found(approval_listing.granted) == ["b", "a"]
        assert rows.found(approval_listing.granted, limit=1) == ["b"]

    def test_an_approval_that_a_graph_requested_is_executed_by_that_graph(self, rows: Rows) -> None:
        rows.add("stopped", decided_at=NOW, **{**self.AT_THE_DOOR, "interrupt_id": "i", "thread_id": "t"})
        rows.add("continued", decided_at=NOW, **{**self.AT_THE_DOOR, "thread_id": "t"})
        assert rows.found(approval_listing.granted) == []

    def test_one_that_failed_waits_for_its_retry(self, rows: Rows) -> None:
        rows.add("a", decided_at=NOW, **self.AT_THE_DOOR)
        rows.failed(Kind.PROPOSAL, "a", until=NOW + 10)
        assert rows.found(approval_listing.granted) == []
        assert rows.found(approval_listing.granted, NOW + 10) == ["a"]
