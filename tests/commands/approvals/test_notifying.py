"""The event that leaves when somebody is needed: once for each reason, in the same transaction, and without a word of the arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import Approval, Escalate, Principal, Workflow, WorkflowGraph, command
from interlock.checkpointing.tables.workflow import outbox
from interlock.tools import OutcomeUnknown
from interlock.tools.events import Event
from tests.commands.approvals.support import ADA, HOUR, RULE, Home, Shop, pending, refund, said, thread

NAME = "interlock.somebody.needed.v1"


def told(graph: WorkflowGraph) -> list[dict[str, Any]]:
    """The events that left, in their order."""
    with graph.engine.store.read() as connection:
        rows = connection.scalars(
            sa.select(outbox.c.envelope).where(outbox.c.event_name == NAME).order_by(outbox.c.position)
        )
        return [json.loads(row) for row in rows]


def test_a_request_tells_who_is_asked_until_when_and_nothing_of_what_for(home: Home) -> None:
    graph = home.compile(Shop().workflow([refund(note="The kettle leaks")], approval=RULE, notify=True))
    graph.invoke(said(), thread(), context=ADA)
    (event,) = told(graph)
    approval_id = pending(graph, thread())
    assert event["reason"] == "approval"
    assert (event["approvalId"], event["role"], event["requestedBy"]) == (approval_id, "supervisor", "ada")
    assert (event["tool"], event["state"], event["metadata"]["workflow"]) == ("order.refund", "open", "shop")
    assert "kettle" not in json.dumps(event)
    graph.invoke(None, thread(), context=ADA)
    assert len(told(graph)) == 1


def test_nothing_leaves_where_the_workflow_does_not_say_so(home: Home) -> None:
    graph = home.compile(Shop().workflow([refund()], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    assert told(graph) == []


def test_whoever_is_asked_next_is_told_and_then_that_the_time_is_over(home: Home) -> None:
    rule = Approval(role="supervisor", within="24h", on_expiry=Escalate("manager", within="2h"))
    graph = home.compile(Shop().workflow([refund()], approval=rule, notify=True))
    graph.invoke(said(), thread(), context=ADA)
    home.clock.advance(25 * HOUR)
    graph.instances.tick()
    graph.instances.tick()
    home.clock.advance(2 * HOUR)
    graph.instances.tick()
    events = told(graph)
    assert [(one["reason"], one["role"]) for one in events] == [
        ("approval", "supervisor"), ("escalated", "manager"), ("overdue", "manager")
    ]  # fmt: skip
    assert len({one["eventId"] for one in events}) == 3
    assert events[1]["deadline"] > events[0]["deadline"]


def test_an_unknown_outcome_is_told_once(tmp_path: Path) -> None:
    @command("mail.send", effect="at_most_once")
    def send() -> str:
        """Send a mail."""
        raise ConnectionError

    home = Home.in_file(tmp_path)
    graph = home.compile(Workflow("mails", notify=True).add_state("open").add_edge("open", send, "open"))
    kim = Principal("kim")
    workflow_id = graph.instances.start(principal=kim).workflow_id
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            graph.instances.propose(workflow_id, "mail.send", {}, principal=kim, key="k-1")
    (event,) = told(graph)
    assert (event["reason"], event["tool"], event["idempotencyKey"]) == ("unknown", "mail.send", "k-1")
    home.close()


class Arrived(Event, name="parcel.arrived.for_a_test"):
    """A parcel arrived."""


def test_a_wait_that_ends_by_its_deadline_is_told(tmp_path: Path) -> None:
    @command("parcel.send", effect="transactional")
    def send() -> str:
        """Send a parcel."""
        return "sent"

    flow = Workflow("parcels", notify=True).add_state("open")
    flow.add_wait("under_way", for_event=Arrived, within="1h", then="closed", on_timeout="lost")
    flow.add_state("closed", final=True).add_state("lost", final=True).add_edge("open", send, "under_way")
    home = Home.in_file(tmp_path)
    graph = home.compile(flow)
    kim = Principal("kim")
    workflow_id = graph.instances.start(principal=kim).workflow_id
    graph.instances.propose(workflow_id, "parcel.send", {}, principal=kim, key="k-1")
    assert told(graph) == []
    home.clock.advance(2 * HOUR)
    graph.instances.tick()
    (event,) = told(graph)
    assert (event["reason"], event["state"], event["workflowId"]) == ("overdue", "under_way", workflow_id)
    home.close()
