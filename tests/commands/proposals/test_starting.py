"""Starting an instance without a thread: once for an id, by the rules of whom it serves."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from interlock import ConflictError, Principal, Workflow
from interlock.tools.errors import InputError, InvalidInput, PrincipalError, RunError
from tests.commands.approvals.support import ADA, BEN, MALLORY, RULE, Home, Shop, pending, refund, said, thread
from tests.commands.proposals.support import Door, code, door

CLERK = Principal("cole", roles=frozenset({"clerk"}))
HOWS = pytest.mark.parametrize("how", ["sync", "async"])


@HOWS
def test_an_instance_is_started_and_can_be_proposed_on(home: Home, shop: Shop, how: str) -> None:
    desk = Door(home.compile(shop.workflow([])), how)
    snapshot = desk.start(data={"parked": 3})
    assert (snapshot.state, snapshot.revision, snapshot.data) == ("open", 0, {"refunded": "0", "parked": 3})
    assert snapshot == desk.graph.instances.snapshot(desk.case, by=ADA)
    assert desk.graph.instances.get(desk.case).served == "ada"
    assert code(desk.propose("desk.park", key="p", revision=snapshot.revision, orderId="1")) == "ok"


def test_without_an_id_each_start_makes_one(home: Home, shop: Shop) -> None:
    instances = home.compile(shop.workflow([])).instances
    first, second = (instances.start(principal=ADA) for _ in range(2))
    assert first.workflow_id != second.workflow_id
    assert instances.start(principal=ADA, workflow_id=first.workflow_id).workflow_id == first.workflow_id


@HOWS
def test_the_same_start_again_finds_the_instance_wherever_it_stands(home: Home, shop: Shop, how: str) -> None:
    desk = door(home, shop, how=how)
    desk.propose("desk.park", key="p", orderId="1")
    assert desk.start().state == "parked"
    assert desk.start(data={"parked": 0}).revision == 1
    assert desk.kinds.count("started") == 1


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"principal": MALLORY}, "ada started it"),
        ({"data": {"parked": 1}}, "it was started with other data"),
        ({"served": "zoe"}, "it serves ada"),
    ],
)
def test_another_start_under_the_same_id_is_a_conflict(home: Home, shop: Shop, other: dict, why: str) -> None:
    desk = door(home, shop, run_by="tenant")
    with pytest.raises(ConflictError, match=f"{why}. Nothing was started; it is in 'open' at revision 0") as refused:
        desk.start(**other)
    assert not refused.value.retryable
    assert refused.value.details == {"workflowId": "case-1", "currentState": "open", "revision": 0}
    assert desk.kinds == ["started"]


class Card(BaseModel):
    password: str = ""


def test_sensitive_data_is_no_reason_against_the_same_start(home: Home, shop: Shop) -> None:
    flow = Workflow("cards", data=Card).add_state("open").add_state("closed", final=True)
    flow.add_edge("open", shop.close, "closed")
    desk = Door(home.compile(flow))
    given = {"password": "open sesame"}
    assert desk.start(data=given) == desk.start(data=given)
    (started,) = desk.graph.instances.audit(desk.case)
    assert "sesame" not in str(started.payload)


def test_a_person_who_is_not_served_and_may_not_run_it_is_refused(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    with pytest.raises(PrincipalError, match="may not run or see"):
        desk.start(MALLORY)
    with pytest.raises(PrincipalError, match="may not start a workflow shop that serves zoe"):
        desk.start(ADA, workflow_id="case-2", served="zoe")
    assert desk.graph.engine.store.find("case-2") is None


def test_a_role_that_runs_it_starts_it_for_somebody_else(home: Home, shop: Shop) -> None:
    desk = Door(home.compile(shop.workflow([], run_by="clerk")))
    desk.start(CLERK, served="zoe")
    assert desk.graph.instances.get(desk.case).served == "zoe"
    assert code(desk.propose("desk.park", by=CLERK, key="p", orderId="1")) == "ok"
    assert code(desk.propose("desk.close", by=Principal("zoe"), key="c")) == "ok"


def test_an_id_of_another_tenant_is_answered_as_where_nothing_is(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    with pytest.raises(RunError, match="There is no workflow instance case-1 for the tenant 'elsewhere'"):
        desk.start(Principal("ada", tenant="elsewhere"))
    with pytest.raises(PrincipalError, match="of one tenant"):
        desk.start(ADA, workflow_id="case-2", served=Principal("zoe", tenant="elsewhere"))


def test_nobody_starts_what_the_id_of_a_thread_would_stand_for(home: Home, shop: Shop) -> None:
    desk = Door(home.compile(shop.workflow(["Hello."])))
    squatted = desk.graph.instances.id_of(thread())
    with pytest.raises(InputError, match="has the form of generated ids") as refused:
        desk.start(MALLORY, workflow_id=squatted)
    assert refused.value.code == "reserved_workflow_id"
    desk.graph.invoke(said(), thread(), context=ADA)
    assert desk.graph.instances.get(thread()).served == "ada"


def test_data_that_does_not_fit_starts_nothing(home: Home, shop: Shop) -> None:
    desk = Door(home.compile(shop.workflow([])))
    with pytest.raises(InvalidInput):
        desk.start(data={"parked": "often"})
    assert desk.graph.engine.store.find(desk.case) is None


def test_a_thread_goes_on_with_an_instance_that_was_started_without_one(home: Home, shop: Shop) -> None:
    flow = shop.workflow(["Hello."])
    desk = Door(home.compile(flow))
    desk.start()
    desk.propose("desk.park", key="p", orderId="1")
    config = {"configurable": {"thread_id": "t-9", "workflow_id": desk.case}}
    output = desk.graph.invoke(said(), config, context=ADA)
    assert (output["state"], output["revision"]) == ("parked", 1)
    assert desk.graph.instances.get(desk.case).thread_id == "t-9"
    with pytest.raises(PrincipalError):
        desk.graph.invoke(said(), config, context=BEN)


def test_a_decision_lets_the_thread_go_on_that_an_instance_was_given_later(home: Home, shop: Shop) -> None:
    desk = Door(home.compile(shop.workflow([refund(), "Done."], approval=RULE)))
    desk.start()
    config = {"configurable": {"thread_id": "t-9", "workflow_id": desk.case}}
    desk.graph.invoke(said(), config, context=ADA)
    desk.graph.instances.decide(pending(desk.graph, config), "approve", by=BEN)
    assert desk.graph.instances.resume(desk.case)["messages"][-1].text == "Done."
    assert shop.ran == ["refund 1 5"]
