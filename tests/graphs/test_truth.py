"""The workflow store's row is the truth: the graph follows it, whatever happens to checkpoints, processes and conversations."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from interlock import SQLCheckpointer, Workflow, WorkflowStore
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import RunError, StaleCheckpoint, UnknownState
from tests.graphs.support import ADA, BEN, Desk, Home, Runner, codes, dangling, interrupts, said, shown, thread, trail

REFUND = call("order.refund", orderId="1", amount="5")
HOLD = call("order.hold", orderId="1")


class Crash(BaseException):
    """The process dies."""


def test_the_graph_follows_a_row_that_was_moved_from_outside(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel(["hello", "I see that it is on hold"])
    graph = home.compile(desk.workflow(model))
    run(graph, said(), thread())
    assert graph.instances.execute(thread(), "order.hold", {"orderId": "1"})["currentState"] == "held"
    output = run(graph, said(), thread())
    assert (output["state"], output["revision"]) == ("held", 1)
    assert model.offered[-1] == ["order_get", "order_release"]


def test_a_proposal_judged_after_such_a_move_is_judged_by_the_row(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([lambda *_: moved_behind_its_back(), "I see"])))

    def moved_behind_its_back() -> Any:
        graph.instances.execute(thread(), "order.hold", {"orderId": "9"})
        return call("note.add", text="late")

    output = run(graph, said(), thread())
    assert codes(output) == ["tool_not_allowed"]
    assert (desk.ran, output["state"]) == (["hold 9"], "held")
    assert not dangling(output)


def test_after_a_restart_the_workflow_goes_on_where_it_stopped(sql: Home, run: Runner, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([HOLD, "held"])))
    before = run(graph, said(), thread())
    sql.close()
    again = Home("sql", Path(sql.url.removeprefix("sqlite:///")).parent)
    model = ScriptedChatModel([call("order.release", orderId="1"), "released"])
    output = run(again.compile(Desk().workflow(model)), said(), thread())
    again.close()
    assert model.offered[0] == ["order_get", "order_release"]
    assert len(model.seen[0]) == len(before["messages"]) + 1
    assert (output["state"], output["revision"], output["workflow_id"]) == ("open", 2, before["workflow_id"])


def test_an_approval_survives_a_restart(sql: Home, run: Runner, desk: Desk) -> None:
    run(sql.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True)), said(), thread(), context=ADA)
    sql.close()
    again, other = Home("sql", Path(sql.url.removeprefix("sqlite:///")).parent), Desk()
    graph = again.compile(other.workflow(ScriptedChatModel(), approval=True))
    output = run(graph, Command(resume="approve"), thread(), context=BEN)
    again.close()
    assert (desk.ran, other.ran, output["state"]) == ([], ["refund 1 5"], "closed")


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_command_whose_process_dies_around_its_checkpoint_happens_once(
    sql: Home, desk: Desk, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(sql.saver, SQLCheckpointer)
    model = ScriptedChatModel([HOLD, "held"])
    graph = sql.compile(desk.workflow(model))
    saver: Any = graph.checkpointer  # one of its own, which knows the types that the workflow declares
    real = saver.put_writes

    def dies(config: Any, writes: Any, *rest: Any) -> None:
        if desk.ran:
            if where == "after":
                real(config, writes, *rest)
            raise Crash
        real(config, writes, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(saver, "put_writes", dies)
        with pytest.raises(Crash):
            graph.invoke(said(), thread())
    assert graph.instances.get(thread()).state == "held"
    output = graph.invoke(None, thread())
    assert desk.ran == ["hold 1"]
    assert (output["state"], output["revision"], codes(output)) == ("held", 1, ["ok"])
    assert [record[0] for record in trail(graph, thread())].count("transition") == 1
    assert len(model.requests) == 2


def test_a_model_that_fails_leaves_a_run_that_goes_on(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel(
        [HOLD, ConnectionError("the provider is down"), call("order.release", orderId="1"), "done"]
    )
    graph = home.compile(desk.workflow(model))
    with pytest.raises(ConnectionError):
        run(graph, said(), thread())
    output = run(graph, None, thread())
    assert (desk.ran, output["state"], codes(output)) == (["hold 1", "release 1"], "open", ["ok", "ok"])


def test_a_run_from_before_the_last_command_is_refused(home: Home, run: Runner, desk: Desk) -> None:
    late = call("note.add", text="from the past")
    model = ScriptedChatModel([HOLD, "held", call("order.release", orderId="2"), "released", late])
    graph = home.compile(desk.workflow(model))
    run(graph, said(), thread())
    past = next(state for state in graph.get_state_history(thread()) if state.next == ("open/order.hold",))
    run(graph, said(), thread())
    with pytest.raises(StaleCheckpoint, match="older than the last command"):
        run(graph, None, past.config)
    assert desk.ran == ["hold 1", "release 2"]
    assert graph.instances.get(thread()).state == "open"


def test_a_run_of_a_command_that_was_the_last_one_gives_its_stored_result(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([HOLD, "held", "held again"])
    graph = home.compile(desk.workflow(model))
    run(graph, said(), thread())
    past = next(state for state in graph.get_state_history(thread()) if state.next == ("open/order.hold",))
    output = run(graph, None, past.config)
    assert (desk.ran, codes(output), output["state"]) == (["hold 1"], ["ok"], "held")
    assert output["last_result"]["replayed"] is True


def test_a_copied_thread_does_not_act_on_the_instance_it_was_copied_from(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    run(graph, said(), thread("a"), context=ADA)
    values = graph.get_state(thread("a")).values
    saver = graph.checkpointer
    if not isinstance(saver, SQLCheckpointer):
        pytest.skip("savers of LangGraph's cannot all copy a thread")
    saver.copy_thread("a", "b")
    assert graph.get_state(thread("b")).values["messages"] == values["messages"]
    with pytest.raises(StaleCheckpoint, match="copy of another one"):
        run(graph, said("go on"), thread("b"), context=ADA)
    assert desk.ran == []


def test_an_instance_whose_state_is_gone_from_the_definition_is_a_clear_error(
    home: Home, run: Runner, desk: Desk
) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([HOLD, "held"])))
    run(graph, said(), thread())
    if home.kind == "memory":
        pytest.skip("another compile has another memory")
    flow = Workflow("desk", version=2, model=ScriptedChatModel(["hello"]))
    flow.add_state("open", tools=[desk.get_order]).add_state("closed", final=True)
    flow.add_edge("open", desk.refund, "closed")
    with pytest.raises(UnknownState, match="has no state 'held'"):
        run(home.compile(flow), said(), thread())
    assert graph.instances.get(thread()).state == "held"


def test_a_thread_without_its_store_is_a_clear_error(run: Runner, desk: Desk) -> None:
    saver = InMemorySaver()
    run(
        desk.workflow(ScriptedChatModel([HOLD, "held"])).compile(saver, workflow_store=WorkflowStore.in_memory()),
        said(),
        thread(),
    )
    other = desk.workflow(ScriptedChatModel()).compile(saver, workflow_store=WorkflowStore.in_memory())
    with pytest.raises(RunError, match="workflow store does not know that instance"):
        run(other, said(), thread())


def test_a_workflow_store_stands_beside_langgraphs_sqlite_saver(desk: Desk, tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/workflow.db", f"{tmp_path}/checkpoints.db"
    store = WorkflowStore(url)
    with SqliteSaver.from_conn_string(file) as saver:
        graph = desk.workflow(ScriptedChatModel([HOLD, "held"]), approval=True).compile(saver, workflow_store=store)
        graph.invoke(said(), thread(), context=ADA)
    store.close()
    store = WorkflowStore(url)
    model = ScriptedChatModel([call("order.release", orderId="1"), REFUND])
    with SqliteSaver.from_conn_string(file) as saver:
        graph = desk.workflow(model, approval=True).compile(saver, workflow_store=store)
        assert shown(graph.invoke(said(), thread(), context=ADA)) == ["order.refund"]
        assert graph.invoke(Command(resume="approve"), thread(), context=BEN)["state"] == "closed"
    store.close()
    assert desk.ran == ["hold 1", "release 1", "refund 1 5"]


async def test_a_workflow_store_stands_beside_langgraphs_async_sqlite_saver(desk: Desk, tmp_path: Path) -> None:
    store = WorkflowStore(f"sqlite:///{tmp_path}/workflow.db")
    model = ScriptedChatModel([HOLD, call("order.release", orderId="1"), REFUND])
    async with AsyncSqliteSaver.from_conn_string(f"{tmp_path}/checkpoints.db") as saver:
        graph = desk.workflow(model, approval=True).compile(saver, workflow_store=store)
        assert shown(await graph.ainvoke(said(), thread(), context=ADA)) == ["order.refund"]
        output = await graph.ainvoke(Command(resume="approve"), thread(), context=BEN)
    store.close()
    assert (output["state"], output["revision"]) == ("closed", 3)


def test_two_runs_of_one_thread_move_it_once(sql: Home, desk: Desk) -> None:
    graph = sql.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    asked = next(interrupts(graph.invoke(said(), thread(), context=ADA)))

    async def all_at_once() -> list[Any]:
        answers = (graph.ainvoke(Command(resume={asked.id: "approve"}), thread(), context=BEN) for _ in range(6))
        return await asyncio.gather(*answers, return_exceptions=True)

    outcomes = asyncio.run(all_at_once())
    assert desk.ran == ["refund 1 5"]
    assert len([outcome for outcome in outcomes if isinstance(outcome, dict)]) == 1
    assert {type(outcome).__mro__[-4].__name__ for outcome in outcomes if isinstance(outcome, Exception)} <= {
        "InterlockError",
        "RunError",
    }


def test_changing_a_runs_output_does_not_change_the_row(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel(["hello"])))
    output = run(graph, said(), thread())
    before = copy.deepcopy(graph.instances.get(thread()).data)
    output["data"]["notes"] = 99
    assert graph.instances.get(thread()).data == before
