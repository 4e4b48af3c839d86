"""Withdrawing a proposal: a status of its approval, recorded and told, by whoever proposed it or is served."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from interlock import ErrorResult, Pending, Principal, Workflow, command
from interlock.checkpointing.tables.workflow import outbox
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ConflictError, InProgress, InputError, PrincipalError
from tests.commands.approvals.support import (
    ADA,
    BEN,
    HOUR,
    MALLORY,
    RULE,
    STRANGER,
    Home,
    Shop,
    answers,
    pending,
    said,
    status,
    thread,
)
from tests.commands.proposals.support import CASE, code, door

HOWS = pytest.mark.parametrize("how", ["sync", "async"])


@HOWS
def test_a_withdrawn_proposal_is_recorded_told_and_never_carried_out(home: Home, shop: Shop, how: str) -> None:
    desk = door(home, shop, how=how)
    asked = desk.asked()
    gone = desk.withdraw(asked)
    assert isinstance(gone, ErrorResult)
    assert (code(gone), gone.audit_ref) == ("approval_withdrawn", desk.graph.instances.audit(CASE)[-2].audit_ref)
    assert desk.withdraw(asked) == desk.proposal(asked) == desk.refund() == gone
    assert desk.kinds == ["started", "approval", "withdrawn", "event_out"]
    with desk.graph.engine.store.read() as connection:
        (event,) = [json.loads(row) for row in connection.scalars(sa.select(outbox.c.envelope))]
    assert event["eventName"] == "interlock.approval.withdrawn.v1"
    assert {name: event[name] for name in ("approvalId", "tool", "requestedBy", "withdrawnBy")} == {
        "approvalId": asked.pending.proposal_id,
        "tool": "order.refund",
        "requestedBy": "ada",
        "withdrawnBy": "ada",
    }
    with pytest.raises(ConflictError, match="already withdrawn"):
        desk.graph.instances.decide(asked.pending.proposal_id, "approve", by=BEN)
    assert shop.ran == []
    assert code(desk.refund(key="new")) == "approval"


def test_a_granted_proposal_that_has_not_run_can_be_withdrawn(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    asked = desk.asked()
    desk.graph.instances.decide(asked.pending.proposal_id, "approve", by=BEN)
    assert code(desk.withdraw(asked)) == "approval_withdrawn"
    assert desk.tick().carried_out == []
    assert shop.ran == []


def test_a_proposal_in_execution_cannot_be_withdrawn(home: Home) -> None:
    refused: list[InProgress] = []

    @command("letter.send", effect="at_most_once")
    def send() -> str:
        """Send a letter."""
        with pytest.raises(InProgress, match="is being executed") as error:
            graph.instances.withdraw(asked.pending.proposal_id, by=ADA)
        refused.append(error.value)
        return "sent"

    flow = Workflow("post", model=ScriptedChatModel([]))
    flow.add_state("open").add_state("sent", final=True).add_edge("open", send, "sent", approval=RULE)
    graph = home.compile(flow)
    graph.instances.start(principal=ADA, workflow_id=CASE)
    asked = graph.instances.propose(CASE, send, {}, principal=ADA, key="k-1")
    assert isinstance(asked, Pending)
    graph.instances.decide(asked.pending.proposal_id, "approve", by=BEN)

    assert graph.instances.proposal(asked.pending.proposal_id, by=ADA).ok
    assert len(refused) == 1
    assert [record.kind.value for record in graph.instances.audit(CASE)].count("withdrawn") == 0


@pytest.mark.parametrize("closed", ["used", "rejected", "expired", "void"])
def test_a_closed_request_cannot_be_withdrawn(home: Home, shop: Shop, closed: str) -> None:
    desk = door(home, shop)
    asked = desk.asked()
    instances, approval_id = desk.graph.instances, asked.pending.proposal_id
    match closed:
        case "used":
            instances.decide(approval_id, "approve", by=BEN)
            desk.tick()
        case "rejected":
            instances.decide(approval_id, "reject", by=BEN)
        case "expired":
            home.clock.advance(25 * HOUR)
        case _:
            desk.propose("desk.park", key="p", orderId="1")
    with pytest.raises(ConflictError, match=f"is {closed} already"):
        desk.withdraw(asked)
    assert instances.approval(approval_id)["status"] == closed


def test_only_who_proposed_it_or_is_served_withdraws_it(home: Home, shop: Shop) -> None:
    desk = door(home, shop, run_by="tenant")
    theirs = desk.asked(by=MALLORY, key="m")
    with pytest.raises(PrincipalError, match="mallory proposed it") as refused:
        desk.withdraw(theirs, by=Principal("zoe"))
    assert refused.value.code == "not_entitled"
    assert [*refused.value.details] == ["approvalId"]
    assert desk.graph.instances.audit(CASE)[-1].principal_id == "zoe"
    with pytest.raises(InputError, match="There is no approval"):
        desk.withdraw(theirs, by=STRANGER)
    assert code(desk.withdraw(theirs, by=ADA)) == "approval_withdrawn"


def test_a_graph_that_waits_for_a_withdrawn_approval_goes_on_and_tells_its_model(home: Home, shop: Shop) -> None:
    graph = home.compile(shop.workflow([call("order.refund", orderId="1", amount="5"), "Then not."], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    approval_id = pending(graph, thread())
    graph.instances.withdraw(approval_id, by=ADA)
    assert status(graph, approval_id) == "withdrawn"
    output = graph.instances.resume(thread())
    assert answers(output) == ["approval_withdrawn"]
    assert shop.ran == []


def test_a_withdrawn_request_counts_as_withdrawn_and_waits_for_nobody(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    desk.withdraw(desk.asked())
    (row,) = desk.graph.instances.outcomes(by=["tool"])
    assert (row["withdrawn"], row["pending"], row["proposals"]) == (1, 0, 1)
