"""The life of an approval: every step from every status, by both ways in, and nothing else is ever written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from langgraph.types import Command

from interlock import WorkflowGraph
from interlock.checkpointing.store import FOLLOWS, ApprovalStatus
from interlock.checkpointing.store import approvals as approval_rows
from interlock.tools import InterlockError
from tests.commands.approvals.support import (
    ADA,
    BEN,
    HOUR,
    RULE,
    Home,
    Shop,
    kinds,
    pending,
    refund,
    said,
    status,
    thread,
)

APPROVE: Any = {"type": "approve"}
EDIT: Any = {"type": "edit", "args": {"orderId": "1", "amount": "4"}}
REJECT: Any = {"type": "reject", "message": "too much"}
RESPOND: Any = {"type": "respond", "message": "ask for the receipt first"}


@dataclass
class Life:
    """One approval, and the ways to do something to it."""

    shop: Shop
    home: Home
    graph: WorkflowGraph
    approval_id: str

    @classmethod
    def begin(cls, shop: Shop, home: Home) -> Life:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        return cls(shop, home, graph, pending(graph, thread()))

    @property
    def status(self) -> str:
        return status(self.graph, self.approval_id)

    def resume(self, answer: Any) -> None:
        self.graph.invoke(Command(resume={self.approval_id: answer}), thread(), context=BEN)

    def decide(self, answer: Any) -> None:
        self.graph.instances.decide(self.approval_id, answer, by=BEN)

    def to(self, status: str) -> None:
        """Bring the approval to a status by what brings it there in life."""
        match status:
            case "requested":
                pass
            case "approved":
                self.decide(APPROVE)
            case "edited":
                self.decide(EDIT)
            case "rejected":
                self.decide(REJECT)
            case "responded":
                self.decide(RESPOND)
            case "expired":
                self.home.clock.advance(25 * HOUR)
                self.graph.instances.tick(resume=False)
            case "void":
                self.graph.instances.execute(thread(), "desk.park", {"orderId": "1"}, principal=ADA)
                with pytest.raises(InterlockError):
                    self.decide(APPROVE)
            case "withdrawn":
                self.graph.instances.withdraw(self.approval_id, by=ADA)
            case "used":
                self.resume(APPROVE)
        assert self.status == status


@pytest.fixture
def life(shop: Shop, home: Home) -> Life:
    return Life.begin(shop, home)


WAYS: dict[str, Callable[[Life, Any], None]] = {"resume": Life.resume, "out of band": Life.decide}
AFTER = {"approve": "approved", "edit": "edited", "reject": "rejected", "respond": "responded"}
DECISIONS = {"approve": APPROVE, "edit": EDIT, "reject": REJECT, "respond": RESPOND}
CLOSED = ("approved", "edited", "rejected", "responded", "expired", "withdrawn", "void", "used")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("decision", DECISIONS)
def test_a_request_is_decided(life: Life, decision: str, way: str) -> None:
    WAYS[way](life, DECISIONS[decision])
    # By a resume the graph has gone on as well, and has used what was granted.
    used = way == "resume" and decision in {"approve", "edit"}
    assert life.status == ("used" if used else AFTER[decision])
    assert life.shop.ran == ([f"refund 1 {5 if decision == 'approve' else 4}"] if used else [])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("closed", CLOSED)
def test_a_closed_request_takes_no_further_decision(life: Life, closed: str, decision: str, way: str) -> None:
    life.to(closed)
    ran = list(life.shop.ran)
    with pytest.raises(InterlockError) as refused:
        WAYS[way](life, DECISIONS[decision])
    assert not refused.value.retryable
    assert life.status == closed
    assert life.shop.ran == ran
    assert kinds(life.graph, thread())[-1] == "decision_refused"


@pytest.mark.parametrize("closed", CLOSED)
def test_the_graph_goes_on_from_every_status(life: Life, closed: str) -> None:
    life.to(closed)
    life.graph.instances.resume(thread())
    runs = {"approved": ["refund 1 5"], "edited": ["refund 1 4"], "used": ["refund 1 5"], "void": ["park 1"]}
    assert life.shop.ran == runs.get(closed, [])
    assert life.status == {"approved": "used", "edited": "used"}.get(closed, closed)


@pytest.mark.parametrize("closed", ["rejected", "responded", "expired", "withdrawn", "void", "used"])
def test_nothing_runs_on_an_approval_that_was_not_granted_or_was_used(life: Life, closed: str) -> None:
    life.to(closed)
    life.graph.instances.resume(thread())
    ran = list(life.shop.ran)
    life.graph.instances.resume(thread())
    life.graph.instances.tick()
    assert life.shop.ran == ran


@pytest.mark.parametrize("before", ApprovalStatus)
@pytest.mark.parametrize("after", ApprovalStatus)
def test_an_invalid_change_of_status_is_never_written(
    life: Life, before: ApprovalStatus, after: ApprovalStatus
) -> None:
    life.to(before.value)
    row = life.graph.engine.store.approval(life.approval_id)
    with life.graph.engine.store.write() as connection:
        if after in FOLLOWS[before]:
            assert approval_rows.update(connection, row, replace(row, status=after))
        else:
            with pytest.raises(ValueError, match=f"{before} cannot become {after}"):
                approval_rows.update(connection, row, replace(row, status=after))
    assert life.status == (after.value if after in FOLLOWS[before] else before.value)


def test_a_step_from_a_status_that_is_no_longer_there_is_not_written(life: Life) -> None:
    row = life.graph.engine.store.approval(life.approval_id)
    life.decide(REJECT)
    with life.graph.engine.store.write() as connection:
        assert not approval_rows.update(connection, row, replace(row, status=ApprovalStatus.APPROVED))
    assert life.status == "rejected"


def test_a_closed_status_leads_nowhere() -> None:
    ends = {status for status, follows in FOLLOWS.items() if not follows}
    assert ends == {
        ApprovalStatus.REJECTED,
        ApprovalStatus.RESPONDED,
        ApprovalStatus.EXPIRED,
        ApprovalStatus.WITHDRAWN,
        ApprovalStatus.VOID,
        ApprovalStatus.USED,
    }


def test_the_audit_trail_has_every_step_of_an_approval(life: Life) -> None:
    life.resume(APPROVE)
    assert kinds(life.graph, thread()) == ["started", "approval", "decision", "transition"]
    transition = life.graph.instances.audit(thread())[-1]
    assert transition.payload is not None
    assert transition.payload["approvalId"] == life.approval_id
    decision = life.graph.instances.audit(thread())[2]
    assert decision.principal_id == "ben"
    assert life.graph.engine.store.verify(life.graph.instances.id_of(thread())) == []  # type: ignore[arg-type]
