"""Async tools run through every synchronous entrance, or nothing is decided there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from interlock import Principal, SQLCheckpointer, TakeEdge, Workflow, WorkflowGraph, WorkflowStore
from interlock.checkpointing.store.settled import stops
from interlock.tools.errors import InputError
from tests.cli import on_call
from tests.cli.support import run
from tests.commands.approvals.support import HOUR, Clock

ANN, SUE = Principal("ann"), Principal("sue", roles=frozenset({"supervisor"}))
HERE: dict[str, Any] = {"configurable": {"thread_id": "t-refund"}}


class Desk:
    """The desk on call, whose tools are all async, where a refund waits for a supervisor."""

    def __init__(self, url: str, clock: Clock, flow: Workflow[Any] | None = None) -> None:
        on_call.RAN.clear()
        self.clock = clock
        self.saver = SQLCheckpointer(url)
        store = WorkflowStore(self.saver.database, clock=clock)
        self.graph: WorkflowGraph = (flow or on_call.workflow()).compile(self.saver, workflow_store=store)
        self.graph.invoke({"messages": [("user", "refund")]}, HERE, context=ANN)

    @property
    def waiting(self) -> str:
        (one,) = self.graph.instances.approvals().approvals
        return one.approval_id


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    url = f"sqlite:///{tmp_path}/desk.db" if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    desk = Desk(url, Clock())
    yield desk
    desk.saver.close()


class TestSynchronously:
    def test_a_card_runs_an_approved_async_tool(self, desk: Desk) -> None:
        said = desk.graph.instances.card(desk.waiting, by=SUE).approve()
        assert (said, on_call.RAN) == ("order.refund was approved by sue, and ran", ["refund 5"])

    def test_the_button_of_a_card_runs_an_edited_async_tool(self, desk: Desk) -> None:
        card = desk.graph.instances.card(desk.waiting, by=SUE)
        assert card.answer({"do": "edit", "arguments": '{"amount": 3}'}).endswith("and ran")
        assert on_call.RAN == ["refund 3"]

    def test_a_stepper_runs_an_approved_async_tool(self, desk: Desk) -> None:
        stepper = desk.graph.stepper(HERE, context=ANN)
        stepper.answer("approve", by=SUE)
        assert [*stepper.run()]
        assert on_call.RAN == ["refund 5"]

    def test_resume_runs_an_approved_async_tool(self, desk: Desk) -> None:
        desk.graph.instances.decide(desk.waiting, "approve", by=SUE)
        assert desk.graph.instances.resume(HERE)["state"] == "open"
        assert on_call.RAN == ["refund 5"]

    def test_an_answer_to_the_graph_runs_an_approved_async_tool(self, desk: Desk) -> None:
        desk.graph.invoke(Command(resume="approve"), HERE, context=SUE)
        assert on_call.RAN == ["refund 5"]

    def test_execute_and_propose_run_async_tools(self, desk: Desk) -> None:
        assert desk.graph.instances.execute(HERE, "desk.note", {}, principal=ANN)["ok"]
        assert desk.graph.instances.propose(HERE, "order.get", {}, principal=ANN, key="k").ok
        assert on_call.RAN == ["note", "get"]

    def test_a_tick_runs_an_approved_async_tool(self, desk: Desk) -> None:
        desk.graph.instances.decide(desk.waiting, "approve", by=SUE)
        desk.clock.advance(stops.LEFT_ALONE)
        assert desk.graph.instances.tick().failed == []
        assert on_call.RAN == ["refund 5"]


class TestAsynchronously:
    async def test_a_card_runs_an_approved_async_tool(self, desk: Desk) -> None:
        card = await desk.graph.instances.acard(desk.waiting, by=SUE)
        assert await card.aapprove() == "order.refund was approved by sue, and ran"
        assert on_call.RAN == ["refund 5"]
        assert await card.asvg() == card.svg
        assert await card.aanswer({"do": "show"}) == card.outcome

    async def test_a_stepper_runs_an_approved_async_tool(self, desk: Desk) -> None:
        stepper = desk.graph.stepper(HERE, context=ANN)
        assert len(await stepper.awaits_for()) == 1
        await stepper.aanswer("approve", by=SUE)
        assert [one async for one in stepper.arun()]
        assert on_call.RAN == ["refund 5"]
        assert (await stepper.apicture()).svg == stepper.picture().svg

    async def test_resume_and_tick(self, desk: Desk) -> None:
        await desk.graph.instances.adecide(desk.waiting, "approve", by=SUE)
        desk.clock.advance(stops.LEFT_ALONE)
        assert len((await desk.graph.instances.atick()).resumed) == 1
        assert on_call.RAN == ["refund 5"]
        assert (await desk.graph.instances.aresume(HERE))["state"] == "open"

    async def test_time_travel(self, desk: Desk) -> None:
        there = await desk.graph.instances.afork(HERE, thread_id="t-2")
        assert (await desk.graph.instances.aget(there)).state == "open"
        assert await desk.graph.instances.ahead(HERE) == desk.graph.instances.head(HERE)


def test_an_edge_that_is_taken_at_a_deadline_may_have_an_async_tool(tmp_path: Path) -> None:
    from interlock import Approval
    from interlock.testing import ScriptedChatModel

    flow = Workflow("desk", model=ScriptedChatModel(forever=on_call.answer), data=on_call.DeskData)
    flow.add_state("open").add_state("closed", final=True)
    rule = Approval(role="supervisor", within="24h", on_expiry=TakeEdge("desk.note", {}))
    flow.add_edge("open", on_call.refund, "open", approval=rule)
    flow.add_edge("open", on_call.note, "open")
    flow.add_edge("open", on_call.close, "closed")
    desk = Desk(f"sqlite:///{tmp_path}/desk.db", Clock(), flow)
    desk.clock.advance(25 * HOUR)
    done = desk.graph.instances.tick()
    assert ([one.outcome for one in done.lapsed], done.failed, on_call.RAN) == (["taken"], [], ["note"])
    desk.saver.close()


class TestOnTheCommandLine:
    @pytest.fixture
    def database(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        path = str(tmp_path / "desk.db")
        monkeypatch.setenv("INTERLOCK_APP", "tests.cli.on_call:workflow")
        monkeypatch.setenv("INTERLOCK_DB", path)
        return path

    def test_approve_tick_and_resume(self, database: str) -> None:
        on_call.RAN.clear()
        with SQLCheckpointer(f"sqlite:///{database}") as saver:
            graph = on_call.workflow().compile(saver)
            for number in range(2):
                graph.invoke({"messages": [("user", "refund")]}, _thread(number), context=ANN)
            first, second = (one.approval_id for one in graph.instances.approvals().approvals)
        done = run("approvals", "approve", first, "--as", "sue", "--role", "supervisor", "--resume")
        assert (done.exit_code, on_call.RAN) == (0, ["refund 5"]), done.output
        assert run("approvals", "approve", second, "--as", "sue", "--role", "supervisor").exit_code == 0
        assert run("tick").exit_code == 0
        assert run("resume", "t-1").exit_code == 0
        assert on_call.RAN == ["refund 5", "refund 5"]

    def test_a_proposal_from_outside_the_graph_is_executed_once_approved(self, database: str) -> None:
        on_call.RAN.clear()
        with SQLCheckpointer(f"sqlite:///{database}") as saver:
            graph = on_call.workflow().compile(saver)
            started = graph.instances.start(principal=ANN)
            asked: Any = graph.instances.propose(
                started.workflow_id, "order.refund", {"amount": 4}, principal=ANN, key="k"
            )
            proposal_id = asked.pending.proposal_id
            told = graph.instances.explain(started.workflow_id)
            assert told.waits_for == "A decision on order.refund, for ann."
            assert told.approvals[0].proposed_outside
            assert any(step.command.endswith("--resume") and "approve" in step.command for step in told.next_steps)
        done = run("approvals", "approve", proposal_id, "--as", "sue", "--role", "supervisor", "--resume")
        assert (done.exit_code, on_call.RAN) == (0, ["refund 4"]), done.output
        assert "The workflow resumed, and is in open." in done.output

    def test_one_that_was_granted_and_one_that_was_withdrawn_are_told(self, database: str) -> None:
        on_call.RAN.clear()
        with SQLCheckpointer(f"sqlite:///{database}") as saver:
            graph = on_call.workflow().compile(saver)
            started = graph.instances.start(principal=ANN)
            ids = []
            for key in ("a", "b"):
                asked: Any = graph.instances.propose(
                    started.workflow_id, "order.refund", {"amount": 4}, principal=ANN, key=key
                )
                ids.append(asked.pending.proposal_id)
            graph.instances.withdraw(ids[0], by=ANN)
            graph.instances.decide(ids[1], "approve", by=SUE)
            told = graph.instances.explain(started.workflow_id)
        assert told.waits_for == "order.refund was approved by sue, and is to be carried out."
        assert told.if_nobody_acts == ("The next tick carries it out.",)
        assert "interlock tick" in [step.command for step in told.next_steps]
        assert "withdrawn by ann" in [one.what for one in told.so_far]
        assert run("tick").exit_code == 0
        assert on_call.RAN == ["refund 4"]


def _thread(number: int) -> Any:
    return {"configurable": {"thread_id": f"t-{number}"}}


class TestRefusedBeforeAnythingIsDecided:
    """Where nothing could follow: the workflow runs inside another graph."""

    @pytest.fixture
    def inner(self) -> WorkflowGraph:
        on_call.RAN.clear()
        inner = on_call.workflow().compile()
        outer = StateGraph(MessagesState)
        outer.add_node("inner", inner)
        outer.add_edge(START, "inner")
        root = outer.compile(checkpointer=InMemorySaver())
        root.invoke({"messages": [("user", "refund")]}, HERE)
        return inner

    def waiting(self, inner: WorkflowGraph) -> str:
        (one,) = inner.instances.approvals().approvals
        return one.approval_id

    def test_a_card_of_a_subgraph_decides_nothing_if_it_cannot_resume(self, inner: WorkflowGraph) -> None:
        card = inner.instances.card(self.waiting(inner), by=SUE)
        with pytest.raises(InputError, match=r"inside another graph.*Nothing was decided"):
            card.approve()
        assert self.waiting(inner)
        assert (
            inner.instances.card(self.waiting(inner), by=SUE, resume=False).approve()
            == "order.refund was approved by sue"
        )

    async def test_an_awaited_card_of_a_subgraph_decides_nothing_if_it_cannot_resume(
        self, inner: WorkflowGraph
    ) -> None:
        card = await inner.instances.acard(self.waiting(inner), by=SUE)
        with pytest.raises(InputError, match="Nothing was decided"):
            await card.aapprove()
        assert self.waiting(inner)
