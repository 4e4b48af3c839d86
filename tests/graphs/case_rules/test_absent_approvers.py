"""Approvers who are away: a delegate decides for them, a request is given to others, and those who are asked are reminded."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from langgraph.types import Command
from pydantic import BaseModel

from interlock import Approval, Confirmation, Escalate, Principal, RoleHolders, ToolContext, Workflow, command
from interlock.checkpointing.store import outbox as outbox_rows
from interlock.commands.approvals.delegating import acts_for, delegators
from interlock.commands.approvals.handing_on import remind_one
from interlock.commands.running.driver import run as drive
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ConflictError, InputError, InterlockError, PrincipalError
from tests.graphs.case_rules.support import ANN, BOB, WAYS, Case, Place

MIA, NIL, DEL, EVE = Principal("mia"), Principal("nil"), Principal("del"), Principal("eve")
CHIEF = Principal("sue", roles=frozenset({"chief"}))
GRANT = call("access.grant", system="ledger")


class Access(BaseModel):
    granted: list[str] = []


@command("access.grant", effect="transactional")
def grant(system: str, ctx: ToolContext[Access]) -> str:
    """Give access to a system."""
    ctx.data.granted.append(system)
    return system


def flow(rule: Approval | None = None) -> Any:
    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("access", model=model, data=Access, notify=True)
        workflow.add_state("open")
        workflow.add_edge("open", grant, "open", approval=rule or Approval(by="mia"))
        return workflow

    return made


def asked(case: Case, key: str = "g-1", by: Principal = ANN) -> str:
    if case.way == "door":
        if case.engine.store.find(case.id) is None:
            case.instances.start(principal=ANN, workflow_id=case.id)
        case.propose("access.grant", key, by=by, system="ledger")
    else:
        case.say()
    return str(case.waiting()[-1].approval_id)


def at_the_door(file: Place, rule: Approval) -> tuple[Case, str]:
    case = file.open(flow(rule), [], way="door")
    return case, asked(case)


def refused(case: Case, approval_id: str, by: Principal, said: str) -> None:
    with pytest.raises(InterlockError, match=said):
        case.instances.decide(approval_id, "approve", by=by)


def records(case: Case, kind: str) -> list[Any]:
    return [one for one in case.instances.audit(case.id) if one.kind == kind]


def people_of(case: Case, by: Principal) -> frozenset[str] | None:
    store = case.engine.store
    with store.read() as connection:
        return delegators(store, connection, by)


def needed(case: Case) -> list[Any]:
    with case.engine.store.read() as connection:
        found = [json.loads(one.envelope) for one in outbox_rows.listing(connection, workflow_id=case.id)]
    return [one for one in reversed(found) if one["eventName"] == "interlock.somebody.needed.v1"]


# Delegates


@pytest.mark.parametrize("way", WAYS)
def test_a_delegate_decides_within_the_span_and_the_record_says_for_whom(way: str, home: Place) -> None:
    case = home.open(flow(), [GRANT], way=way)
    approval = asked(case)
    refused(case, approval, DEL, "for mia to decide")
    case.instances.delegate("del", by=MIA, until="14d")
    again = home.open(flow(), [], way=way)
    assert again.instances.approval(approval, by=DEL)["status"] == "requested"
    if way == "middleware":
        again.graph.invoke(Command(resume="approve"), again.config, context=DEL)
    else:
        again.instances.decide(approval, "approve", by=DEL)
        _ = again.instances.resume(again.config) if way == "graph" else again.instances.proposal(approval)
    assert again.row.data["granted"] == ["ledger"]
    (decision,) = again.instances.approval(approval)["decisions"]
    assert (decision["by"], decision["onBehalfOf"]) == ("del", "mia")
    (record,) = records(again, "decision")
    assert (record.principal_id, record.payload["onBehalfOf"]) == ("del", "mia")


def test_a_delegation_holds_from_its_beginning_to_its_end_by_the_store_clock(home: Place) -> None:
    case, approval = at_the_door(home, Approval(by="mia"))
    begins = home.clock.now + dt.timedelta(days=2)
    made = case.instances.delegate("del", by=MIA, since=begins, until="3d")
    assert [one.delegation_id for one in case.instances.delegations(by=DEL)] == [made.delegation_id]
    assert case.instances.delegations(by=EVE) == ()
    refused(case, approval, DEL, "for mia to decide")
    home.clock.advance(days=5)
    refused(case, approval, DEL, "for mia to decide")
    assert case.instances.delegations() == ()
    home.clock.advance(days=-1)
    assert case.instances.decide(approval, "approve", by=DEL).status == "approved"


def test_only_the_person_makes_and_ends_their_delegation(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia"))
    made = case.instances.delegate(DEL, by=MIA, until=file.clock.now + dt.timedelta(days=1))
    for by in (DEL, EVE, Principal("mia", tenant="other")):
        with pytest.raises(InputError, match="no delegation"):
            case.instances.end_delegation(made.delegation_id, by=by)
    assert people_of(case, DEL) == {"mia"}
    case.instances.end_delegation(made.delegation_id, by=MIA)
    refused(case, approval, DEL, "for mia to decide")
    assert people_of(case, DEL) == frozenset()
    with pytest.raises(InputError, match="no delegation"):
        case.instances.end_delegation(made.delegation_id, by=MIA)


@pytest.mark.parametrize(
    ("to", "by", "until"),
    [
        ("mia", MIA, "1d"),
        ("", MIA, "1d"),
        ("del", Principal.ANONYMOUS, "1d"),
        (Principal("del", tenant="other"), MIA, "1d"),
        ("del", MIA, "soon"),
        ("del", MIA, None),
        ("del", MIA, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
        ("del", MIA, dt.datetime(2030, 1, 1)),
    ],
)
def test_a_delegation_that_says_nothing_is_refused(to: Any, by: Principal, until: Any, file: Place) -> None:
    case = file.open(flow(), [], way="door")
    with pytest.raises(InputError):
        case.instances.delegate(to, by=by, until=until)
    assert case.instances.delegations() == ()


def test_a_delegation_counts_in_the_tenant_that_it_was_made_in(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia"))
    case.instances.delegate("del", by=Principal("mia", tenant="other"), until="1d")
    refused(case, approval, DEL, "for mia to decide")
    case.instances.delegate("del", by=MIA, until="1d")
    request = case.waiting()[0]
    with case.engine.store.read() as connection:
        found = {
            who.tenant: acts_for(case.engine, connection, request, who)
            for who in (DEL, Principal("del", tenant="other"))
        }
    assert found == {"default": {"mia"}, "other": frozenset()}


def test_nobody_is_their_own_delegate_even_by_a_rule_of_the_application(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by=["mia", "nil"]))
    case.engine.store.delegates = lambda person, at: "mia"
    case.instances.decide(approval, "approve", by=MIA)
    (record,) = records(case, "decision")
    assert (record.principal_id, record.payload.get("onBehalfOf")) == ("mia", None)
    request = case.engine.store.approval(approval)
    with case.engine.store.read() as connection:
        assert acts_for(case.engine, connection, request, MIA) == {"nil"}


def test_whoever_is_unknown_is_nobodys_delegate_even_by_a_rule_of_the_application(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia"))
    case.engine.store.delegates = lambda person, at: Principal.ANONYMOUS.id
    refused(case, approval, Principal.ANONYMOUS, "for mia to decide")
    request = case.engine.store.approval(approval)
    with case.engine.store.read() as connection:
        assert acts_for(case.engine, connection, request, Principal.ANONYMOUS) == frozenset()


def test_nobody_approves_their_own_request_by_anybodys_hand(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by=["ann", "mia"]))
    case.instances.delegate("ann", by=MIA, until="1d")  # the proposer is the approver's delegate
    refused(case, approval, ANN, "nobody approves their own request")
    case.instances.delegate("del", by=ANN, until="1d")  # and somebody is the proposer's
    refused(case, approval, DEL, "to decide")
    assert case.waiting()[0].status == "requested"


def test_one_person_counts_once_however_many_they_decide_for(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by=["mia", "nil"], count=2))
    for one in (MIA, NIL):
        case.instances.delegate("del", by=one, until="1d")
    case.instances.decide(approval, "approve", by=DEL)
    refused(case, approval, DEL, "to decide|already agreed")
    refused(case, approval, MIA, "on their behalf")
    assert case.instances.decide(approval, "approve", by=NIL).status == "approved"
    assert [one.on_behalf_of for one in case.engine.store.decisions(approval)] == ["mia", None]


def test_an_approver_does_not_agree_again_by_a_delegate(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by=["mia", "nil"], count=2))
    case.instances.decide(approval, "approve", by=MIA)
    case.instances.delegate("del", by=MIA, until="1d")
    refused(case, approval, DEL, "to decide")
    case.instances.delegate("mia", by=NIL, until="1d")
    refused(case, approval, MIA, "already agreed")
    assert case.waiting()[0].status == "requested"


def test_each_stage_takes_another_person_with_delegates_too(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia", then=Approval(by=["nil", "mia"])))
    case.instances.delegate("del", by=MIA, until="1d")
    case.instances.delegate("del", by=NIL, until="1d")
    case.instances.decide(approval, "approve", by=DEL)
    refused(case, approval, DEL, "earlier stage|to decide")
    refused(case, approval, MIA, "on their behalf")
    assert case.instances.decide(approval, "approve", by=NIL).status == "approved"


def test_a_delegate_of_a_delegate_decides_for_nobody_and_a_confirmation_is_nobody_elses(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia"))
    case.instances.delegate("del", by=MIA, until="1d")
    case.instances.delegate("eve", by=DEL, until="1d")
    refused(case, approval, EVE, "for mia to decide")
    case.instances.delegate("eve", by=ANN, until="1d")
    confirming = file.open(flow(Confirmation()), [GRANT])
    refused(confirming, asked(confirming), EVE, "person served")


def test_who_confirms_later_does_not_decide_before_by_a_delegate(file: Place) -> None:
    rule = Approval(by=["ann", "mia"], then=Confirmation())
    case = file.open(flow(rule), [], way="door")
    case.instances.start(principal=ANN, workflow_id=case.id)
    case.instances.delegate("del", by=ANN, until="1d")
    approval = asked(case)
    refused(case, approval, DEL, "to decide")


def test_roles_count_at_the_decision_and_a_delegate_needs_them(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by=["mia", "nil"], role="chief"))
    case.instances.delegate("del", by=MIA, until="1d")
    refused(case, approval, DEL, "role 'chief'")
    refused(case, approval, NIL, "role 'chief'")  # had it when the request was made, and has it no more
    other = Principal("del", tenant="other", roles=frozenset({"chief"}))
    refused(case, approval, other, "no approval")
    done = case.instances.decide(approval, "approve", by=Principal("del", roles=frozenset({"chief"})))
    assert done.status == "approved"


def test_a_rule_of_the_application_names_delegates_and_names_nobody_where_it_breaks(file: Place) -> None:
    away: dict[str, Any] = {"mia": "del"}
    asked_of: list[tuple[str, dt.datetime]] = []

    def delegate_of(person: Principal, at: dt.datetime) -> Any:
        asked_of.append((person.id, at))
        return away[person.id]

    case, approval = at_the_door(file, Approval(by=["mia", "nil"]))
    case.engine.store.delegates = delegate_of
    away["nil"] = {"no": "person"}
    refused(case, approval, EVE, "to decide")
    del away["nil"]  # the directory breaks for this one
    refused(case, approval, EVE, "to decide")
    assert case.instances.decide(approval, "approve", by=DEL).status == "approved"
    assert {at for _, at in asked_of} == {file.clock.now}


# Giving on


@pytest.mark.parametrize("way", WAYS)
def test_a_request_is_given_to_somebody_else_and_runs_on_their_decision(way: str, home: Place) -> None:
    case = home.open(flow(Approval(by="mia", within="2d")), [GRANT], way=way)
    approval = asked(case)
    until = case.waiting()[0].expires_at
    case.instances.reassign(approval, "nil", by=MIA, reason="on leave from tomorrow")
    again = home.open(flow(Approval(by="mia", within="2d")), [], way=way)
    assert again.waiting()[0].expires_at == until
    refused(again, approval, MIA, "for nil to decide")
    shown = again.instances.approval(approval, by=NIL)
    assert shown["rule"]["by"] == ["nil"]
    if way == "middleware":
        again.graph.invoke(Command(resume="approve"), again.config, context=NIL)
    else:
        again.instances.decide(approval, "approve", by=NIL)
        _ = again.instances.resume(again.config) if way == "graph" else again.instances.proposal(approval)
    assert again.row.data["granted"] == ["ledger"]
    (record,) = records(again, "reassigned")
    assert (record.principal_id, record.payload["to"]) == ("mia", "nil")
    assert record.payload["reason"] == "on leave from tomorrow"
    assert again.engine.store.verify(again.id) == []


def test_only_who_decides_or_has_the_role_gives_a_request_on(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia", reassign="chief"))
    case.instances.delegate("del", by=MIA, until="1d")
    requester = Principal("ann", roles=frozenset({"chief"}))
    for by in (EVE, ANN, requester, DEL):  # a delegate decides, and does not give on
        with pytest.raises(PrincipalError, match="may not give"):
            case.instances.reassign(approval, "bob", by=by)
    with pytest.raises(InputError, match="no approval"):
        case.instances.reassign(approval, "bob", by=Principal("sue", tenant="other", roles=frozenset({"chief"})))
    assert len(records(case, "decision_refused")) == 4
    case.instances.reassign(approval, ["nil", "bob"], by=CHIEF)
    assert case.instances.decide(approval, "approve", by=BOB).status == "approved"


@pytest.mark.parametrize("to", ["ann", "sue", ["bob", "ann"], [], 7])
def test_a_request_is_given_neither_to_its_proposer_nor_to_who_gives_it(to: Any, file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia", reassign="chief"))
    with pytest.raises(InputError):
        case.instances.reassign(approval, to, by=CHIEF)
    assert case.waiting()[0].rule.by == frozenset({"mia"})


def test_those_who_agreed_stay_and_cannot_be_asked_again(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by=["mia", "nil"], count=2, reassign="chief"))
    case.instances.decide(approval, "approve", by=MIA)
    with pytest.raises(InputError, match="already agreed"):
        case.instances.reassign(approval, "mia", by=CHIEF)
    with pytest.raises(InputError, match="excluded"):
        case.instances.reassign(approval, ["bob", "mia"], by=CHIEF)
    case.instances.reassign(approval, "bob", by=CHIEF)
    refused(case, approval, NIL, "to decide")
    refused(case, approval, MIA, "already agreed")
    assert case.instances.decide(approval, "approve", by=BOB).status == "approved"


def test_a_request_that_two_must_agree_to_is_not_given_to_one(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by=["mia", "nil"], count=2, reassign="chief"))
    with pytest.raises(InputError, match="too few, for 2 must agree"):
        case.instances.reassign(approval, "bob", by=CHIEF)
    assert case.waiting()[0].rule.by == frozenset({"mia", "nil"})
    case.instances.reassign(approval, ["bob", "eve"], by=CHIEF)
    case.instances.decide(approval, "approve", by=BOB)
    assert case.instances.decide(approval, "approve", by=EVE).status == "approved"


def test_the_role_of_the_rule_stays_and_a_role_can_be_given_the_request(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia", role="manager", reassign="chief"))
    case.instances.reassign(approval, "bob", by=CHIEF)
    refused(case, approval, BOB, "role 'manager'")
    case.instances.reassign(approval, RoleHolders("security"), by=CHIEF)
    sam = Principal("sam", roles=frozenset({"security", "manager"}))
    assert case.instances.decide(approval, "approve", by=sam).status == "approved"
    with pytest.raises(ConflictError, match="already approved"):
        case.instances.reassign(approval, "bob", by=CHIEF)


# Reminding


def test_those_who_are_asked_are_reminded_by_the_rule_until_somebody_decides(home: Place) -> None:
    rule = Approval(by="mia", remind="4h", within="1d")
    case, approval = at_the_door(home, rule)
    case.instances.delegate("del", by=MIA, until="14d")
    home.clock.advance(hours=3)
    assert case.instances.tick().reminded == []
    home.clock.advance(hours=1)
    assert home.open(flow(rule), [], way="door").instances.tick().reminded == [approval]
    assert case.instances.tick().reminded == []
    home.clock.advance(hours=4)
    assert case.instances.tick().reminded == [approval]
    reminders = [one for one in needed(case) if one["reason"] == "reminder"]
    assert [(one["people"], one["delegates"]) for one in reminders] == [(["mia"], ["del"])] * 2
    assert [one.principal_id for one in records(case, "reminded")] == ["interlock:clock"] * 2
    case.instances.decide(approval, "approve", by=DEL)
    home.clock.advance(hours=4)
    assert case.instances.tick().reminded == []
    assert case.engine.store.verify(case.id) == []


def test_those_who_are_needed_are_the_person_served_for_a_confirmation_and_nobody_by_name(file: Place) -> None:
    confirming = file.open(flow(Confirmation()), [GRANT])
    approval = asked(confirming)
    deciding, other = at_the_door(file, Approval(by="mia"))
    told = [
        (one["approvalId"], one["people"], one.get("confirmedBy"))
        for case in (confirming, deciding)
        for one in needed(case)
    ]
    assert told == [(approval, [], "ann"), (other, ["mia"], None)]


def test_who_is_asked_after_an_escalation_is_reminded_from_then_on(file: Place) -> None:
    rule = Approval(by="mia", within="5h", remind="4h", on_expiry=Escalate(by="nil", within="8h"))
    case, approval = at_the_door(file, rule)
    told = []
    for hours in (4, 1, 3, 1):
        file.clock.advance(hours=hours)
        done = case.instances.tick()
        told.append((done.reminded, [one.outcome for one in done.lapsed]))
    assert told == [([approval], []), ([], ["escalated"]), ([], []), ([approval], [])]
    assert [one["people"] for one in needed(case)] == [["mia"], ["mia"], ["nil"], ["nil"]]


def test_nobody_is_reminded_of_a_request_that_the_workflow_has_left_behind(home: Place) -> None:
    @command("case.move", effect="transactional")
    def move() -> str:
        """Move on."""
        return "moved"

    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("access", model=model, data=Access, notify=True)
        workflow.add_state("open").add_state("later")
        workflow.add_edge("open", grant, "open", approval=Approval(by="mia", remind="4h"))
        return workflow.add_edge("open", move, "later").add_edge("later", move, "later")

    case = home.open(made, [], way="door")
    approval = asked(case)
    case.propose("case.move", "m-1", by=ANN)
    home.clock.advance(hours=4)
    assert case.instances.tick().reminded == []
    assert [one["reason"] for one in needed(case)] == ["approval"]
    home.clock.advance(hours=4)
    assert drive(case.engine.store, remind_one(case.engine, approval, case.id)) is False
    assert records(case, "reminded") == []


def test_a_reminder_by_hand_is_for_whoever_may_see_the_request(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia"))
    with pytest.raises(PrincipalError, match="may not see"):
        case.instances.remind(approval, by=EVE)
    case.instances.remind(approval, by=ANN)
    case.instances.remind(approval, by=MIA)
    assert [one.principal_id for one in records(case, "reminded")] == ["ann", "mia"]
    assert [one["reason"] for one in needed(case)] == ["approval", "reminder", "reminder"]
    case.instances.decide(approval, "reject", by=MIA)
    with pytest.raises(ConflictError):
        case.instances.remind(approval, by=ANN)


def test_giving_on_tells_the_new_ones_and_their_reminder_begins_anew(file: Place) -> None:
    case, approval = at_the_door(file, Approval(by="mia", remind="4h", reassign="chief"))
    file.clock.advance(hours=3)
    case.instances.reassign(approval, "nil", by=CHIEF)
    assert [(one["reason"], one["people"]) for one in needed(case)] == [("approval", ["mia"]), ("reassigned", ["nil"])]
    file.clock.advance(hours=3)
    assert case.instances.tick().reminded == []
    file.clock.advance(hours=1)
    assert case.instances.tick().reminded == [approval]


def test_what_cannot_be_is_refused_when_the_rule_is_made() -> None:
    for given in ({"remind": "soon"}, {"reassign": " "}):
        with pytest.raises(InterlockError):
            Approval(by="mia", **given)  # type: ignore[arg-type]
    assert Approval.from_json(Approval(by="mia", remind="4h", reassign="chief").to_json()).reassign == "chief"
