"""No page and no list of the service reads a table from one end to the other, whatever SQLite has learned about the tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from interlock import SQLCheckpointer, WorkflowGraph
from interlock.checkpointing.reports.attention import attention
from interlock.serving import service
from interlock.serving.watching import _queue
from tests.benchmarks.console import copy, paths, work_on
from tests.serving.desk import Desk, by_header

SCAN = re.compile(r"SCAN (workflow_(?:instances|ledger|approvals|decisions|audit|outbox|inbox|waits|webhooks))\b")
WALKED = ("workflow_outbox", "workflow_inbox")
"""Read in the order of their rows, the newest first, until a page is full."""
COUNTED = {"console: fleet", "console: learning", "api: statistics"}
"""Figures of everything, counted now and then in the background."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WorkflowGraph, dict[str, str]]]:
    """A thousand instances, of which SQLite has counted everything."""
    desk, path = Desk(), tmp_path_factory.mktemp("many") / "desk.db"
    saver = SQLCheckpointer(f"sqlite:///{Path(path)}")
    graph = desk.workflow().compile(saver)
    named = work_on(desk, graph, records=5)
    copy(graph, named, 1_000)
    yield graph, named
    saver.close()


class Plans:
    """The plans of the statements that are executed meanwhile."""

    def __init__(self, graph: WorkflowGraph) -> None:
        self._engine = graph.engine.store.database.engine
        self._said: list[tuple[str, Any]] = []

    def _note(self, _: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT"):
            self._said.append((statement, parameters))

    def __enter__(self) -> Plans:
        sa.event.listen(self._engine, "after_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self._engine, "after_cursor_execute", self._note)

    def scans(self) -> list[str]:
        """The statements that read a large table whole, and how many there were at all."""
        assert self._said
        found = []
        with self._engine.connect() as connection:
            for statement, parameters in self._said:
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
                is_page = "LIMIT" in statement and not any("TEMP B-TREE" in line for line in plan)
                for line in plan:
                    scan = SCAN.search(line)
                    if scan is not None and not (is_page and scan.group(1) in WALKED and "ORDER BY" in statement):
                        found.append(f"{line}: {statement}")
        return found


def test_no_page_and_no_list_reads_a_table_whole(many: tuple[WorkflowGraph, dict[str, str]]) -> None:
    graph, named = many
    with TestClient(service(graph, principal=by_header), base_url="http://testserver") as client:
        first = client.get("/v1/instances?limit=50", headers={"x-test-user": "olga"}).json()
        for name, (who, path) in paths(named, first["next"], records=5).items():
            if name in COUNTED:
                continue
            with Plans(graph) as plans:
                assert client.get(path, headers={"x-test-user": who}).status_code == 200
            assert plans.scans() == [], name


@pytest.mark.parametrize("tenant", ["default", None])
def test_what_needs_attention_is_not_looked_for_in_everything(
    many: tuple[WorkflowGraph, dict[str, str]], tenant: str | None
) -> None:
    graph, _ = many
    with Plans(graph) as plans, graph.engine.store.read() as connection:
        attention(connection, tenant=tenant, now=graph.engine.store.now(connection))
    assert plans.scans() == []


def test_a_stream_looks_at_what_needs_attention_without_counting_everything(
    many: tuple[WorkflowGraph, dict[str, str]],
) -> None:
    graph, _ = many
    with Plans(graph) as plans, graph.engine.store.read() as connection:
        _queue(connection, "default")
    assert plans.scans() == []
