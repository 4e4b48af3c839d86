"""Several processes that spend one budget at once, some of which are killed: it is never overspent."""

from __future__ import annotations

import itertools
import signal

import pytest
import sqlalchemy as sa

from interlock import Budget, Principal, SQLCheckpointer, WorkflowGraph
from interlock.checkpointing.tables.workflow import budgets
from interlock.testing import Child
from tests.commands.budgets.support import SAID, MeteredModel, desk, on, stopped

from .kills import PRELOAD
from .test_races import at_once

ANN = Principal("ann")
BOSS = Principal("mia", roles=frozenset({"controller"}))
BUDGET = Budget(tokens=1000, reserve=100, per="principal", name="ann's")


def graph_of(url: str, used: int, saver: SQLCheckpointer | None = None) -> WorkflowGraph:
    return desk(MeteredModel(used=[used]), BUDGET).compile(saver or SQLCheckpointer(url))


def spend(url: str, name: str, times: int) -> int:
    """Ask a model as often as there is room, in threads of its own; how many calls there were."""
    graph = graph_of(url, 100)
    went = [stopped(graph.invoke(SAID, on(f"{name}-{number}"), context=ANN)) is None for number in range(times)]
    return sum(went)


def spent(url: str) -> int:
    with SQLCheckpointer(url) as saver, saver.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.sum(budgets.c.spent))).scalar_one())


def test_processes_that_spend_at_once_never_overspend(prepared_url: str) -> None:
    children = [Child(spend, prepared_url, f"p-{number}", 6, preload=PRELOAD) for number in range(3)]
    try:
        calls = [child.result() for child in children]
    finally:
        for child in children:
            child.kill()
    assert sum(calls) == 10
    assert spent(prepared_url) == 1000


def test_threads_that_spend_at_once_never_overspend(prepared_url: str) -> None:
    with SQLCheckpointer(prepared_url) as saver:
        graph, names = graph_of(prepared_url, 60, saver), itertools.count()
        works = [lambda: stopped(graph.invoke(SAID, on(f"t-{next(names)}"), context=ANN))] * 24
        went, errors = at_once(works)
    assert errors == []
    # Each call used 60 of the 100 that were reserved: the rest is given back, and others may use it.
    assert went.count(None) * 60 == spent(prepared_url) <= 1000
    assert went.count(None) >= 10


def test_those_who_raise_it_at_once_under_one_key_raise_it_once(prepared_url: str) -> None:
    with SQLCheckpointer(prepared_url) as saver:
        raised = Budget(tokens=1000, reserve=100, per="tenant", raised_by="controller", name="ours")
        graph = desk(MeteredModel(used=[50]), raised).compile(saver)
        graph.invoke(SAID, on("r-1"), context=ANN)
        instances, keys = graph.instances, itertools.count()

        def more(key: str) -> object:
            return instances.raise_budget(on("r-1"), "ours", 10, by=BOSS, reason="More.", key=key)

        works = [lambda: more("one")] * 6 + [lambda: more(f"other-{next(keys)}")] * 4
        _, errors = at_once(works)
        assert errors == []
        (standing,) = instances.budgets(on("r-1"))
        assert standing.raised == "50"
        records = [one.kind.value for one in instances.audit(on("r-1"))]
        assert records.count("budget_raised") == 5


@pytest.mark.parametrize(("point", "counted"), [("commit.before", (0, 100)), ("commit.after", (100, 100))])
def test_what_a_killed_process_had_reserved_stays_counted(
    point: str, counted: tuple[int, int], prepared_url: str
) -> None:
    for nth in range(1, 7):
        with Child(spend, prepared_url, f"k-{point}-{nth}", 1, preload=PRELOAD, kill_at=(point, nth)) as child:
            assert child.ended() in {0, -signal.SIGKILL}
    with SQLCheckpointer(prepared_url) as saver, saver.database.read() as connection:
        total = int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(budgets.c.spent), 0))).scalar_one())
    assert total % 100 == 0
    assert counted[0] <= total <= 600
    left = spend(prepared_url, f"after-{point}", 10)
    assert left * 100 + total <= 1000
    assert spent(prepared_url) <= 1000
