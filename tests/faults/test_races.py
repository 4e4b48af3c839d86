"""Many at once on one workflow: one winner, typed conflicts for the others, nothing twice."""

from __future__ import annotations

import pathlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from sqlalchemy.engine.interfaces import IsolationLevel

from interlock import ConflictError, Decision, DecisionKind, SQLCheckpointer, Workflow, WorkflowGraph, WorkflowStore
from interlock.testing import Child, reach
from interlock.tools import ResumeError, StaleCheckpoint, StoreUnavailable, WorkflowFinished
from tests.support.own_postgres import own_postgres

from .kills import PRELOAD
from .outside import World
from .runs import insist, left_behind
from .workflows import BOSS, CLERK, Till, close_till, open_till, prepare, sell

MANY = 50


def at_once(works: list[Callable[[], Any]]) -> tuple[list[Any], list[Exception]]:
    """Let all begin at the same moment, each in a thread; what they returned and what they raised."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        gate.wait(60)
        try:
            return work()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        outcomes = list(pool.map(run, works))
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)], errors


@pytest.fixture
def saver(prepared_url: str) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(prepared_url) as opened:
        yield opened


def till(
    saver: BaseCheckpointSaver[Any], *, approval: bool = False, store: WorkflowStore | None = None
) -> WorkflowGraph:
    flow = Workflow("till", data=Till)
    flow.add_state("closed", decide=(lambda _: ("till.open", {})) if approval else None)
    flow.add_state("open")
    flow.add_state("over", final=True)
    flow.add_edge("closed", open_till, "open", approval=approval)
    flow.add_edge("open", sell, "open")
    flow.add_edge("open", close_till, "over")
    return flow.compile(saver, workflow_store=store)


def transitions(graph: WorkflowGraph, config: RunnableConfig) -> Counter[str | None]:
    return Counter(record.tool for record in graph.instances.audit(config) if record.kind.value == "transition")


def test_of_fifty_answers_to_one_interrupt_one_counts(saver: SQLCheckpointer) -> None:
    graph = till(saver, approval=True)
    here: RunnableConfig = {"configurable": {"thread_id": "answers"}}
    graph.invoke({"messages": [("user", "open")], "data": {"thread": "answers"}}, here, context=CLERK)

    done, errors = at_once([lambda: graph.invoke(Command(resume={"type": "approve"}), here, context=BOSS)] * MANY)

    assert [one["state"] for one in done] == ["open"]
    assert {type(error) for error in errors} <= {ConflictError, ResumeError}
    assert transitions(graph, here) == {"till.open": 1}
    assert graph.engine.store.verify(graph.instances.id_of(here)) == []


def test_of_fifty_runs_from_one_checkpoint_one_goes_on(saver: SQLCheckpointer) -> None:
    graph = till(saver, approval=True)
    here: RunnableConfig = {"configurable": {"thread_id": "runs"}}
    graph.invoke({"messages": [("user", "open")], "data": {"thread": "runs"}}, here, context=CLERK)
    approval = graph.instances.snapshot(here).pending_approvals[0]
    graph.instances.decide(str(approval["approvalId"]), Decision(DecisionKind.APPROVE), by=BOSS)

    done, errors = at_once([lambda: graph.invoke(None, here)] * MANY)

    assert done
    assert {one["state"] for one in done} == {"open"}
    assert {type(error) for error in errors} <= {ConflictError}
    assert transitions(graph, here) == {"till.open": 1}
    assert graph.instances.get(here).data["done"] == ["open"]


def test_of_fifty_commands_on_one_revision_one_runs(saver: SQLCheckpointer) -> None:
    graph = till(saver)
    here: RunnableConfig = {"configurable": {"thread_id": "commands"}}
    graph.invoke({"messages": [], "data": {"thread": "commands"}}, here)
    graph.instances.execute(here, "till.open", {})
    revision = graph.instances.get(here).revision

    done, errors = at_once(
        [
            partial(
                graph.instances.execute, here, "till.sell", {"what": f"tea {n}", "amount": "1.00"}, revision=revision
            )
            for n in range(MANY)
        ]
    )

    assert [one["ok"] for one in done] == [True]
    assert len(errors) == MANY - 1
    assert all(isinstance(error, ConflictError) and error.retryable for error in errors)
    assert len(graph.instances.get(here).data["done"]) == 2
    assert graph.engine.store.verify(graph.instances.id_of(here)) == []


def test_of_fifty_commands_that_end_a_workflow_one_ends_it(saver: SQLCheckpointer) -> None:
    graph = till(saver)
    here: RunnableConfig = {"configurable": {"thread_id": "ends"}}
    graph.invoke({"messages": [], "data": {"thread": "ends"}}, here)
    graph.instances.execute(here, "till.open", {})

    done, errors = at_once([lambda: graph.instances.execute(here, "till.close", {})] * MANY)

    assert [one["ok"] for one in done].count(True) == 1
    assert all(one["error"]["code"] in {"tool_not_allowed", "workflow_finished"} for one in done if not one["ok"])
    assert all(isinstance(error, (ConflictError, WorkflowFinished)) for error in errors)
    assert transitions(graph, here) == {"till.open": 1, "till.close": 1}


def test_fifty_commands_under_one_key_are_one_command(saver: SQLCheckpointer) -> None:
    graph = till(saver)
    here: RunnableConfig = {"configurable": {"thread_id": "key"}}
    graph.invoke({"messages": [], "data": {"thread": "key"}}, here)
    graph.instances.execute(here, "till.open", {})

    def sell_once() -> Any:
        arguments = {"what": "tea", "amount": "1.00"}
        return graph.instances.execute(here, "till.sell", arguments, idempotency_key="once")

    done, errors = at_once([sell_once] * MANY)

    assert not errors
    assert sum(not one.get("replayed", False) for one in done) == 1
    assert len({one["auditRef"] for one in done}) == 1
    assert graph.instances.get(here).data["done"] == ["open", "tea"]


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_under_a_stricter_isolation_of_the_applications_own_who_comes_second_is_told_to_try_again(
    isolation: IsolationLevel, postgres_database: str
) -> None:
    prepare(postgres_database)
    engine = sa.create_engine(postgres_database, isolation_level=isolation, pool_size=10)
    with SQLCheckpointer(engine) as saver:
        graph = till(saver)
        here: RunnableConfig = {"configurable": {"thread_id": "strict"}}
        graph.invoke({"messages": [], "data": {"thread": "strict"}}, here)
        graph.instances.execute(here, "till.open", {})
        revision = graph.instances.get(here).revision

        # Different calls: the same one asked again is answered with what the first came to.
        done, errors = at_once(
            [
                partial(
                    graph.instances.execute,
                    here,
                    "till.sell",
                    {"what": f"tea {n}", "amount": "1.00"},
                    revision=revision,
                )
                for n in range(10)
            ]
        )

        assert [one["ok"] for one in done] == [True]
        assert len(errors) == 9
        assert all(isinstance(error, (ConflictError, StoreUnavailable)) and error.retryable for error in errors)
        assert len(graph.instances.get(here).data["done"]) == 2
        assert graph.engine.store.verify(graph.instances.id_of(here)) == []
    engine.dispose()


def test_with_a_saver_of_another_kind_business_happens_once_though_several_runs_may_go_on(sqlite_url: str) -> None:
    store = WorkflowStore(sqlite_url)
    graph = till(InMemorySaver(), approval=True, store=store)
    here: RunnableConfig = {"configurable": {"thread_id": "theirs"}}
    graph.invoke({"messages": [("user", "open")], "data": {"thread": "theirs"}}, here, context=CLERK)
    approval = graph.instances.snapshot(here).pending_approvals[0]
    graph.instances.decide(str(approval["approvalId"]), Decision(DecisionKind.APPROVE), by=BOSS)

    done, errors = at_once([lambda: graph.invoke(None, here)] * MANY)

    assert len(done) + len(errors) == MANY
    assert {one["state"] for one in done} == {"open"}
    assert {type(error) for error in errors} <= {ConflictError, ResumeError}
    assert transitions(graph, here) == {"till.open": 1}
    assert graph.instances.get(here).data["done"] == ["open"]
    past = [state.config for state in graph.get_state_history(here) if state.next == ("closed",)]
    for config in past:
        with pytest.raises(StaleCheckpoint):
            graph.invoke(None, config)
    assert store.verify(graph.instances.id_of(here)) == []
    store.database.close()


PROCESSES, THREADS = 10, 5


@pytest.fixture(params=["sqlite", "postgresql"])
def roomy_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """A database with all tables; the server is one of its own, for fifty at once want more connections than others can spare."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'workflows.db'}"
        prepare(url)
        yield url
        return
    with own_postgres(connections=300) as server:
        prepare(server.url)
        yield server.url


def _several(what: str, url: str, thread: str, revision: int) -> list[str]:
    """A process that does one thing several times at once; what came of each: `done`, or the error's class."""
    here: RunnableConfig = {"configurable": {"thread_id": thread}}
    with SQLCheckpointer(url) as saver:
        graph = till(saver, approval=True)
        graph.get_state(here)
        works: dict[str, Callable[[], Any]] = {
            "answer": lambda: graph.invoke(Command(resume={"type": "approve"}), here, context=BOSS),
            "command": lambda: graph.instances.execute(
                here, "till.sell", {"what": "tea", "amount": "1.00"}, revision=revision, principal=CLERK
            ),
            "key": lambda: graph.instances.execute(
                here, "till.sell", {"what": "tea", "amount": "1.00"}, idempotency_key="once", principal=CLERK
            ),
        }
        reach("race.ready")
        done, errors = at_once([works[what]] * THREADS)
    outcomes = ["replayed" if one.get("replayed") else "done" if one.get("ok", True) else "denied" for one in done]
    return [*outcomes, *(type(error).__name__ for error in errors)]


def raced(what: str, url: str, thread: str, revision: int = 0) -> Counter[str]:
    """Let ten processes with five threads each do one thing at the same moment."""
    children = [
        Child(_several, what, url, thread, revision, stop_at=("race.ready", 1), preload=PRELOAD)
        for _ in range(PROCESSES)
    ]
    try:
        assert all(child.stopped() for child in children)
        for child in children:
            child.resume()
        return Counter(outcome for child in children for outcome in child.result())
    finally:
        for child in children:
            child.kill()


def test_of_fifty_answers_in_ten_processes_one_counts(roomy_url: str) -> None:
    here: RunnableConfig = {"configurable": {"thread_id": "answers"}}
    with SQLCheckpointer(roomy_url) as saver:
        graph = till(saver, approval=True)
        graph.invoke({"messages": [("user", "open")], "data": {"thread": "answers"}}, here, context=CLERK)

        outcomes = raced("answer", roomy_url, "answers")

        assert outcomes.total() == MANY
        assert outcomes["done"] == 1
        assert outcomes.keys() <= {"done", "ConflictError", "ResumeError"}
        assert transitions(graph, here) == {"till.open": 1}
        assert graph.engine.store.verify(graph.instances.id_of(here)) == []


@pytest.mark.parametrize("what", ["command", "key"])
def test_of_fifty_commands_in_ten_processes_one_runs(what: str, roomy_url: str) -> None:
    here: RunnableConfig = {"configurable": {"thread_id": "commands"}}
    with SQLCheckpointer(roomy_url) as saver:
        graph = till(saver, approval=True)
        graph.invoke({"messages": [("user", "open")], "data": {"thread": "commands"}}, here, context=CLERK)
        graph.invoke(Command(resume={"type": "approve"}), here, context=BOSS)

        outcomes = raced(what, roomy_url, "commands", graph.instances.get(here).revision)

        assert outcomes.total() == MANY
        assert outcomes["done"] == 1
        # The same call on the same revision is the same command, with a key of its own and without.
        assert outcomes.keys() <= {"done", "RevisionConflict", "replayed"}
        assert transitions(graph, here) == {"till.open": 1, "till.sell": 1}
        assert graph.instances.get(here).data["done"] == ["open", "tea"]
        assert graph.engine.store.verify(graph.instances.id_of(here)) == []


@pytest.mark.parametrize("name", ["transactions", "effects"])
def test_processes_that_all_go_on_with_one_workflow_do_everything_once(
    name: str, prepared_url: str, outside: World
) -> None:
    thread = f"{prepared_url[:6]}-{name}-together"
    children = [Child(insist, name, prepared_url, outside.address, thread, preload=PRELOAD) for _ in range(4)]
    ends = [child.result() for child in children]

    assert set(ends) == {"over"}
    left = left_behind(name, prepared_url, outside.address, thread)
    assert len(left.transitions) == 3
    assert len(left.outbox) == len(left.data["done"]) == 3
    assert left.broken == []
    calls = outside.calls(thread)
    assert len(calls) == len(set(calls)) == (2 if name == "effects" else 0)
