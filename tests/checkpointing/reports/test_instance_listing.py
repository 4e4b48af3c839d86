"""Looking through instances: pages in a stable order, filters, and pages that are read off an index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import WorkflowGraph
from interlock.checkpointing.reports import instance_listing
from interlock.checkpointing.reports.instance_listing import Listed, Wanted, page
from interlock.checkpointing.store import approvals as approval_rows
from interlock.checkpointing.store import instances as instance_rows
from interlock.checkpointing.tables.workflow import instances
from interlock.tools import InputError
from tests.commands.approvals.support import ADA, RULE, Home, Shop, refund, said, thread


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[WorkflowGraph]:
    home = Home.in_file(tmp_path)
    graph = home.compile(Shop().workflow([refund(), refund()], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    yield graph
    home.close()


def more(graph: WorkflowGraph, number: int, **changes: Any) -> None:
    """So many instances more, like the one that is there; some of the same moment."""
    like = graph.instances.get(thread())
    with graph.engine.store.write() as connection:
        for one in range(number):
            name = f"wf_{one:06}"
            began = like.created_at + one // 3
            instance_rows.insert(
                connection, replace(like, workflow_id=name, thread_id=None, created_at=began, **changes)
            )


def everything(graph: WorkflowGraph, limit: int, look_at: int | None = None, **wanted: Any) -> list[Listed]:
    found: list[Listed] = []
    after: str | None = None
    while True:
        with graph.engine.store.read() as connection:
            got = page(connection, Wanted(**wanted), limit=limit, after=after, look_at=look_at)
        found += got.instances
        after = got.next
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_pages_give_each_once_and_the_newest_first(graph: WorkflowGraph, limit: int) -> None:
    more(graph, 20)
    keys = [(one.instance.created_at, one.instance.workflow_id) for one in everything(graph, limit)]
    assert len(set(keys)) == 21
    assert keys == sorted(keys, reverse=True)


def test_it_says_what_each_waits_for(graph: WorkflowGraph) -> None:
    more(graph, 2)
    waiting = {one.instance.workflow_id: one.waits_for for one in everything(graph, 10)}
    assert waiting.pop(graph.instances.id_of(thread())) == "approval"
    assert set(waiting.values()) == {None}
    assert len(everything(graph, 10, waiting="approval")) == 1
    assert everything(graph, 10, waiting="event") == []


def test_filters(graph: WorkflowGraph) -> None:
    more(graph, 3, tenant="acme", served="kim", state="closed", finished=True)
    assert len(everything(graph, 10, tenant="acme")) == 3
    assert len(everything(graph, 10, tenant="acme", state="open")) == 0
    assert len(everything(graph, 10, served="kim", state="closed")) == 3
    assert len(everything(graph, 10, served="ada")) == 1
    assert len(everything(graph, 10, running=True)) == 1
    assert len(everything(graph, 10, changed_before=graph.instances.get(thread()).updated_at)) == 0
    assert len(everything(graph, 10, workflow="another")) == 0


@pytest.mark.parametrize("few", [0, 3, 100])
@pytest.mark.parametrize("many", [0, 100])
@pytest.mark.parametrize("look_at", [2, 1000])
def test_those_that_wait_are_the_same_whichever_way_they_are_found(
    graph: WorkflowGraph, monkeypatch: pytest.MonkeyPatch, few: int, many: int, look_at: int
) -> None:
    more(graph, 9)
    like = graph.engine.store.approvals().approvals[0]
    with graph.engine.store.write() as connection:
        for number in (0, 4, 5, 8):
            approval_rows.insert(
                connection, replace(like, approval_id=f"apr_{number}", workflow_id=f"wf_{number:06}", tenant="default")
            )
    waiting = [one.instance.workflow_id for one in everything(graph, 100) if one.waits_for == "approval"]
    assert len(waiting) == 5
    monkeypatch.setattr(instance_listing, "FEW", few)
    monkeypatch.setattr(instance_listing, "MANY", many)
    for limit in (1, 2, 100):
        found = everything(graph, limit, look_at, tenant="default", waiting="approval")
        assert [one.instance.workflow_id for one in found] == waiting
    assert everything(graph, 2, look_at, tenant="acme", waiting="approval") == []
    assert everything(graph, 2, look_at, tenant="default", waiting="approval", state="closed") == []
    assert everything(graph, 2, look_at, tenant="default", waiting="resolution") == []


def test_the_few_that_wait_are_on_one_page_however_many_are_newer(graph: WorkflowGraph) -> None:
    more(graph, 30)
    with graph.engine.store.read() as connection:
        found = page(connection, Wanted(tenant="default", waiting="approval"), limit=5, look_at=2)
    assert ([one.waits_for for one in found.instances], found.next) == (["approval"], None)


@pytest.mark.parametrize(
    ("limit", "after"),
    [(0, None), (1001, None), (True, None), (5, "x"), (5, "."), (5, "1."), (5, "-1.wf"), (5, "٣.wf")],
)
def test_an_invalid_limit_or_cursor_is_refused(graph: WorkflowGraph, limit: Any, after: str | None) -> None:
    with graph.engine.store.read() as connection, pytest.raises(InputError):
        page(connection, Wanted(), limit=limit, after=after)


def test_a_page_is_read_off_an_index_without_sorting(graph: WorkflowGraph) -> None:
    more(graph, 500)
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    engine = graph.engine.store.database.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    with graph.engine.store.read() as connection:
        first = page(connection, Wanted(tenant="default"), limit=50)
        statements.clear()
        page(connection, Wanted(tenant="default"), limit=50, after=first.next)
        listing, parameters = statements[0]
        plan = " ".join(
            str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {listing}", parameters).all()
        )
    sa.event.remove(engine, "before_cursor_execute", note)
    assert "ix_workflow_instances_newest" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("look_at", [1, 2, 7, 1000])
@pytest.mark.parametrize("limit", [1, 3])
def test_pages_that_look_at_so_many_give_each_once_too(graph: WorkflowGraph, look_at: int, limit: int) -> None:
    more(graph, 20)
    rare = sa.update(instances).where(instances.c.workflow_id.in_(["wf_000000", "wf_000013", "wf_000014"]))
    with graph.engine.store.write() as connection:
        connection.execute(rare.values(state="rare"))
    all_of_them = everything(graph, limit, look_at)
    assert all_of_them == everything(graph, 1000)
    found = everything(graph, limit, look_at, state="rare")
    assert [one.instance.workflow_id for one in found] == ["wf_000014", "wf_000013", "wf_000000"]
