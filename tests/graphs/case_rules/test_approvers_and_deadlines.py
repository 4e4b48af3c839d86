"""Who approves and until when, as the case has it: a function of the data, recorded with what it came to."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from langgraph.types import Command
from pydantic import BaseModel

from interlock import (
    Approval,
    Confirmation,
    ConflictError,
    Escalate,
    Event,
    GuardView,
    Policy,
    Principal,
    RequireApproval,
    RoleHolders,
    ToolContext,
    Workflow,
    command,
)
from interlock.rules.waits import WaitRule
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ContractError, InterlockError
from tests.graphs.case_rules.support import ANN, BOB, Case, Place, codes

MIA, NIL = Principal("mia"), Principal("nil")
SECURITY = Principal("sam", roles=frozenset({"security"}))
GRANT = call("access.grant", system="ledger")
ANSWER_BY = "2026-05-02T12:00:00Z"


class Access(BaseModel):
    manager: str = "mia"
    answer_by: dt.datetime | None = dt.datetime(2026, 5, 2, 12, tzinfo=dt.UTC)
    days: int = 7
    granted: str | None = None


class Returned(Event, name="case.returned"):
    """The access was given back."""


@command("access.grant", effect="transactional")
def grant(system: str, ctx: ToolContext[Access]) -> str:
    """Give access to a system."""
    ctx.data.granted = system
    return system


@command("access.transfer", effect="transactional")
def transfer(to: str, ctx: ToolContext[Access]) -> str:
    """Give the case another manager."""
    ctx.data.manager = to
    return to


def manager(view: GuardView) -> Any:
    return view.data.manager


def answer_by(view: GuardView) -> Any:
    return view.data.answer_by


def flow(model: ScriptedChatModel, rule: Approval | None = None) -> Workflow:
    rule = rule or Approval(by=manager, within=answer_by, on_expiry=Escalate("security", within=lambda view: "8h"))
    made = Workflow("access", model=model, data=Access)
    made.add_state("open")
    made.add_edge("open", grant, "granted", approval=rule)
    made.add_edge("open", transfer, "open")
    made.add_wait(
        "granted",
        for_event=Returned,
        then="over",
        within=lambda view: view.now + dt.timedelta(days=view.data.days),
        on_timeout="expired",
    )
    made.add_state("over", final=True)
    made.add_state("expired", final=True)
    return made


def ask(case: Case, **data: Any) -> Any:
    """Have the grant asked about, whichever way the case is worked on; its one request."""
    if case.way == "door":
        case.begin(**data)
        case.propose("access.grant", "g-1", system="ledger")
    elif case.way == "middleware":
        case.say()
    else:
        case.say(**({"data": data} if data else {}))
    (request,) = case.waiting()
    return request


def go_on(case: Case, approval_id: str) -> None:
    if case.way == "door":
        assert case.instances.proposal(approval_id).ok
    else:
        case.instances.resume(case.config)


@pytest.mark.parametrize("way", ["graph", "door"])
def test_the_approver_and_the_deadline_come_from_the_data(way: str, home: Place) -> None:
    case = home.open(flow, [GRANT], way=way)
    request = ask(case)
    assert request.rule.to_json() | {"edit": True} == {
        "role": None,
        "count": 1,
        "seconds": None,
        "until": "2026-05-02T12:00:00+00:00",
        "edit": True,
        "confirmation": False,
        "strict": False,
        "onExpiry": {"escalate": "security", "seconds": 28800.0, "then": "reject"},
        "then": None,
        "by": ["mia"],
        "fromCase": ["by", "on_expiry", "within"],
    }
    (record,) = [one for one in case.instances.audit(case.id) if one.kind == "approval"]
    assert record.payload["shown"]["rule"]["by"] == ["mia"]
    for stranger in (BOB, SECURITY, ANN):
        with pytest.raises(InterlockError, match=r"nobody approves|mia to decide"):
            case.instances.decide(request.approval_id, "approve", by=stranger)
    home.clock.advance(hours=1)
    again = home.open(flow, [], way=way)
    again.instances.decide(request.approval_id, "approve", by=MIA)
    go_on(again, request.approval_id)
    assert (again.row.state, again.row.data["granted"]) == ("granted", "ledger")
    (wait,) = again.instances.snapshot(again.id).waits
    assert wait["dueAt"] - home.clock() == 7 * 86400 * 1_000_000
    home.clock.advance(days=7)
    home.open(flow, [], way=way).instances.tick()
    assert again.row.state == "expired"


def test_an_agent_with_the_middleware_asks_whom_the_data_names(file: Place) -> None:
    case = file.open(flow, [GRANT], way="middleware")
    ask(case)
    case.graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), case.config, context=BOB)
    assert case.row.state == "open"
    case.graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), case.config, context=MIA)
    assert case.row.state == "granted"


def test_the_moment_passes_and_the_request_goes_to_who_is_asked_next(file: Place) -> None:
    case = file.open(flow, [GRANT])
    request = ask(case)
    file.clock.advance(days=1, hours=3)
    assert [one.outcome for one in case.instances.tick().lapsed] == ["escalated"]
    (request,) = case.waiting()
    assert (request.rule.role, request.rule.by) == ("security", None)
    assert request.expires_at == file.clock() + 8 * 3600 * 1_000_000
    case.instances.decide(request.approval_id, "approve", by=SECURITY)
    case.instances.resume(case.config)
    assert case.row.state == "granted"


def test_a_wait_of_the_same_state_lasts_as_long_as_its_case_says(file: Place) -> None:
    for number, days in enumerate((7, 90)):
        case = file.open(flow, [GRANT])
        case.thread = f"t-{number}"
        request = ask(case, days=days)
        case.instances.decide(request.approval_id, "approve", by=MIA)
        case.instances.resume(case.config)
    file.clock.advance(days=7)
    case.instances.tick()
    states = [
        case.engine.store.get(case.instances.id_of({"configurable": {"thread_id": f"t-{n}"}})).state for n in (0, 1)
    ]
    assert states == ["expired", "granted"]


def test_another_manager_before_it_runs_voids_what_the_first_one_approved(file: Place) -> None:
    case = file.open(flow, [], way="door")
    request = ask(case)
    case.instances.decide(request.approval_id, "approve", by=MIA)
    assert case.propose("access.transfer", "t-1", to="nil").ok
    answer = case.instances.proposal(request.approval_id)
    assert (answer.ok, answer.error.code) == (False, "approval_void")
    assert "another rule of approval" in answer.error.message
    second = case.propose("access.grant", "g-2", system="ledger")
    assert second.pending.decided_by == "nil"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Approval(by=lambda view: "ann"), "names ann, of whom 0 may decide for ann"),
        (Approval(by=lambda view: ["ann", "mia"], count=2), "of whom 1 may decide"),
        (Approval(by=lambda view: None), "names nobody|the type NoneType"),
        (Approval(by=lambda view: []), "the type list"),
        (Approval(by=lambda view: view.data.nobody), "raised AttributeError"),
        (Approval(within=lambda view: 24), "the type int"),
        (Approval(within=lambda view: dt.datetime(2026, 5, 2)), "the type datetime"),
        (Approval(within=lambda view: None, on_expiry=Escalate("security")), "would never happen"),
        (Approval(role="board", then=Approval(by=lambda view: 1 / 0)), "raised ZeroDivisionError"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_a_rule_that_names_nobody_or_no_deadline_is_a_denial(rule: Approval, said: str, file: Place) -> None:
    case = file.open(lambda model: flow(model, rule), [GRANT])
    output = case.say()
    assert codes(output) == ["rule_error"]
    assert re.search(said, output["last_result"]["error"]["message"])
    assert case.waiting() == []


class Four(Policy):
    def judge(self, proposal: Any) -> Any:
        return RequireApproval(
            Approval(by=[NIL, "mia"], count=2, within=proposal.view.now + dt.timedelta(hours=1)), "two of four eyes"
        )


def test_a_policy_asks_by_the_case_as_well(file: Place) -> None:
    def strict(model: ScriptedChatModel) -> Workflow:
        made = Workflow("access", model=model, data=Access, policies=[Four()])
        made.add_state("open")
        made.add_state("granted", final=True)
        made.add_edge("open", grant, "granted")
        return made

    case = file.open(strict, [GRANT])
    request = ask(case)
    assert request.expires_at == file.clock() + 3600 * 1_000_000
    for one in (MIA, NIL):
        case.instances.decide(request.approval_id, "approve", by=one)
    # The policy gives another moment each time; it is no function, so that the rule is another one when the command runs.
    case.instances.resume(case.config)
    assert case.row.state == "granted"


def test_holders_of_a_role_that_the_case_names_decide(file: Place) -> None:
    rule = Approval(by=lambda view: RoleHolders("security" if view.data.days > 30 else "desk"))
    case = file.open(lambda model: flow(model, rule), [GRANT])
    request = ask(case, days=90)
    assert request.rule.to_json()["by"] == {"role": "security"}
    with pytest.raises(InterlockError, match="the role 'security' to decide"):
        case.instances.decide(request.approval_id, "approve", by=MIA)
    case.instances.decide(request.approval_id, "approve", by=SECURITY)


def test_a_late_answer_to_a_moment_from_the_data_is_refused(file: Place) -> None:
    rule = Approval(by=manager, within=answer_by)
    case = file.open(lambda model: flow(model, rule), [GRANT])
    request = ask(case)
    file.clock.advance(days=2)
    with pytest.raises(ConflictError, match="time to decide"):
        case.instances.decide(request.approval_id, "approve", by=MIA)


def test_rules_that_cannot_be_are_refused_where_they_are_written() -> None:
    for wrong in (
        lambda: Approval(by=[]),
        lambda: Approval(by="mia", count=2),
        lambda: Approval(by=7),  # type: ignore[arg-type]
        lambda: Approval(confirmation=True, by="mia"),
        lambda: Approval(within=dt.datetime(2026, 5, 2)),
        Escalate,
        lambda: Escalate(by=["", "mia"]),
    ):
        with pytest.raises(ContractError):
            wrong()
    assert Confirmation(within=lambda view: "1h").confirmation
    rule = Approval(by=("mia", NIL), within=dt.datetime(2026, 5, 2, 14, tzinfo=dt.timezone(dt.timedelta(hours=2))))
    assert Approval.from_json(rule.to_json()) == rule
    assert rule.who == "mia or nil"
    assert WaitRule(state="w", events=(), then=None, within=answer_by).to_json()["seconds"] == "…"
