"""Each rule from the case, at each entrance, on each database, across a restart and by a clock that the test moves.

A rule is a function that begins in one process and ends in another one: `home.open` gives everything anew over the same database. `EVERY`
says at which entrances a rule holds, and `ELSEWHERE` what holds at the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langgraph.types import Command
from pydantic import BaseModel

from interlock import (
    After,
    Approval,
    Budget,
    Chat,
    Confirmation,
    Escalate,
    FromApplication,
    FromDecision,
    GuardView,
    ToolContext,
    Workflow,
    command,
)
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InterlockError, WorkflowDefinitionError
from interlock.tools.principal import Principal
from tests.graphs.case_rules.support import ANN, BOB, WAYS, Case, Flow, Place, codes

MIA, NIL, DEL = Principal("mia"), Principal("nil"), Principal("del")
SECURITY = Principal("sam", roles=frozenset({"security"}))
BOSS = Principal("kim", roles=frozenset({"boss"}))


class Access(BaseModel):
    manager: str = "mia"
    answer_by: dt.datetime = dt.datetime(2026, 5, 2, 12, tzinfo=dt.UTC)
    done: list[str] = []


@command("access.revoke", effect="transactional")
def revoke(system: str, ctx: ToolContext[Access]) -> str:
    """Take an access away."""
    ctx.data.done.append(f"revoke {system} {ctx.now:%d.%m. %H:%M}")
    return system


@command("access.grant", effect="transactional", undo=revoke)
def grant(system: str, ctx: ToolContext[Access]) -> str:
    """Give access to a system."""
    ctx.data.done.append(f"grant {system}")
    return system


def flow(approval: Approval | None = None, **options: Any) -> Flow:
    """A workflow of one edge."""

    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("access", model=model, data=Access, **{"notify": True, **options})
        workflow.add_state("open")
        workflow.add_edge("open", grant, "open", approval=approval)
        return workflow

    return made


GRANT = ("access.grant", {"system": "ledger"})


def proposed(case: Case, *calls: tuple[str, dict[str, Any]], key: str = "k") -> list[str]:
    """What calls were answered with, made as the entrance makes them: `ok`, `pending`, or the code of an error."""
    if case.way != "door":
        output = case.say()
        return codes(output)[-len(calls) :] if "__interrupt__" not in output else ["pending"]
    if case.engine.store.find(case.id) is None:
        case.begin()
    answers = [case.propose(tool, f"{key}-{number}", **given) for number, (tool, given) in enumerate(calls)]
    return [{True: "ok", None: "pending"}.get(one.ok) or one.error.code.value for one in answers]


def opened(home: Place, made: Flow, way: str, *calls: tuple[str, dict[str, Any]]) -> Case:
    """A process whose model makes these calls in its turn."""
    return home.open(made, [call(tool, **given) for tool, given in calls], way=way)


def asked(home: Place, made: Flow, way: str) -> str:
    """The request that the one call is made into."""
    case = opened(home, made, way, GRANT)
    assert proposed(case, GRANT) == ["pending"]
    return str(case.waiting()[-1].approval_id)


def decided(case: Case, approval_id: str, by: Principal, answer: Any = "approve") -> None:
    """Decide it, and let the call run."""
    if case.way == "middleware":
        case.graph.invoke(Command(resume=answer), case.config, context=by)
        return
    case.instances.decide(approval_id, answer, by=by)
    _ = case.instances.resume(case.config) if case.way == "graph" else case.instances.proposal(approval_id)


def refused(case: Case, approval_id: str, by: Principal, said: str, answer: Any = "approve") -> None:
    with pytest.raises(InterlockError, match=said):
        case.instances.decide(approval_id, answer, by=by)


# The rules


def who_approves_is_in_the_data(home: Place, way: str) -> None:
    made = flow(Approval(by=lambda view: view.data.manager))
    approval = asked(home, made, way)
    case = home.open(made, [], way=way)
    refused(case, approval, BOB, "mia to decide")
    refused(case, approval, ANN, "nobody approves|mia to decide")
    decided(case, approval, MIA)
    assert case.row.data["done"] == ["grant ledger"]


def until_when_is_in_the_data(home: Place, way: str) -> None:
    made = flow(
        Approval(by="mia", within=lambda view: view.data.answer_by, on_expiry=Escalate("security", within="8h"))
    )
    approval = asked(home, made, way)
    home.clock.advance(days=1, hours=3)
    case = home.open(made, [], way=way)
    assert [one.outcome for one in case.instances.tick().lapsed] == ["escalated"]
    refused(case, approval, MIA, "takes the role 'security'")
    (request,) = home.open(made, [], way=way).waiting()
    assert request.expires_at == home.clock() + 8 * 3600 * 1_000_000
    home.clock.advance(hours=9)
    home.open(made, [], way=way).instances.tick()
    again = home.open(made, [], way=way)
    refused(again, str(request.approval_id), SECURITY, "is over")
    assert (again.waiting(), again.row.data["done"]) == ([], [])


def only_the_approver_says_why(home: Place, way: str) -> None:
    @command("access.grant", effect="transactional")
    def with_reason(
        system: str, why: Annotated[str, FromDecision("Why does she need it?")], ctx: ToolContext[Access]
    ) -> str:
        """Give access to a system."""
        ctx.data.done.append(f"{system}: {why}")
        return system

    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("access", model=model, data=Access)
        workflow.add_state("open")
        return workflow.add_edge("open", with_reason, "open", approval=Approval(by="mia", edit=False))

    approval = asked(home, made, way)
    case = home.open(made, [], way=way)
    refused(case, approval, MIA, "needs from the approver: why")
    decided(case, approval, MIA, {"type": "approve", "values": {"why": "She closes the books."}})
    assert home.open(made, [], way=way).row.data["done"] == ["ledger: She closes the books."]


def only_the_application_says_for_whom(home: Place, way: str) -> None:
    @command("access.grant", effect="transactional")
    def for_whom(
        system: str, whose: Annotated[str, FromApplication(lambda view: view.principal.id)], ctx: ToolContext[Access]
    ) -> str:
        """Give access to a system."""
        ctx.data.done.append(f"{system} for {whose}")
        return system

    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("access", model=model, data=Access)
        workflow.add_state("open")
        return workflow.add_edge("open", for_whom, "open", approval=Approval(by="mia"))

    given = ("access.grant", {"system": "ledger", "whose": "eve"})
    assert proposed(opened(home, made, way, given), given, key="given") == ["invalid_arguments"]
    approval = asked(home, made, way)
    case = home.open(made, [], way=way)
    assert case.instances.approval(approval)["arguments"] == {"system": "ledger", "whose": "ann"}
    decided(case, approval, MIA)
    assert case.row.data["done"] == ["ledger for ann"]


def what_was_carried_out_decides(home: Place, way: str) -> None:
    def not_twice(system: str, view: GuardView) -> bool:
        """A system is granted once"""
        return view.carried_out("access.grant", system=system) == 0

    @command("access.grant", effect="transactional", check=not_twice)
    def once(system: str, ctx: ToolContext[Access]) -> str:
        """Give access to a system."""
        ctx.data.done.append(f"grant {system}")
        return system

    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("access", model=model, data=Access)
        workflow.add_state("open")
        workflow.add_edge("open", once, "open")
        return workflow.add_edge("open", revoke, "open", guard=lambda view: view.carried_out("access.grant") > 0)

    back = ("access.revoke", {"system": "ledger"})
    assert proposed(opened(home, made, way, back), back, key="early") == ["guard_failed"]
    assert proposed(opened(home, made, way, GRANT), GRANT, key="first") == ["ok"]
    assert proposed(opened(home, made, way, GRANT), GRANT, key="again") == ["check_failed"]
    home.clock.advance(hours=2)
    assert proposed(opened(home, made, way, back), back, key="late") == ["ok"]
    assert home.open(made, [], way=way).row.data["done"] == ["grant ledger", "revoke ledger 01.05. 11:00"]


def the_order_of_edges(home: Place, way: str) -> None:
    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("access", model=model, data=Access)
        workflow.add_state("open")
        workflow.add_edge("open", grant, "open", once_per="system")
        return workflow.add_edge("open", revoke, "open", after=After(grant, same="system"))

    back, other = ("access.revoke", {"system": "ledger"}), ("access.revoke", {"system": "wiki"})
    assert proposed(opened(home, made, way, GRANT), GRANT, key="first") == ["ok"]
    assert proposed(opened(home, made, way, GRANT), GRANT, key="again") == ["check_failed"]
    assert proposed(opened(home, made, way, other), other, key="other") == ["check_failed"]
    assert proposed(opened(home, made, way, back), back, key="back") == ["ok"]


def a_delegate_decides_while_the_delegation_lasts(home: Place, way: str) -> None:
    made = flow(Approval(by="mia"))
    approval = asked(home, made, way)
    home.open(made, [], way=way).instances.delegate("del", by=MIA, until="2d")
    home.clock.advance(days=3)
    refused(home.open(made, [], way=way), approval, DEL, "mia to decide")
    home.open(made, [], way=way).instances.delegate("del", by=MIA, until="2d")
    case = home.open(made, [], way=way)
    decided(case, approval, DEL)
    (decision,) = case.instances.approval(approval)["decisions"]
    assert (decision["by"], decision["onBehalfOf"]) == ("del", "mia")
    assert case.row.data["done"] == ["grant ledger"]


def a_request_is_reassigned_and_reminded_of(home: Place, way: str) -> None:
    made = flow(Approval(by="mia", remind="4h"))
    approval = asked(home, made, way)
    home.clock.advance(hours=4)
    assert home.open(made, [], way=way).instances.tick().reminded == [approval]
    assert home.open(made, [], way=way).instances.tick().reminded == []
    home.open(made, [], way=way).instances.reassign(approval, "nil", by=MIA, reason="away")
    case = home.open(made, [], way=way)
    case.instances.remind(approval, by=ANN)
    refused(case, approval, MIA, "nil to decide")
    decided(case, approval, NIL)
    assert case.row.data["done"] == ["grant ledger"]
    assert case.engine.store.verify(case.id) == []


def _cancellable(**rule: Any) -> Flow:
    def made(model: ScriptedChatModel) -> Workflow:
        workflow = flow()(model)
        workflow.cancellable(**rule)
        return workflow

    return made


def a_cancel_undoes_it(home: Place, way: str) -> None:
    made = _cancellable(role="boss")
    assert proposed(opened(home, made, way, GRANT), GRANT) == ["ok"]
    home.clock.advance(days=1)
    case = home.open(made, [], way=way)
    with pytest.raises(InterlockError, match="may not cancel"):
        case.instances.cancel(case.id, "no", by=ANN)
    case.instances.cancel(case.id, "She left.", by=BOSS)
    again = home.open(made, [], way=way)
    assert (again.row.state, again.row.data["done"]) == ("cancelled", ["grant ledger", "revoke ledger 02.05. 09:00"])
    assert [one.became for one in again.instances.cancellation(again.id).calls] == ["undone"]


def a_deadline_cancels_it(home: Place, way: str) -> None:
    made = _cancellable(after=lambda view: view.data.answer_by)
    assert proposed(opened(home, made, way, GRANT), GRANT) == ["ok"]
    home.clock.advance(days=1, hours=2)
    assert home.open(made, [], way=way).instances.tick().cancelled == []
    home.clock.advance(hours=1)
    case = home.open(made, [], way=way)
    assert case.instances.tick().cancelled == [case.id]
    again = home.open(made, [], way=way)
    assert (again.row.state, again.row.data["done"]) == ("cancelled", ["grant ledger", "revoke ledger 02.05. 12:00"])


def a_wait_lasts_as_long_as_its_case_says(home: Place, way: str) -> None:
    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("access", model=model, data=Access)
        workflow.add_state("open")
        workflow.add_edge("open", grant, "granted")
        workflow.add_wait("granted", within=lambda view: view.data.answer_by, on_timeout="ended")
        return workflow.add_state("ended", final=True)

    case = opened(home, made, way, GRANT)
    if way == "door":
        assert proposed(case, GRANT) == ["ok"]
    else:
        case.say()
    assert case.row.state == "granted"
    home.clock.advance(days=1, hours=2)
    home.open(made, [], way=way).instances.tick()
    assert home.open(made, [], way=way).row.state == "granted"
    home.clock.advance(hours=1)
    home.open(made, [], way=way).instances.tick()
    assert home.open(made, [], way=way).row.state == "ended"


def words_promise_only_what_was_done(home: Place, way: str) -> None:
    def speech(words: str, view: GuardView) -> bool | str:
        late = view.now >= dt.datetime(2026, 5, 2, tzinfo=dt.UTC)
        return "I have granted nothing." if "granted" in words and (late or not view.carried_out(grant)) else True

    made = flow(speech=speech)

    def last(*steps: Any) -> str:
        return str(home.open(made, [*steps], way=way).say()["messages"][-1].content)

    assert last("It is granted.") == "I have granted nothing."
    assert last(call("access.grant", system="ledger"), "It is granted.") == "It is granted."
    home.clock.advance(days=1)
    assert last("It is granted.") == "I have granted nothing."


def a_budget_stops_and_is_raised(home: Place, way: str) -> None:
    def made(model: ScriptedChatModel) -> Workflow:
        case = Budget(tokens=20, reserve=10, raised_by="boss", name="case")
        return flow()(model).budgets(case, Budget(tokens=30, reserve=10, per="principal", every="24h", name="day"))

    def stops() -> str | None:
        found = home.open(made, ["Hello."], way=way).say().get("__interrupt__", ())
        return found[0].value["reason"].split(" is spent")[0] if found else None

    # The scripted model reports no usage, so each call counts as its whole reservation.
    assert [stops(), stops(), stops()] == [None, None, "the budget 'case'"]
    case = home.open(made, ["Hello."], way=way)
    case.instances.raise_budget(case.id, "case", 20, by=BOSS, reason="A long case.", key="k")
    assert "__interrupt__" not in case.graph.invoke(None, case.config, context=ANN)
    assert stops() == "the budget 'day'"
    home.clock.advance(days=1)
    again = home.open(made, ["Hello."], way=way)
    assert "__interrupt__" not in again.graph.invoke(None, again.config, context=ANN)
    assert [one.left for one in again.instances.budgets(again.id)] == ["0", "20"]


def a_yes_in_the_chat(home: Place, way: str) -> None:
    made = flow(Confirmation(chat=Chat(), within="1h"))
    asked(home, made, way)
    home.open(made, [], way=way).say("Oui, please proceed")
    again = home.open(made, [call("access.grant", system="wiki")], way=way)
    assert again.row.data["done"] == ["grant ledger"]
    again.say("and the wiki")
    home.clock.advance(hours=2)
    late = home.open(made, [], way=way)
    late.say("yes")
    assert (late.row.data["done"], late.waiting()) == (["grant ledger"], [])


EVERY: dict[Callable[[Place, str], None], tuple[str, ...]] = {
    who_approves_is_in_the_data: WAYS,
    until_when_is_in_the_data: WAYS,
    only_the_approver_says_why: WAYS,
    only_the_application_says_for_whom: WAYS,
    what_was_carried_out_decides: WAYS,
    the_order_of_edges: WAYS,
    a_delegate_decides_while_the_delegation_lasts: WAYS,
    a_request_is_reassigned_and_reminded_of: WAYS,
    a_cancel_undoes_it: WAYS,
    a_deadline_cancels_it: WAYS,
    a_wait_lasts_as_long_as_its_case_says: WAYS,
    words_promise_only_what_was_done: ("graph", "middleware"),
    a_budget_stops_and_is_raised: ("graph", "middleware"),
    a_yes_in_the_chat: ("graph",),
}


def _cases() -> list[Any]:
    rules = [(rule, way) for rule, ways in EVERY.items() for way in ways]
    return [pytest.param(rule, way, id=f"{rule.__name__}-{way}") for rule, way in rules]


@pytest.mark.parametrize(("rule", "way"), _cases())
def test_a_rule_holds_at_every_entrance_across_a_restart(
    rule: Callable[[Place, str], None], way: str, home: Place
) -> None:
    rule(home, way)


# What holds where a rule has nothing to ask


def words_at_the_door(home: Place) -> None:
    """Nobody's words come in at the door: a call is judged without them."""
    assert proposed(home.open(flow(speech=lambda words, view: False), [], way="door"), GRANT) == ["ok"]


def budgets_at_the_door(home: Place) -> None:
    """No model of the workflow is asked at the door, and nothing is counted."""

    def made(model: ScriptedChatModel) -> Workflow:
        return flow()(model).budgets(Budget(tokens=10, reserve=10, name="case"))

    case = home.open(made, [], way="door")
    assert proposed(case, GRANT, GRANT) == ["ok", "ok"]
    assert [one.spent for one in case.instances.budgets(case.id)] == ["0"]


def a_chat_at_the_door(home: Place) -> None:
    """At the door it is a confirmation like any other."""
    made = flow(Confirmation(chat=True))
    approval = asked(home, made, "door")
    case = home.open(made, [], way="door")
    refused(case, approval, BOB, "served|confirm")
    decided(case, approval, ANN)
    assert case.row.data["done"] == ["grant ledger"]


def a_chat_in_an_agent(home: Place) -> None:
    """An agent's state does not say which message is the run's input, so that it is refused there."""
    with pytest.raises(WorkflowDefinitionError, match="chat"):
        home.open(flow(Confirmation(chat=True)), [], way="middleware")


ELSEWHERE: dict[tuple[Callable[[Place, str], None], str], Callable[[Place], None]] = {
    (words_promise_only_what_was_done, "door"): words_at_the_door,
    (a_budget_stops_and_is_raised, "door"): budgets_at_the_door,
    (a_yes_in_the_chat, "door"): a_chat_at_the_door,
    (a_yes_in_the_chat, "middleware"): a_chat_in_an_agent,
}


@pytest.mark.parametrize("what", ELSEWHERE.values(), ids=lambda what: what.__name__)
def test_where_a_rule_has_nothing_to_ask_it_is_as_the_manual_says(what: Callable[[Place], None], home: Place) -> None:
    what(home)


def test_every_rule_is_tested_at_every_entrance() -> None:
    there = {(rule, way) for rule, ways in EVERY.items() for way in ways}
    assert there.isdisjoint(ELSEWHERE)
    assert there | ELSEWHERE.keys() == {(rule, way) for rule in EVERY for way in WAYS}
