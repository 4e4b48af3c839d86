"""What each page and list of the service costs with many instances, beside the same with 100: `python -m tests.benchmarks.console [MANY…]`.

A few instances are worked on through the library: closed, waiting for a person, of unknown outcome, with a dead event, with a long record.
Their rows are then copied in SQL until there are as many as asked for. A ratio says what the number of instances costs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi.testclient import TestClient

from interlock import Decision, DecisionKind, SQLCheckpointer, WorkflowGraph
from interlock.checkpointing.tables.columns import metadata
from interlock.checkpointing.tables.workflow import instances, outbox
from interlock.serving import service
from tests.serving.desk import KIM, SUE, Desk, by_header

from ._slow_disk import temporary_postgres_database

LIMIT = 100.0
"""Milliseconds at the median that a page or a list may take, on a machine that does nothing else."""
FEW = 100
MANY = (10_000, 200_000)
TIMES = 15
LONG = 1000
"""Records of the one instance that has a long trail."""
_COPIED = (
    "workflow_instances",
    "workflow_ledger",
    "workflow_approvals",
    "workflow_decisions",
    "workflow_audit",
    "workflow_outbox",
)
_OWN = {"workflow_id", "approval_id", "event_id", "audit_ref", "thread_id"}
"""Columns that each copy has a value of its own in."""


def work_on(desk: Desk, graph: WorkflowGraph, records: int = LONG) -> dict[str, str]:
    """Instances of each kind, by the kind's name; those called `copied` are the ones whose rows are copied."""
    acts = graph.instances

    def refund(key: str, amount: str = "4.00") -> Any:
        return acts.propose(begun, "order.refund", {"orderId": "W-7", "amount": amount}, principal=KIM, key=key)

    named: dict[str, str] = {}
    for number in range(10):
        begun = acts.start(principal=KIM).workflow_id
        acts.propose(begun, "order.get", {"orderId": "W-7"}, principal=KIM)
        acts.propose(begun, "desk.close", {}, principal=KIM, key="early")  # denied
        acts.propose(begun, "mail.send", {"text": "hello"}, principal=KIM, key="mail")
        if number < 8:
            asked = refund("refund").pending.proposal_id
            if number == 0:  # one in ten waits for somebody
                named["waiting"], named["approval"] = begun, asked
                continue
            said: Any = {"type": "reject", "message": "Too much."} if number == 1 else "approve"
            if number == 2:
                said = Decision(DecisionKind.EDIT, {"orderId": "W-7", "amount": "3.00"})
            acts.decide(asked, said, by=SUE)
            acts.follow(asked)
            acts.propose(begun, "desk.close", {}, principal=KIM, key="close")
    named["copied"] = begun
    begun = named["unknown"] = acts.start(principal=KIM).workflow_id
    desk.breaks = True
    try:
        acts.propose(begun, "mail.send", {"text": "hello"}, principal=KIM, key="mail")
    except KeyboardInterrupt:
        desk.breaks = False
    begun = named["long"] = acts.start(principal=KIM).workflow_id
    for number in range(records):
        acts.propose(begun, "order.get", {"orderId": f"W-{number}"}, principal=KIM)
    row = {
        "event_id": "evt_dead", "workflow_id": begun, "tenant": "default", "event_name": "mail.bounced.v1", "trace_id": "trace_1",
        "envelope": "{}", "status": "dead", "attempts": 9, "next_attempt_at": 1, "error": "refused", "created_at": 1,
    }  # fmt: skip
    with graph.engine.store.write() as connection:
        connection.execute(outbox.insert().values(**row))
    return named


def copy(graph: WorkflowGraph, named: dict[str, str], number: int) -> None:
    """Copy the rows of the instances that are alike until there are so many."""
    kept = [named["unknown"], named["long"]]
    with graph.engine.store.write() as connection:
        connection.execute(sa.text("CREATE TABLE n (n BIGINT PRIMARY KEY)"))
        connection.execute(sa.text("INSERT INTO n VALUES (:n)"), [{"n": one} for one in range(1, number // 10)])
        for name in _COPIED:
            table = metadata.tables[name]
            columns = [one for one in table.columns if one.name != "position"]
            values = []
            for column in columns:
                quoted = f't."{column.name}"'
                if column.name in _OWN:
                    values.append(f"{quoted} || '-' || n.n")
                elif column.name == "served":
                    values.append("'person-' || n.n")
                elif column.name.endswith("_at"):
                    values.append(f"{quoted} - n.n * 1000000")
                else:
                    values.append(quoted)
            place = "t.workflow_id" if "workflow_id" in table.c else None
            where = " AND ".join(f"{place} <> '{one}'" for one in kept) if place else "1 = 1"
            named_columns = ", ".join(f'"{one.name}"' for one in columns)
            connection.execute(
                sa.text(
                    f"INSERT INTO {name} ({named_columns}) SELECT {', '.join(values)} FROM {name} t, n WHERE {where}"
                )
            )
        connection.execute(sa.text("DROP TABLE n"))
        rare = sa.select(sa.func.min(instances.c.created_at)).scalar_subquery()
        connection.execute(instances.update().where(instances.c.created_at == rare).values(state="rare"))
    with graph.engine.store.database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("ANALYZE"))


def paths(named: dict[str, str], cursor: str, records: int = LONG) -> dict[str, tuple[str, str]]:
    """Who asks for what, by what it is."""
    waiting, long, approval = named["waiting"], named["long"], named["approval"]
    pages = {
        "attention": "attention", "attention, a person": "attention?find=person-7", "instances": "instances",
        "instances, older ones": f"instances?after={cursor}", "instances in a state": "instances?state=closed",
        "instances in a rare state": "instances?state=rare", "instances of a person": "instances?person=person-7",
        "instances that wait": "instances?waiting=approval", "a case": f"instances/{waiting}",
        f"a case with {records} records": f"instances/{long}", "an approval": f"approvals/{approval}", "several approvals": "approvals",
        "events": "events", "dead events": "events?status=dead", "fleet": "fleet", "learning": "learning",
    }  # fmt: skip
    lists = {
        "instances": "instances?limit=50", "instances of a person": "instances?person=person-7", "an instance": f"instances/{waiting}",
        "an explanation": f"instances/{waiting}/explanation", "records": f"instances/{long}/audit?after={max(0, records - 100)}",
        "approvals": "approvals", "approvals of a tool": "approvals?status=any&tool=order.refund", "attempts": "attempts",
        "events": "events", "statistics": "workflows/desk/statistics",
    }  # fmt: skip
    found = {f"console: {name}": ("olga", f"/console/{path}") for name, path in pages.items()}
    found |= {f"api: {name}": ("olga", f"/v1/{path}") for name, path in lists.items()}
    found["console: attention, of a customer"] = ("lee", "/console/attention")
    found["console: instances, of a customer"] = ("lee", "/console/instances")
    return found


@dataclass(frozen=True)
class Took:
    """Milliseconds of one page or list. Where other work shares the machine, the least and this process's CPU time say more."""

    median: float
    least: float
    cpu: float


def measured(url: str, number: int) -> dict[str, Took]:
    """What each page and list takes with so many instances."""
    desk = Desk()
    saver = SQLCheckpointer(url)
    graph = desk.workflow().compile(saver)
    named = work_on(desk, graph)
    copy(graph, named, number)
    took: dict[str, Took] = {}
    app = service(graph, principal=by_header)
    with TestClient(app, base_url="http://testserver") as client:
        first = client.get("/v1/instances?limit=50", headers={"x-test-user": "olga"}).json()
        for name, (who, path) in paths(named, first["next"]).items():
            times, spent = [], []
            for _ in range(TIMES):
                began, busy = time.perf_counter(), time.process_time()
                answer = client.get(path, headers={"x-test-user": who})
                times.append((time.perf_counter() - began) * 1000)
                spent.append((time.process_time() - busy) * 1000)
                assert answer.status_code == 200, f"{path}: {answer.text[:300]}"
                if times[-1] > 2000 and len(times) > 2:
                    break
            took[name] = Took(statistics.median(times), min(times), statistics.median(spent))
    saver.close()
    return took


@contextmanager
def database(kind: str) -> Iterator[str]:
    """An empty database of its own."""
    if kind == "SQLite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder, 'desk.db')}"
    else:
        with temporary_postgres_database() as url:
            yield url


def main(*numbers: int) -> None:
    """Print the table, and last what takes longest."""
    slowest: tuple[float, str] = (0.0, "")
    for kind in ("SQLite", "PostgreSQL"):
        with database(kind) as url:
            few = measured(url, FEW)
        for number in numbers or MANY:
            with database(kind) as url:
                many = measured(url, number)
            print(
                f"{kind}, {number} instances beside {FEW}: ms at the median, the least and of this process's CPU, and their ratios"
            )
            for name, one in many.items():
                other = few[name]
                figures = " ".join(
                    f"{mine:8.1f} /{theirs:7.1f} ={mine / theirs:6.2f}"
                    for mine, theirs in ((one.median, other.median), (one.least, other.least), (one.cpu, other.cpu))
                )
                print(f"  {name:<36} {figures}", flush=True)
                slowest = max(slowest, (one.median, f"{name}, {kind}, {number} instances"))
    print(f"the slowest at the median: {slowest[0]:.1f} ms, {slowest[1]} (limit {LIMIT:.0f} ms)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
