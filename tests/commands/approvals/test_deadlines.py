"""Deadlines hold without a process waiting: rejected, escalated, or another edge; by whoever finds out first, and once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Approval, Confirmation, ConflictError, Escalate, EventService, TakeEdge
from interlock.commands.approvals.binding import closed_ref
from interlock.commands.approvals.deadlines import expire
from interlock.testing import Child
from interlock.tools import PrincipalError, WorkflowDefinitionError
from tests.commands.approvals import one_step
from tests.commands.approvals.support import (
    ADA,
    BEN,
    CAT,
    DAN,
    HOUR,
    RULE,
    Home,
    Shop,
    answers,
    asked,
    kinds,
    pending,
    refund,
    refusals,
    said,
    status,
    thread,
)
from tests.events.support import eventually


class TestRejecting:
    def test_a_decision_after_the_deadline_is_refused_and_written_down(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        home.clock.advance(24 * HOUR)
        with pytest.raises(ConflictError, match="is over") as late:
            graph.instances.decide(approval_id, "approve", by=BEN)
        assert late.value.code == "approval_expired"
        assert status(graph, approval_id) == "expired"
        assert refusals(graph, thread()) == ["approval_expired"]
        (record,) = [one for one in graph.instances.audit(thread()) if one.kind.value == "void"]
        assert record.audit_ref == closed_ref(approval_id)
        with pytest.raises(ConflictError, match="is over") as again:
            graph.instances.decide(approval_id, "approve", by=BEN)
        assert again.value.code == "approval_expired"

    def test_a_decision_just_before_the_deadline_counts(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(24 * HOUR - 0.000_001)
        graph.invoke(Command(resume="approve"), thread(), context=BEN)
        assert shop.ran == ["refund 1 5"]

    def test_the_graph_itself_finds_out_when_it_runs_on(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        output = graph.invoke(None, thread(), context=ADA)
        assert answers(output) == ["approval_expired"]
        assert output["messages"][-1].content == "then not"
        assert shop.ran == []

    def test_the_tick_expires_what_is_due_and_lets_the_graph_go_on(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        assert graph.instances.tick().lapsed == []
        home.clock.advance(25 * HOUR)
        done = graph.instances.tick()
        assert [(one.approval_id, one.outcome) for one in done.lapsed] == [(approval_id, "expired")]
        assert done.resumed == [graph.instances.id_of(thread())]
        assert graph.get_state(thread()).values["messages"][-1].content == "then not"
        assert graph.instances.tick().lapsed == []

    async def test_an_awaited_tick_expires_what_is_due(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        await graph.ainvoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        done = await graph.instances.atick()
        assert [one.outcome for one in done.lapsed] == ["expired"]
        assert (await graph.aget_state(thread())).values["messages"][-1].content == "then not"

    def test_an_approval_that_was_given_in_time_does_not_expire(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
        home.clock.advance(100 * HOUR)
        assert graph.instances.tick().lapsed == []
        graph.instances.resume(thread())
        assert shop.ran == ["refund 1 5"]


class TestEscalating:
    RULE = Approval(role="supervisor", within="24h", on_expiry=Escalate("manager", within="2h"))

    def test_another_role_decides_from_then_on(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        with pytest.raises(PrincipalError):
            graph.instances.decide(approval_id, "approve", by=DAN)
        home.clock.advance(25 * HOUR)
        done = graph.instances.tick()
        assert [(one.outcome, one.to) for one in done.lapsed] == [("escalated", "manager")]
        assert done.resumed == []
        with pytest.raises(PrincipalError):
            graph.instances.decide(approval_id, "approve", by=BEN)
        graph.instances.decide(approval_id, "approve", by=DAN)
        graph.instances.resume(thread())
        assert shop.ran == ["refund 1 5"]
        assert "escalated" in kinds(graph, thread())

    def test_the_new_role_may_decide_before_any_tick(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        graph.instances.decide(pending(graph, thread()), "approve", by=DAN)
        graph.instances.resume(thread())
        assert shop.ran == ["refund 1 5"]

    def test_the_new_role_has_its_own_time_and_then_it_is_over(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        home.clock.advance(30 * HOUR)
        graph.instances.tick()
        home.clock.advance(2 * HOUR - 1)
        assert graph.instances.tick().lapsed == []
        home.clock.advance(1)
        assert [one.outcome for one in graph.instances.tick().lapsed] == ["expired"]
        assert status(graph, approval_id) == "expired"
        assert shop.ran == []

    def test_it_may_pass_through_several_roles(self, shop: Shop, home: Home) -> None:
        rule = Approval(
            role="supervisor",
            within="1h",
            on_expiry=Escalate("manager", then=Escalate("board", then=TakeEdge("desk.park"))),
        )
        graph = home.compile(shop.workflow([refund()], approval=rule))
        graph.invoke(said(), thread(), context=ADA)
        outcomes = []
        for _ in range(4):
            home.clock.advance(HOUR)
            outcomes += [(one.outcome, one.to) for one in graph.instances.tick().lapsed]
        assert outcomes == [("escalated", "manager"), ("escalated", "board"), ("taken", "desk.park")]
        assert shop.ran == ["park 1"]

    def test_the_interrupt_shows_the_new_role_once_the_graph_has_run_on(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        (first,) = asked(graph.invoke(said(), thread(), context=ADA))
        assert first["rule"]["role"] == "supervisor"
        home.clock.advance(25 * HOUR)
        (then,) = asked(graph.invoke(None, thread(), context=ADA))
        assert then["rule"]["role"] == "manager"
        assert then["approvalId"] == first["approvalId"]


class TestAnotherEdge:
    RULE = Approval(role="supervisor", within="24h", on_expiry=TakeEdge("desk.park"))

    def test_its_tool_is_called_on_behalf_of_who_proposed_with_what_it_knows_of_the_call(
        self, shop: Shop, home: Home
    ) -> None:
        graph = home.compile(shop.workflow([refund("7")], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        done = graph.instances.tick()
        assert [(one.outcome, one.to) for one in done.lapsed] == [("taken", "desk.park")]
        assert shop.ran == ["park 7"]
        snapshot = graph.instances.snapshot(thread())
        assert (snapshot.state, snapshot.pending_approvals) == ("parked", ())
        assert graph.get_state(thread()).values["state"] == "parked"
        (transition,) = [one for one in graph.instances.audit(thread()) if one.kind == "transition"]
        assert (transition.tool, transition.principal_id) == ("desk.park", "ada")

    def test_a_service_that_is_embedded_keeps_it_as_it_keeps_those_of_waits(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund("7")], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        with EventService(graph, relay=False, tick=0.01):
            home.clock.advance(25 * HOUR)
            eventually(lambda: graph.get_state(thread()).values["state"] == "parked")
        assert shop.ran == ["park 7"]
        assert graph.instances.tick().lapsed == []

    def test_a_look_at_the_deadlines_that_breaks_ends_no_service(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        graph = home.compile(shop.workflow([refund("7")], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        look = graph.instances.tick
        broken = [ValueError("no"), ValueError("no")]

        def tick(**given: Any) -> Any:
            if broken:
                raise broken.pop()
            return look(**given)

        monkeypatch.setattr(type(graph.instances), "tick", lambda _, **given: tick(**given))
        with EventService(graph, relay=False, tick=0.01):
            home.clock.advance(25 * HOUR)
            eventually(lambda: shop.ran == ["park 7"])
        assert caplog.text.count("could not be checked") == 2

    def test_the_graph_takes_it_as_well_when_it_finds_out_first(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        output = graph.invoke(None, thread(), context=ADA)
        assert (shop.ran, output["state"]) == (["park 1"], "parked")
        assert answers(output) == ["approval_expired"]
        assert graph.instances.tick().lapsed == []
        assert shop.ran == ["park 1"]

    def test_a_process_that_dies_between_the_call_and_the_note_of_it_is_made_up_for(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        home.clock.advance(25 * HOUR)

        def dies(*_: object, **__: object) -> None:
            raise SystemExit("killed")

        with monkeypatch.context() as patch:
            patch.setattr("interlock.commands.approvals.deadlines.expire", dies)
            with pytest.raises(SystemExit):
                graph.instances.tick()
        assert expire is not dies
        assert (shop.ran, status(graph, approval_id)) == (["park 1"], "requested")
        # The workflow is in another state by now, so there is nothing left to take.
        assert [one.outcome for one in graph.instances.tick().lapsed] == ["expired"]
        assert shop.ran == ["park 1"]

    def test_nobody_decides_between_the_deadline_and_the_call(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=self.RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        with pytest.raises(ConflictError, match="is over"):
            graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
        graph.instances.tick()
        assert shop.ran == ["park 1"]

    def test_arguments_of_its_own_are_used_where_they_are_given(self, shop: Shop, home: Home) -> None:
        rule = Confirmation(within="5m", on_expiry=TakeEdge("desk.park", {"orderId": "lost and found"}))
        graph = home.compile(shop.workflow([refund()], approval=rule))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(301)
        graph.instances.tick()
        assert shop.ran == ["park lost and found"]

    def test_the_graph_draws_the_edge_that_is_taken_at_the_deadline(self, shop: Shop) -> None:
        drawn = shop.workflow([], approval=self.RULE).compile().get_graph()
        ways = {edge.target for edge in drawn.edges if edge.source == "open/order.refund/approval"}
        assert ways == {"open", "open/order.refund", "parked"}

    @pytest.mark.parametrize(
        ("tool", "reason"),
        [("desk.burn", "no other edge"), ("order.refund", "no other edge"), ("order.get", "only reads")],
    )
    def test_an_edge_that_is_not_there_is_refused_at_compile_time(self, shop: Shop, tool: str, reason: str) -> None:
        rule = Approval(within="1h", on_expiry=TakeEdge(tool))
        with pytest.raises(WorkflowDefinitionError, match=reason):
            shop.workflow([], approval=rule).compile()

    def test_an_edge_that_asks_itself_is_refused_at_compile_time(self, shop: Shop) -> None:
        rule = Approval(within="1h", on_expiry=TakeEdge("order.cancel"))
        with pytest.raises(WorkflowDefinitionError, match="itself requires an approval"):
            shop.workflow([], approval=rule, cancel_approval=True).compile()


class TestManyAtOnce:
    def test_several_ticks_at_once_settle_each_request_once(self, shop: Shop, home: Home) -> None:
        rule = Approval(within="1h", on_expiry=TakeEdge("desk.park"))
        graphs = [home.compile(shop.workflow([refund()] * 12, approval=rule)) for _ in range(4)]
        for number in range(12):
            graphs[0].invoke(said(), thread(f"t-{number}"), context=ADA)
        home.clock.advance(2 * HOUR)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda graph: graph.instances.tick(resume=False), graphs))
        settled = [one.approval_id for tick in done for one in tick.lapsed]
        # What two of them were at together may be left for the next tick; nothing is done twice.
        settled += [one.approval_id for one in graphs[0].instances.tick(resume=False).lapsed]
        assert len(settled) == len(set(settled)) == 12
        assert sorted(shop.ran) == ["park 1"] * 12

    def test_one_tick_settles_more_than_it_reads_at_once(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("interlock.operations.ticking.BATCH", 3)
        graph = home.compile(shop.workflow([refund()] * 8, approval=RULE))
        for number in range(8):
            graph.invoke(said(), thread(f"t-{number}"), context=ADA)
        home.clock.advance(25 * HOUR)
        assert len(graph.instances.tick(resume=False).lapsed) == 8

    def test_a_stop_that_fails_does_not_delay_the_others(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("interlock.operations.ticking.BATCH", 1)
        graph = home.compile(shop.workflow([refund()] * 3, approval=RULE))
        for number in range(3):
            graph.invoke(said(), thread(f"t-{number}"), context=ADA)
        home.clock.advance(25 * HOUR)
        stuck = graph.instances.snapshot(thread("t-0")).pending_approvals[0]["approvalId"]
        from interlock.commands.approvals.deadlines import lapse_one

        def lapse(engine: Any, approval_id: str, workflow_id: str) -> Any:
            if approval_id == stuck:
                raise ConflictError("somebody else is at it")
            return (yield from lapse_one(engine, approval_id, workflow_id))

        monkeypatch.setattr("interlock.operations.ticking.lapse_one", lapse)
        assert len(graph.instances.tick(resume=False).lapsed) == 2


def test_two_people_and_an_escalation_across_process_restarts(tmp_path: Path) -> None:
    """Each step is a process of its own, at the time that it is told."""

    def step(hours: float, *what: str) -> str:
        with Child(one_step.main, str(tmp_path / "shop.db"), str(hours), *what) as process:
            return process.result()

    assert step(0, "propose") == "asked by ada, to be decided by supervisor"
    assert step(1, "approve", "ben", "supervisor") == "requested"
    assert step(2, "approve", "ben", "supervisor").startswith("declined: ben may not approve")
    assert step(23.9, "tick") == "nothing"
    assert step(24.1, "tick") == "escalated to manager"
    assert step(24.2, "approve", "cat", "supervisor").startswith("declined: cat may not approve")
    assert step(24.3, "approve", "ada", "manager").startswith("declined: ada may not approve")
    assert step(25, "approve", "dan", "manager") == "approved"
    assert step(26, "go on") == "refund 1 5; closed"
    assert step(27, "go on") == "; closed"
    assert step(28, "trail") == (
        "started ada, approval ada, decision ben, decision_refused ben, escalated ada, decision_refused cat, "
        "decision_refused ada, decision dan, transition ada, whole"
    )


def test_an_agreement_given_before_the_escalation_still_counts(shop: Shop, home: Home) -> None:
    rule = Approval(role="supervisor", count=2, within="24h", on_expiry=Escalate("manager"))
    graph = home.compile(shop.workflow([refund()], approval=rule))
    graph.invoke(said(), thread(), context=ADA)
    approval_id = pending(graph, thread())
    graph.instances.decide(approval_id, "approve", by=CAT)
    home.clock.advance(25 * HOUR)
    assert graph.instances.decide(approval_id, "approve", by=DAN).status == "approved"
