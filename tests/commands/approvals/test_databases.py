"""Approvals on every database, and two who decide at the same moment: one wins."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Approval, Escalate, LimitPerPeriod, SpendingCap, WorkflowGraph
from interlock.tools import ConflictError, InterlockError, ResumeError
from tests.commands.approvals.support import (
    ADA,
    BEN,
    CAT,
    DAN,
    HOUR,
    MALLORY,
    RULE,
    Home,
    Shop,
    answers,
    asked,
    kinds,
    pending,
    refund,
    said,
    status,
    thread,
)
from tests.support.databases import lent_database


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def home(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Home]:
    if request.param == "sqlite":
        home = Home.in_file(tmp_path)
        yield home
        home.close()
        return
    home = Home(lent_database(request, request.param))
    yield home
    home.close()


def test_every_kind_of_approval_works_on_every_database(shop: Shop, home: Home) -> None:
    rule = Approval(
        role="supervisor", count=2, within="24h", on_expiry=Escalate("manager"), then=Approval(role="board")
    )
    graph = home.compile(shop.workflow([refund("ünö", "5")], approval=rule))
    graph.invoke(said(), thread(), context=ADA)
    approval_id = pending(graph, thread())
    graph.instances.decide(approval_id, {"type": "edit", "args": {"orderId": "ünö", "amount": "4"}}, by=BEN)
    home.clock.advance(25 * HOUR)
    assert [one.outcome for one in graph.instances.tick().lapsed] == ["escalated"]
    graph.instances.decide(approval_id, "approve", by=DAN)
    with pytest.raises(InterlockError):
        graph.instances.decide(approval_id, "approve", by=CAT)
    board = type(BEN)("eve", roles=frozenset({"board"}))
    graph.instances.decide(approval_id, "approve", by=board)
    graph.instances.resume(thread())
    assert shop.ran == ["refund ünö 4"]
    assert status(graph, approval_id) == "used"
    assert [one.principal.id for one in graph.engine.store.decisions(approval_id)] == ["ben", "dan", "eve"]
    (row,) = graph.instances.outcomes(by=["tool"])
    assert (row["edited"], row["edited_fields"]) == (1, {"amount": 1})
    assert graph.engine.store.verify(str(graph.instances.id_of(thread()))) == []


def test_pages_are_the_same_everywhere(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()] * 5, approval=RULE))
    for number in range(5):
        graph.invoke(said(), thread(f"t-{number}"), context=ADA)
    first = graph.instances.approvals(limit=3)
    second = graph.instances.approvals(limit=3, after=first.next)
    ids = [one.approval_id for page in (first, second) for one in page.approvals]
    assert (len(ids), len(set(ids)), second.next) == (5, 5, None)


def both(*work: Any) -> list[Any]:
    """What each gave, or the error that it raised, started at the same moment."""
    barrier = threading.Barrier(len(work))

    def one(job: Any) -> Any:
        barrier.wait()
        try:
            return job()
        except (InterlockError, RuntimeError) as error:
            return error

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(one, work))


def test_a_resume_and_a_decision_outside_race_and_one_wins(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    other = home.compile(shop.workflow([], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    approval_id = pending(graph, thread())
    resumed, decided = both(
        lambda: graph.invoke(Command(resume={"type": "approve"}), thread(), context=BEN),
        lambda: other.instances.decide(approval_id, {"type": "reject"}, by=CAT),
    )
    lost = [one for one in (resumed, decided) if isinstance(one, Exception)]
    assert len(lost) == 1
    assert isinstance(lost[0], ConflictError | ResumeError)
    assert shop.ran == ([] if lost[0] is resumed else ["refund 1 5"])
    if lost[0] is resumed:
        graph.instances.resume(thread())
        assert shop.ran == []
    assert kinds(graph, thread()).count("decision") == 1
    assert kinds(graph, thread()).count("decision_refused") == 1


def test_two_of_four_eyes_at_the_same_moment_both_count(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=Approval(role="supervisor", count=2)))
    graph.invoke(said(), thread(), context=ADA)
    approval_id = pending(graph, thread())
    results = both(*(lambda by=by: graph.instances.decide(approval_id, "approve", by=by) for by in (BEN, CAT)))  # type: ignore[misc]
    assert sorted(one.status for one in results) == ["approved", "requested"]


def _spend(graph: WorkflowGraph, name: str, by: Any) -> Any:
    return lambda: answers(graph.invoke(said(), thread(name), context=by))


@pytest.mark.parametrize("per", ["principal", "tenant"])
def test_two_who_would_both_be_the_last_within_a_limit_wait_for_each_other(shop: Shop, home: Home, per: str) -> None:
    policies = [LimitPerPeriod(1, "24h", [shop.refund], per=per), SpendingCap(9, "amount", [shop.refund], per=per)]
    graphs = [home.compile(shop.workflow([refund()], policies=policies)) for _ in range(4)]
    by = [ADA, ADA, ADA, ADA] if per == "principal" else [ADA, BEN, CAT, MALLORY]
    results = both(*(_spend(graph, f"t-{number}", by[number]) for number, graph in enumerate(graphs)))
    assert sorted(results) == [["ok"], ["policy_denied"], ["policy_denied"], ["policy_denied"]]
    assert len(shop.ran) == 1


def test_everything_asked_at_once_is_asked_once(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([[refund("1"), refund("2")]], approval=RULE))
    assert len(asked(graph.invoke(said(), thread(), context=ADA))) == 2
    assert kinds(graph, thread()).count("approval") == 2
