"""A decision is taken from the approval's own tenant, on its own instance, whichever way it came in."""

from __future__ import annotations

from interlock import Principal
from interlock.commands.approvals.decisions import Declined, decide, may_see
from interlock.commands.running.scope import outside_scope
from interlock.tools.approvals import Decision, DecisionKind
from tests.commands.approvals.support import (
    ADA,
    BEN,
    MALLORY,
    RULE,
    STRANGER,
    Home,
    Shop,
    asked,
    refund,
    refusals,
    said,
    status,
    thread,
)


def test_a_principal_of_another_tenant_or_instance_decides_nothing(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund(), "that is all"], approval=RULE))
    (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
    graph.invoke(said(), thread("t-2"), context=ADA)
    engine, approval_id = graph.engine, shown["approvalId"]

    def tried(name: str, by: Principal) -> object:
        workflow_id = graph.instances.id_of(thread(name))
        with engine.store.write() as connection:
            decision = Decision(kind=DecisionKind.APPROVE)
            return decide(engine, connection, approval_id, decision, by=by, scope=outside_scope(workflow_id, by))

    for name, by in (("t-1", STRANGER), ("t-2", BEN)):
        declined = tried(name, by)
        assert isinstance(declined, Declined)
        assert declined.error.code == "unknown_approval"
    assert status(graph, approval_id) == "requested"
    assert refusals(graph, thread()) == ["not_entitled"], "the tenant whose it is finds it in the record"
    assert refusals(graph, thread("t-2")) == []
    assert not isinstance(tried("t-1", BEN), Declined)


def test_an_approval_is_shown_to_those_of_its_tenant_whom_it_concerns(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
    approval = graph.engine.store.approval(shown["approvalId"])
    ownership = graph.engine.store.get(graph.instances.id_of(thread())).ownership
    namesake = Principal(ADA.id, tenant=STRANGER.tenant)

    seen = [may_see(approval, ownership, by) for by in (ADA, BEN, MALLORY, STRANGER, namesake)]
    assert seen == [True, True, False, False, False]
