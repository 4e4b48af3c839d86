"""Everything settled is taken up by a tick: once, side by side, fairly, and with failures that the caller sees."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from interlock import Approval, Principal, SQLCheckpointer, TakeEdge, Workflow, WorkflowGraph, WorkflowStore, command
from interlock.checkpointing.store.settled import claims, stops
from interlock.testing import Child, FaultPoint, ScriptedChatModel, call
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

ALONE = stops.LEFT_ALONE


def settled(graph: WorkflowGraph) -> list[stops.Stop]:
    """What a tick would take up, whenever it comes."""
    with graph.engine.store.read() as connection:
        return stops.pending(connection, workflow="shop", now=1 << 62, decided_before=1 << 62, inside=True, limit=1_000)


def decided(home: Home, flow: Workflow, names: list[str], answer: Any = "approve") -> WorkflowGraph:
    """Threads whose approvals were decided outside their graphs, by a process that died before these went on; the oldest first."""
    graph = home.compile(flow)
    for name in names:
        graph.invoke(said(), thread(name), context=ADA)
    for name in names:
        graph.instances.decide(pending(graph, thread(name)), answer, by=BEN)
        home.clock.advance(1)
    return graph


class Broken:
    """A model's provider that is away for some threads."""

    def __init__(self, graph: WorkflowGraph, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.names = set(names)
        self.tried: list[str] = []
        whole = type(graph).invoke

        def invoke(graph: WorkflowGraph, given: Any, config: Any = None, **more: Any) -> Any:
            name = config["configurable"]["thread_id"]
            self.tried.append(name)
            if name in self.names:
                raise ConnectionError("the model's provider is away")
            return whole(graph, given, config, **more)

        monkeypatch.setattr(type(graph), "invoke", invoke)


class TestADecisionWhoseProcessDied:
    @pytest.mark.parametrize("answer", ["approve", "reject", {"type": "respond", "message": "ask again"}])
    def test_a_tick_resumes_it(self, answer: Any, shop: Shop, home: Home) -> None:
        graph = decided(home, shop.workflow([refund(), "then this"], approval=RULE), ["t-1"], answer)
        home.clock.advance(ALONE)
        assert graph.instances.tick().resumed == [graph.instances.id_of(thread())]
        assert graph.get_state(thread()).next == ()
        assert shop.ran == (["refund 1 5"] if answer == "approve" else [])
        assert graph.instances.tick().resumed == []
        assert settled(graph) == []

    async def test_an_awaited_tick_resumes_it(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(), "then this"], approval=RULE))
        await graph.ainvoke(said(), thread(), context=ADA)
        (waiting,) = (await graph.instances.aapprovals()).approvals
        await graph.instances.adecide(waiting.approval_id, "approve", by=BEN)
        home.clock.advance(ALONE)
        assert len((await graph.instances.atick()).resumed) == 1
        assert shop.ran == ["refund 1 5"]

    def test_a_tick_leaves_a_fresh_decision_to_the_process_that_made_it(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(), "then this"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
        home.clock.advance(ALONE - 0.1)
        assert graph.instances.tick().resumed == []
        home.clock.advance(0.1)
        assert len(graph.instances.tick().resumed) == 1

    def test_a_run_from_the_answer_leaves_nothing_for_a_tick(self, shop: Shop, home: Home) -> None:
        from langgraph.types import Command

        graph = home.compile(shop.workflow([refund(), "then this"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        graph.invoke(Command(resume="approve"), thread(), context=BEN)
        assert settled(graph) == []

    def test_a_resume_leaves_nothing_for_a_tick(self, shop: Shop, home: Home) -> None:
        graph = decided(home, shop.workflow([refund(), "then this"], approval=RULE), ["t-1"])
        graph.instances.resume(thread())
        assert settled(graph) == []

    def test_a_tick_resumes_the_thread_of_a_void_approval(self, shop: Shop, home: Home) -> None:
        from interlock import ConflictError

        graph = home.compile(shop.workflow([refund(), "then this"], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.execute(thread(), "desk.park", {"orderId": "1"}, principal=ADA)
        with pytest.raises(ConflictError):
            graph.instances.decide(approval_id, "approve", by=BEN)
        assert status(graph, approval_id) == "void"
        home.clock.advance(ALONE)
        assert len(graph.instances.tick().resumed) == 1
        assert graph.get_state(thread()).interrupts == ()


class TestAResolvedAttempt:
    @pytest.mark.parametrize("found", ["retry", "failed", "happened"])
    def test_a_tick_resumes_it(self, found: str, home: Home) -> None:
        away = True

        @command("parcel.send")
        def send() -> str:
            """Send the parcel."""
            if away:
                raise ConnectionError("gone")
            return "sent"

        def answer(messages: Any, tools: Any) -> Any:
            return "done" if messages[-1].type == "tool" else call("parcel.send")

        flow = Workflow("shop", model=ScriptedChatModel([], forever=answer))
        flow.add_state("packed").add_state("sent", final=True)
        flow.add_edge("packed", send, "sent")
        graph = home.compile(flow)
        graph.invoke(said(), thread(), context=ADA)
        assert graph.get_state(thread()).interrupts[0].value["type"] == "outcome_unknown"
        away = False
        output = "sent" if found == "happened" else None
        graph.instances.resolve(thread(), found, by=Principal("op"), output=output)
        assert graph.instances.tick().resumed == []
        home.clock.advance(ALONE)
        assert graph.instances.tick().resumed == [graph.instances.id_of(thread())]
        assert graph.instances.get(thread()).state == ("packed" if found == "failed" else "sent")
        assert settled(graph) == []


class TestFairly:
    def test_those_that_fail_do_not_hold_up_those_behind_them(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = decided(home, shop.workflow([], approval=RULE, forever=_refund_once), ["bad-1", "bad-2", "good"])
        home.clock.advance(ALONE)
        monkeypatch.setattr("interlock.operations.resuming.BATCH", 2)
        Broken(graph, monkeypatch, "bad-1", "bad-2")
        assert len(graph.instances.tick().failed) == 2
        done = graph.instances.tick()
        assert done.resumed == [graph.instances.id_of(thread("good"))]

    def test_the_caller_sees_what_failed_and_when_it_is_tried_again(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = decided(home, shop.workflow([], approval=RULE, forever=_refund_once), ["bad", "good"])
        home.clock.advance(ALONE)
        Broken(graph, monkeypatch, "bad")
        (failure,) = graph.instances.tick().failed
        assert (failure.kind, failure.workflow_id) == ("approval", graph.instances.id_of(thread("bad")))
        assert isinstance(failure.error, ConnectionError)
        assert failure.retry_at == home.clock.now
        with graph.engine.store.read() as connection:
            (row,) = claims.of_instance(connection, failure.workflow_id)
        assert (row.attempts, row.error, row.owner) == (1, "ConnectionError", None)

    def test_the_pauses_between_tries_grow_to_five_minutes(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = decided(home, shop.workflow([], approval=RULE, forever=_refund_once), ["bad"])
        home.clock.advance(ALONE)
        broken = Broken(graph, monkeypatch, "bad")
        pauses = []
        for _ in range(14):
            (failure,) = graph.instances.tick().failed
            assert failure.retry_at is not None
            pauses.append((failure.retry_at - home.clock.now) / 1_000_000)
            if pauses[-1]:
                home.clock.advance(pauses[-1] - 0.5)
                assert graph.instances.tick().failed == []
                home.clock.advance(0.5)
        assert pauses == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
        broken.names.clear()
        assert len(graph.instances.tick().resumed) == 1
        assert settled(graph) == []

    def test_a_run_that_broke_on_its_way_is_tried_again_at_once(self, shop: Shop, home: Home) -> None:
        """Nobody knows it for a run that is under way, which is left alone for five minutes: its failure is on record."""
        flow = shop.workflow([refund(), ConnectionError("away"), "then this"], approval=RULE)
        graph = decided(home, flow, ["t-1"])
        home.clock.advance(ALONE)
        (failure,) = graph.instances.tick().failed
        assert isinstance(failure.error, ConnectionError)
        assert graph.get_state(thread()).next
        assert len(graph.instances.tick().resumed) == 1
        assert (graph.get_state(thread()).next, shop.ran) == ((), ["refund 1 5"])

    def test_a_deadline_whose_edge_fails_does_not_hold_up_the_others(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rule = Approval(role="supervisor", within="24h", on_expiry=TakeEdge("desk.park"))
        graph = home.compile(shop.workflow([], approval=rule, forever=_refund_once))
        for name in ("bad", "good"):
            graph.invoke(said(), thread(name), context=ADA)
        bad = pending(graph, thread("bad"))
        home.clock.advance(25 * HOUR)
        from interlock.operations import ticking

        whole = ticking.lapse_one

        def lapse(engine: Any, approval_id: str, workflow_id: str) -> Any:
            if approval_id == bad:
                raise RuntimeError("the tool's module is broken")
            return (yield from whole(engine, approval_id, workflow_id))

        with monkeypatch.context() as patch:
            patch.setattr(ticking, "lapse_one", lapse)
            done = graph.instances.tick()
            assert [one.outcome for one in done.lapsed] == ["taken"]
            assert [(one.kind, one.id, type(one.error)) for one in done.failed] == [("deadline", bad, RuntimeError)]
            graph.instances.tick()
            assert graph.instances.tick().failed == []  # not before its pause is over
        home.clock.advance(1)
        assert [one.approval_id for one in graph.instances.tick().lapsed] == [bad]


class TestOnce:
    @pytest.mark.parametrize("database", ["sqlite", "postgresql"])
    def test_only_one_of_several_ticks_processes_each_stop(
        self, database: str, shop: Shop, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        url = f"sqlite:///{tmp_path}/shop.db" if database == "sqlite" else request.getfixturevalue("postgres_database")
        home = Home(url)
        asked: list[int] = []

        def answer(messages: Any, tools: Any) -> Any:
            if messages[-1].type == "human":
                return refund()
            asked.append(1)
            return "then this"

        flow = shop.workflow([], approval=RULE, forever=answer)
        names = [f"t-{number}" for number in range(10)]
        decided(home, flow, names)
        home.clock.advance(ALONE)
        graphs = [home.compile(flow) for _ in range(4)]
        together = threading.Barrier(len(graphs))

        def tick(graph: WorkflowGraph) -> list[str]:
            together.wait()
            return graph.instances.tick().resumed

        with ThreadPoolExecutor(len(graphs)) as threads:
            resumed = [one for done in threads.map(tick, graphs) for one in done]
        left = [one for graph in graphs for one in graph.instances.tick().resumed]
        assert sorted([*resumed, *left]) == sorted(graphs[0].instances.id_of(thread(name)) for name in names)
        assert (len(shop.ran), len(asked)) == (10, 10)
        home.close()

    def test_threads_go_on_side_by_side(self, shop: Shop, home: Home) -> None:
        together = threading.Barrier(3, timeout=60)

        def answer(messages: Any, tools: Any) -> Any:
            if messages[-1].type == "human":
                return refund()
            together.wait()  # nobody passes alone
            return "then this"

        graph = decided(home, shop.workflow([], approval=RULE, forever=answer), ["a", "b", "c"])
        home.clock.advance(ALONE)
        done = graph.instances.tick()
        assert (len(done.resumed), done.failed) == (3, [])

    def test_the_claims_of_a_killed_tick_are_free_at_once(
        self, shop: Shop, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = decided(home, shop.workflow([refund()], approval=RULE), ["t-1"])
        home.clock.advance(ALONE)
        with Child(tick_at, home.url, home.clock.now, kill_at=(FaultPoint.BEFORE_EFFECT, 1)) as child:
            assert child.ended() == -signal.SIGKILL
        with graph.engine.store.read() as connection:
            (row,) = claims.of_instance(connection, graph.instances.id_of(thread()))
        assert row.owner is not None
        assert row.held_until > home.clock.now
        monkeypatch.setattr("interlock.operations.resuming.ABANDONED_AFTER", 0.0)
        assert graph.instances.tick().resumed == [graph.instances.id_of(thread())]
        assert graph.get_state(thread()).next == ()


def tick_at(url: str, now: int) -> list[str]:
    """One tick of another process."""
    saver = SQLCheckpointer(url)
    graph = (
        Shop()
        .workflow([], approval=RULE, forever="then this")
        .compile(saver, workflow_store=WorkflowStore(saver.database, clock=Clock(now)))
    )
    return graph.instances.tick().resumed


def _refund_once(messages: Any, tools: Any) -> Any:
    return refund() if messages[-1].type == "human" else "then this"
