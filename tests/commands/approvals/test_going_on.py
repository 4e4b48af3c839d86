"""After a deadline the graph goes on, also inside another one, and also when whoever settled it died before he could say so."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from interlock import (
    Approval,
    ConflictError,
    EventService,
    Principal,
    SQLCheckpointer,
    TakeEdge,
    WorkflowGraph,
    WorkflowStore,
)
from interlock.testing import Child, ScriptedChatModel, injected
from tests.commands.approvals.support import (
    ADA,
    BEN,
    HOUR,
    RULE,
    Clock,
    Home,
    Shop,
    pending,
    refund,
    said,
    status,
    thread,
)
from tests.events.support import eventually


def inside(inner: WorkflowGraph, *, schema: Any = None) -> Any:
    """A parent graph whose one node is the workflow."""
    outer = StateGraph(MessagesState, context_schema=schema)
    outer.add_node("inner", inner)
    outer.add_edge(START, "inner")
    return outer.compile(checkpointer=InMemorySaver())


def waiting_inside(home: Home, root: Any, by: Principal = ADA) -> str:
    """Let the workflow inside come to its approval."""
    root.invoke(said(), thread(), context=by)
    (interrupt,) = root.get_state(thread()).interrupts
    return str(interrupt.value["approvalId"])


class TestInsideAnotherGraph:
    def test_the_parent_goes_on_when_an_approval_has_expired(self, shop: Shop, home: Home) -> None:
        inner = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        root = inside(inner)
        approval_id = waiting_inside(home, root)
        home.clock.advance(25 * HOUR)
        done = inner.instances.tick(root=root)
        assert [(one.approval_id, one.outcome) for one in done.lapsed] == [(approval_id, "expired")]
        assert done.resumed == [done.lapsed[0].workflow_id]
        state = root.get_state(thread())
        assert (state.next, state.values["messages"][-1].content) == ((), "then not")
        assert inner.instances.tick(root=root).resumed == []

    def test_the_parent_goes_on_when_another_edge_was_taken(self, shop: Shop, home: Home) -> None:
        rule = Approval(role="supervisor", within="24h", on_expiry=TakeEdge("desk.park"))
        inner = home.compile(shop.workflow([refund("7")], approval=rule))
        root = inside(inner)
        waiting_inside(home, root)
        home.clock.advance(25 * HOUR)
        assert len(inner.instances.tick(root=root).resumed) == 1
        assert (shop.ran, root.get_state(thread()).next) == (["park 7"], ())

    async def test_an_awaited_tick_resumes_the_parent_of_an_expired_approval(self, shop: Shop, home: Home) -> None:
        inner = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        root = inside(inner)
        await root.ainvoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        assert len((await inner.instances.atick(root=root)).resumed) == 1
        assert (await root.aget_state(thread())).values["messages"][-1].content == "then not"

    def test_an_event_service_with_root_resumes_the_parent_of_an_expired_approval(self, shop: Shop, home: Home) -> None:
        inner = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        root = inside(inner)
        waiting_inside(home, root)
        with EventService(inner, relay=False, tick=0.01, root=root):
            home.clock.advance(25 * HOUR)
            eventually(lambda: root.get_state(thread()).next == ())

    def test_a_tick_that_does_not_know_the_parent_leaves_it_to_one_that_does(self, shop: Shop, home: Home) -> None:
        inner = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        root = inside(inner)
        waiting_inside(home, root)
        home.clock.advance(25 * HOUR)
        alone = inner.instances.tick()
        assert ([one.outcome for one in alone.lapsed], alone.resumed) == (["expired"], [])
        assert root.get_state(thread()).interrupts
        then = inner.instances.tick(root=root)
        assert ([one.outcome for one in then.lapsed], len(then.resumed)) == ([], 1)
        assert root.get_state(thread()).next == ()

    @pytest.mark.parametrize("schema", [None, Principal])
    def test_the_workflow_inside_may_be_another_tenants(self, shop: Shop, home: Home, schema: Any) -> None:
        inner = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        root = inside(inner, schema=schema)
        waiting_inside(home, root, by=Principal("ada", tenant="acme"))
        home.clock.advance(25 * HOUR)
        assert len(inner.instances.tick(root=root).resumed) == 1
        assert root.get_state(thread()).next == ()

    def test_an_agent_whose_middleware_it_is_goes_on_as_well(self, shop: Shop, home: Home) -> None:
        store = home.compile(shop.workflow([], approval=RULE)).engine.store
        middleware = shop.workflow([], approval=RULE).as_middleware(workflow_store=store)
        model = ScriptedChatModel([refund(), "then not"])
        agent = create_agent(model, middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal)
        agent.invoke(said(), thread(), context=ADA)
        assert agent.get_state(thread()).interrupts
        home.clock.advance(25 * HOUR)
        assert middleware.instances.tick().resumed == []
        assert len(middleware.instances.tick(root=agent).resumed) == 1
        assert agent.get_state(thread()).values["messages"][-1].content == "then not"


class TestSettledAndNotGoneOn:
    def test_the_next_tick_resumes_a_graph_whose_approval_expired_without_a_resume(
        self, shop: Shop, home: Home
    ) -> None:
        graph = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        assert len(graph.instances.tick(resume=False).lapsed) == 1
        assert graph.get_state(thread()).interrupts
        after = home.compile(shop.workflow(["then not"], approval=RULE))
        done = after.instances.tick()
        assert (done.lapsed, done.resumed) == ([], [after.instances.id_of(thread())])
        assert after.get_state(thread()).values["messages"][-1].content == "then not"
        assert after.instances.tick().resumed == []

    def test_a_tick_resumes_a_graph_whose_approval_a_late_decision_expired(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        with pytest.raises(ConflictError):
            graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
        assert len(graph.instances.tick().resumed) == 1
        assert graph.get_state(thread()).next == ()

    def test_a_graph_that_could_not_go_on_does_so_by_the_next_tick(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        with monkeypatch.context() as patch:
            patch.setattr(type(graph), "invoke", _broken)
            assert graph.instances.tick().resumed == []
        assert len(graph.instances.tick().resumed) == 1
        assert graph.get_state(thread()).next == ()

    def test_a_graph_that_has_gone_on_by_itself_is_left_alone(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = home.compile(shop.workflow([refund(), "then not"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.clock.advance(25 * HOUR)
        graph.invoke(None, thread(), context=ADA)
        monkeypatch.setattr(type(graph), "invoke", _broken)
        for _ in range(2):
            assert graph.instances.tick().resumed == []

    def test_two_that_expired_in_one_thread_are_one_run(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([[refund("1"), refund("2")], "then not"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        assert len(graph.get_state(thread()).interrupts) == 2
        home.clock.advance(25 * HOUR)
        done = graph.instances.tick()
        assert (len(done.lapsed), len(done.resumed)) == (2, 1)
        assert graph.get_state(thread()).values["messages"][-1].content == "then not"

    def test_more_than_one_tick_takes_at_once_all_go_on(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("interlock.operations.resuming.BATCH", 2)
        graph = home.compile(shop.workflow([refund()] * 5, approval=RULE))
        for number in range(5):
            graph.invoke(said(), thread(f"t-{number}"), context=ADA)
        home.clock.advance(25 * HOUR)
        resumed = [one for _ in range(3) for one in graph.instances.tick().resumed]
        assert len(set(resumed)) == 5


def _broken(*_: Any, **__: Any) -> Any:
    raise ConnectionError("the model's provider is away")


def at(url: str, now: int, shop: Shop | None = None) -> WorkflowGraph:
    """The shop as one more process has it, at a point in time."""
    saver = SQLCheckpointer(url)
    flow = (shop or Shop()).workflow([], approval=RULE, forever="then not")
    return flow.compile(saver, workflow_store=WorkflowStore(saver.database, clock=Clock(now)))


def tick_at(url: str, now: int) -> list[str]:
    """Settle what is overdue, and say which fault points this comes to."""
    graph = at(url, now)
    with injected() as reached:
        graph.instances.tick()
    return reached.points


def test_a_tick_that_is_killed_anywhere_is_made_up_for_by_those_after_it(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = 1_800_000_000_000_000
    late = start + 25 * HOUR * 1_000_000
    monkeypatch.setattr("interlock.operations.resuming.ABANDONED_AFTER", 0.0)

    def waiting(name: str) -> str:
        home = Home(f"sqlite:///{tmp_path}/{name}.db", Clock(start))
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        home.close()
        return home.url

    with Child(tick_at, waiting("whole"), late) as child:
        points = child.result()
    for number in range(1, len(points) + 1, 4):
        url = waiting(f"killed-{number}")
        with Child(tick_at, url, late, kill_at=(None, number)) as child:
            assert child.ended() == -signal.SIGKILL
        graph = at(url, late)
        for _ in range(3):
            graph.instances.tick()
        state = graph.get_state(thread())
        assert (state.next, state.values["messages"][-1].content) == ((), "then not"), points[number - 1]
        (approval,) = graph.engine.store.approvals(status=None).approvals
        assert status(graph, approval.approval_id) == "expired"
