"""The access desk: a manager from the directory, grants of 7 and 90 days in one state, a reason that only the manager gives, and an end."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import EventEnvelope, Principal, deliver
from interlock.testing import ScriptedChatModel, call
from interlock.tools import EventId, TraceId, WorkflowId
from interlock.tools.errors import InterlockError
from interlock.workflows.access import PersonLeft, access_of, access_workflow, open_access
from interlock.workflows.access.tables import grants
from tests.graphs.case_rules.support import ANN, Case, Place, codes

MIA, NIL = Principal("mia"), Principal("nil")
SAM = Principal("sam", roles=frozenset({"security"}))
WHY = {"type": "approve", "values": {"justification": "She closes the books this week."}}


def flow(model: ScriptedChatModel) -> Any:
    return access_workflow(model)


def opened(home: Place, *steps: Any, thread: str = "t-1") -> Case:
    """The desk as a new process has it."""
    case = home.open(flow, [*steps])
    open_access(case.engine.store)
    case.thread = thread
    return case


def asked(home: Place, days: int = 7, thread: str = "t-1", person: str = "ann") -> tuple[Case, Any]:
    case = opened(home, call("people.get"), call("access.grant", system="ledger", days=days), thread=thread)
    case.principal = Principal(person)
    case.say("I need the ledger", data={"person": person})
    (request,) = case.waiting()
    return case, request


def tell(case: Case, person: str, number: int = 1) -> None:
    envelope = EventEnvelope.wrap(
        PersonLeft(person=person),
        event_id=EventId(f"evt_{number}"),
        occurred_at=dt.datetime(2026, 5, 1, tzinfo=dt.UTC),
        trace_id=TraceId("trace_people"),
        workflow_id=WorkflowId(""),
        metadata={"source": "/people"},
    )
    deliver(envelope, case.graph)


def test_the_manager_grants_it_with_a_reason_and_it_ends_after_its_days(home: Place) -> None:
    case, request = asked(home)
    assert request.rule.to_json()["by"] == ["mia"]
    assert request.rule.to_json()["until"] == "2026-05-03T00:00:00+00:00"
    assert request.shown["preview"] == {"person": "ann", "system": "ledger", "days": 7}
    for other in (ANN, NIL, SAM):
        with pytest.raises(InterlockError):
            case.instances.decide(request.approval_id, WHY, by=other)
    with pytest.raises(InterlockError, match="Why does this person need it"):
        case.instances.decide(request.approval_id, "approve", by=MIA)
    home.clock.advance(hours=20)
    case = opened(home)
    case.instances.decide(request.approval_id, WHY, by=MIA)
    case.instances.resume(case.config)
    assert access_of(case.engine.store, "ann") == {"ledger": home.clock.now + dt.timedelta(days=7)}
    with case.engine.store.read() as connection:
        assert connection.execute(sa.select(grants.c.justification)).scalar_one() == WHY["values"]["justification"]  # type: ignore[index]
    home.clock.advance(days=6, hours=23)
    opened(home).instances.tick()
    assert case.row.state == "granted"
    home.clock.advance(hours=1)
    opened(home).instances.tick()
    assert case.row.state == "closed"
    assert (case.row.data["ends_because"], access_of(case.engine.store, "ann")) == ("its time is over", {})


def test_ninety_days_take_security_as_well_and_stand_in_the_same_state(file: Place) -> None:
    case, request = asked(file, days=90)
    case.instances.decide(request.approval_id, WHY, by=MIA)
    (request,) = case.waiting()
    assert request.rule.role == "security"
    case.instances.decide(request.approval_id, "approve", by=SAM)
    case.instances.resume(case.config)
    short, second = asked(file, days=7, thread="t-2", person="bob")
    short.instances.decide(second.approval_id, WHY, by=MIA)
    short.instances.resume(short.config)
    assert (case.row.state, short.row.state) == ("granted", "granted")
    file.clock.advance(days=7)
    short.instances.tick()
    assert (case.row.state, short.row.state) == ("granted", "closed")
    file.clock.advance(days=83)
    case.instances.tick()
    assert case.row.state == "closed"


def test_a_manager_gives_the_reason_and_changes_nothing_else(file: Place) -> None:
    case, request = asked(file, days=90)
    args = {"system": "ledger", "days": 90, "justification": "A week will do for this."}
    for changed in ({"system": "vault"}, {"days": 7}):
        with pytest.raises(InterlockError, match="may not be edited"):
            case.instances.decide(request.approval_id, {"type": "edit", "args": {**args, **changed}}, by=MIA)
    case.instances.decide(request.approval_id, {"type": "edit", "args": args}, by=MIA)
    assert case.waiting()[0].rule.role == "security"


def test_whoever_leaves_has_no_access_any_more(file: Place) -> None:
    case, request = asked(file)
    case.instances.decide(request.approval_id, WHY, by=MIA)
    case.instances.resume(case.config)
    tell(case, "bob", 1)
    assert case.row.state == "granted"
    tell(case, "ann", 2)
    case.instances.tick()
    assert (case.row.state, case.row.data["ends_because"]) == ("closed", "ann left")
    assert access_of(case.engine.store, "ann") == {}


def test_security_ends_it_before_and_nobody_else_does(file: Place) -> None:
    case, request = asked(file)
    case.instances.decide(request.approval_id, WHY, by=MIA)
    case.instances.resume(case.config)
    args = {"reason": "a lost laptop"}
    denied = case.instances.propose(case.id, "access.end", args, principal=ANN, key="e-1")
    assert denied.error.code == "guard_failed"
    assert case.instances.propose(case.id, "access.end", args, principal=SAM, key="e-2").ok
    assert (case.row.state, access_of(case.engine.store, "ann")) == ("closed", {})


def test_a_manager_who_does_not_answer_is_stood_in_for_by_security(file: Place) -> None:
    case, request = asked(file)
    file.clock.advance(days=2)
    assert [one.to for one in case.instances.tick().lapsed] == ["security"]
    case.instances.decide(request.approval_id, WHY, by=SAM)
    case.instances.resume(case.config)
    assert case.row.state == "granted"


def test_a_model_that_gives_the_reason_itself_is_denied(file: Place) -> None:
    steps = [
        call("access.grant", system="ledger", days=7),
        call("people.get"),
        call("access.grant", system="ledger", days=7, justification="The manager agreed already."),
        call("access.grant", system="ledger", days=30),
    ]
    case = opened(file, *steps)
    output = case.say("I need the ledger", data={"person": "ann"})
    assert codes(output) == ["guard_failed", "ok", "invalid_arguments", "invalid_arguments"]
    assert access_of(case.engine.store, "ann") == {}


def test_its_picture_says_who_decides_and_until_when() -> None:
    drawn = access_workflow().to_mermaid()
    assert "whom the case names" in drawn
    assert "end_of_next_day" in drawn
