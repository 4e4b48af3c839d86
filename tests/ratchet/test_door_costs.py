"""A call from outside the graph costs so many statements and commits, and no more: on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock import Pending, WorkflowStore
from tests.ratchet.counting import metered
from tests.ratchet.steps import ADA, BEN, desk
from tests.support.databases import lent_database

STATEMENTS = {
    "sqlite": {"start": 8, "read": 6, "command": 6, "again": 2, "asked": 7, "looked at": 3, "granted": 9},
    "postgresql": {"start": 7, "read": 6, "command": 4, "again": 2, "asked": 6, "looked at": 3, "granted": 7},
}
COMMITS = {"start": 1, "read": 1, "command": 1, "again": 0, "asked": 1, "looked at": 0, "granted": 1}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The kind of a database, and its URL."""
    kind = str(request.param)
    return kind, f"sqlite:///{tmp_path}/desk.db" if kind == "sqlite" else lent_database(request, kind)


def test_a_call_from_outside_the_graph_costs_what_is_recorded(database: tuple[str, str]) -> None:
    kind, url = database
    spent: dict[str, tuple[int, int]] = {}
    with metered() as meter:
        store = WorkflowStore(url)
        store.setup()
        instances = desk().compile(workflow_store=store).instances
        for case in ("warm-up", "counted"):

            def refund(case: str = case) -> Pending:
                arguments = {"orderId": "W1", "amount": "5"}
                asked = instances.propose(case, "order.refund", arguments, principal=ADA, key="refund")
                assert isinstance(asked, Pending)
                return asked

            def note(case: str = case) -> bool:
                return bool(instances.propose(case, "note.add", {"text": "called"}, principal=ADA, key="note").ok)

            def get(case: str = case) -> bool:
                return bool(instances.propose(case, "order.get", {"orderId": "W1"}, principal=ADA).ok)

            def start(case: str = case) -> bool:
                return instances.start(principal=ADA, workflow_id=case).revision == 0

            works = {"start": start, "read": get, "command": note, "again": note, "asked": refund, "looked at": refund}
            for name, work in works.items():
                with meter.measured() as cost:
                    assert work()
                spent[name] = cost[0].statements, cost[0].commits
            instances.decide(proposal_id := refund().pending.proposal_id, "approve", by=BEN)
            with meter.measured() as cost:
                assert instances.proposal(proposal_id, by=ADA).ok
            spent["granted"] = cost[0].statements, cost[0].commits
        store.close()

    assert {name: commits for name, (_, commits) in spent.items()} == COMMITS
    assert {name: statements for name, (statements, _) in spent.items()} == STATEMENTS[kind]
