"""What a database of a million instances costs beside one of ten thousand, on PostgreSQL: `python -m tests.benchmarks.instances`.

The rows are made by the database itself, in the shape that runs of the shop (`tests/engines/support.py`) leave them: of every ten
instances one waits for a decision, one for an event, and the others have ended; there are ten tenants. What is measured are calls of the public interface. Besides
times it prints the pages that their statements touched (`auto_explain`), which a busy machine does not change.

python -m tests.benchmarks.instances --small 10000 --large 1000000
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from interlock import Approval, LimitPerPeriod, Principal, SQLCheckpointer, WorkflowGraph
from interlock.checkpointing.reports.attention import attention
from interlock.checkpointing.reports.instance_listing import Wanted, page
from interlock.checkpointing.store import inbox as inbox_rows
from interlock.checkpointing.store import outbox as outbox_rows
from interlock.checkpointing.tables.columns import metadata
from interlock.checkpointing.tables.workflow import (
    approvals,
    audit,
    decisions,
    inbox,
    instances,
    ledger,
    outbox,
    wait_events,
    wait_items,
    waits,
)
from tests.engines.support import note, refund, shop_flow
from tests.support.servers import temporary_postgres_database

LIMIT = 1.5
ALLOWED = 20
"""Pages more or less that are not counted."""
TENANTS = 10
STEP = 30_000_000
"""Microseconds between two beginnings: a million instances are about a year."""
ADA = Principal("ada", tenant="t7")
CHUNK = 50_000
_OPEN = "i % 10 = 1"
_ASKS = "i % 10 = 2"


def _text(data: Any) -> str:
    return "'" + json.dumps(data).replace("'", "''") + "'"


def rows(now: int, count: int) -> dict[sa.Table, tuple[str, dict[str, str]]]:
    """For each table, which instances have a row in it, and what its columns are, as SQL over the instance's number `i`."""
    at = f"({now} - ({count} - i)::bigint * {STEP} - 3600000000)"
    mine = {"workflow_id": "'wf_' || md5(i::text)", "tenant": f"'t' || (i / 10 % {TENANTS})", "workflow": "'shop'"}
    ended = f"CASE WHEN {_OPEN} OR {_ASKS} THEN 0 ELSE 1 END"
    state = f"CASE WHEN {_OPEN} THEN 'waiting' WHEN {_ASKS} THEN 'noted' ELSE 'closed' END"
    key = {"idempotency_key": "'key_' || md5(i::text)", "tool": "'shop.refund'", "tool_version": "1", "revision": "3"}
    filler = '\'{"amount": "5", "filler": "\' || repeat(\'x\', 160) || \'"}\''
    by = _text(ADA.to_json())
    wait = {"wait_id": "'wait_' || md5(i::text)", "event_name": "'shop.paid.v1'"}
    approval = {"approval_id": "'appr_' || md5(i::text)"}
    settled = f"CASE WHEN {_ASKS} THEN NULL ELSE {at} + 5000000 END"
    found = "CASE WHEN i % 40 = 3 THEN 'unmatched' ELSE 'taken' END"
    correlation = "'of-instance-' || md5(i::text)"
    return {
        instances: ("TRUE", mine | {
            "workflow_version": "1", "definition": "'sha256:benchmark'", "state": state, "revision": "3", "data": filler, "finished": ended,
            "trace_id": "md5(i::text)", "started_by": by, "proposer": by, "seal": "md5(i::text)", "thread_id": "'thread-' || i",
            "audit_count": "2", "audit_head": "'sha256:' || md5(i::text)", "created_at": at, "updated_at": f"{at} + 60000000",
        }),
        ledger: (f"NOT {_ASKS}", mine | key | {
            "fingerprint": "'sha256:' || md5(i::text)", "status": "'completed'", "attempt": "1", "principal_id": "'ada'", "arguments": filler,
            "result": filler, "audit_ref": "'audit_' || i", "started_at": at, "finished_at": f"{at} + 1000",
        }),
        audit: ("TRUE", mine | {
            "number": "1", "audit_ref": "'audit_' || i", "kind": "'transition'", "tool": "'shop.refund'", "revision": "1",
            "trace_id": "md5(i::text)", "principal_id": "'ada'", "payload": filler, "payload_digest": "'sha256:' || md5(i::text)",
            "previous_hash": "'sha256:' || md5(i::text)", "hash": "'sha256:' || md5(i::text)", "recorded_at": at, "schema_version": "1",
        }),
        approvals: ("TRUE", mine | key | approval | {
            "arguments": filler, "digest": "'sha256:' || md5(i::text)", "state": "'noted'", "shown": filler, "rule": _text(Approval(role="supervisor").to_json()),
            "status": f"CASE WHEN {_ASKS} THEN 'requested' ELSE 'used' END", "requester": by, "message_key": "md5(i::text)",
            "thread_id": "'thread-' || i", "interrupt_id": f"CASE WHEN {_ASKS} THEN md5(i::text) END", "answers": "0", "requested_at": at,
            "expires_at": f"{now} + 86400000000 * 365", "decided_at": settled, "settled_at": settled,
        }),
        decisions: (f"NOT {_ASKS}", approval | {
            "number": "1", "kind": "CASE WHEN i % 9 = 0 THEN 'reject' ELSE 'approve' END", "principal_id": "'sue-' || (i % 5)",
            "principal": by, "message": "CASE WHEN i % 9 = 0 THEN 'too much' END", "decided_at": f"{at} + 5000000",
        }),
        outbox: ("TRUE", mine | {
            "position": "i", "event_id": "'evt_' || md5(i::text)", "event_name": "'shop.noted.v1'", "trace_id": "md5(i::text)", "envelope": filler,
            "status": "'published'", "attempts": "1", "next_attempt_at": at, "created_at": at, "published_at": at,
        }),
        inbox: (f"NOT {_ASKS} AND NOT {_OPEN}", mine | {
            "position": "i", "consumer": "'shop'", "source": "'/pay'", "event_id": "'in_' || md5(i::text)", "event_name": "'shop.paid.v1'",
            "correlation": correlation, "trace_id": "md5(i::text)", "envelope": filler, "status": found, "repeats": "0", "received_at": at,
            "settled_at": at,
        }),
        waits: (f"NOT {_ASKS}", mine | wait | {
            "state": "'waiting'", "revision": "2", "status": f"CASE WHEN {_OPEN} THEN 'open' ELSE 'done' END", "needed": "1", "total": "1",
            "settled": "0", "failed": "0", "resumed": "1", "opened_at": at, "ended_at": f"CASE WHEN {_OPEN} THEN NULL ELSE {at} + 5000000 END",
            "due_at": f"{now} + 86400000000 * 365",
        }),
        wait_events: (f"NOT {_ASKS}", mine | wait | {"correlation": correlation}),
        wait_items: (f"NOT {_ASKS}", wait | {
            "number": "1", "status": "'delivered'", "event_id": "'in_' || md5(i::text)", "changed_at": at,
        }),
    }  # fmt: skip


def fill(connection: Connection, count: int) -> None:
    """Make the rows of so many instances, the indexes after them."""
    now, driver = time.time_ns() // 1000, connection.connection.driver_connection
    assert driver is not None
    cursor = driver.cursor()
    for table, (which, given) in rows(now, count).items():
        names = {name: sql for name, sql in given.items() if name in table.c}
        for column in table.columns:
            if not column.nullable and column.name not in names:
                names[column.name] = "0" if isinstance(column.type, sa.Integer) else "''"
        for index in table.indexes:
            index.drop(connection)
        for start in range(1, count + 1, CHUNK):
            cursor.execute(
                f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(names.values())} "
                f"FROM generate_series({start}, {min(start + CHUNK - 1, count)}) AS i WHERE {which}"
            )
        for index in table.indexes:
            index.create(connection)
    for table in (outbox, inbox):
        connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'position'), {count + 1})")


@dataclass
class Line:
    """One call with few and with many instances."""

    name: str
    pairs: list[tuple[float, float]] = field(default_factory=list)
    """Seconds, with few and with many; one after the other, so that a busy machine is as busy for both."""
    pages: tuple[float, float] = (0.0, 0.0)

    @property
    def seconds(self) -> tuple[float, float]:
        return statistics.median(few for few, _ in self.pairs), statistics.median(many for _, many in self.pairs)

    @property
    def ratio(self) -> float:
        return statistics.median(many / few for few, many in self.pairs)

    @property
    def of_pages(self) -> float:
        return (self.pages[1] + ALLOWED) / (self.pages[0] + ALLOWED)

    def __str__(self) -> str:
        few, many = (seconds * 1000 for seconds in self.seconds)
        return f"{self.name:44s}{few:9.1f} ms{many:11.1f} ms{self.ratio:7.2f}{self.pages[0]:9.0f}{self.pages[1]:9.0f}{self.of_pages:9.2f}"


class Pages:
    """Counts the pages that the statements of this process touch, as the server says after each of them."""

    def __init__(self, saver: SQLCheckpointer) -> None:
        self.count = 0
        self.statements: list[tuple[int, str]] = []

        @sa.event.listens_for(saver.database.engine, "connect")
        def explained(connection: Any, _: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(
                    "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; "
                    "SET auto_explain.log_buffers = on; SET auto_explain.log_timing = off; SET auto_explain.log_format = json; "
                    "SET client_min_messages = log; SET auto_explain.log_level = notice; SET log_min_messages = panic"
                )
            connection.commit()
            connection.add_notice_handler(self._said)

    def _said(self, notice: Any) -> None:
        text = notice.message_primary or ""
        if "plan:" not in text:
            return
        found = json.loads(text[text.index("{") :])
        pages = sum(found["Plan"][f"Shared {what} Blocks"] for what in ("Hit", "Read"))
        self.count += pages
        self.statements.append((pages, " ".join(found["Query Text"].split())))


def calls(graph: WorkflowGraph) -> dict[str, Callable[[], Any]]:
    """What is measured, by name."""
    store = graph.engine.store

    def turn() -> None:
        config = {"configurable": {"thread_id": f"turn-{uuid.uuid4()}"}}
        graph.invoke({"messages": [("user", "please")]}, config, context=ADA)

    def read(look: Callable[[Connection], Any]) -> Callable[[], Any]:
        def looked() -> None:
            with store.read() as connection:
                look(connection)

        return looked

    def listed(**wanted: Any) -> Callable[[], Any]:
        return read(lambda connection: page(connection, Wanted(**wanted), limit=50, look_at=1_000))

    now = time.time_ns() // 1000
    return {
        "a turn, with a limit per tenant and day": turn,
        "a tick with nothing due": graph.instances.tick,
        "a tick that resumes nothing": lambda: graph.instances.tick(resume=False),
        "store.instances(limit=100)": lambda: store.instances(limit=100),
        "store.instances(tenant)": lambda: store.instances(tenant="t7", limit=100),
        "a page of instances, all tenants": listed(),
        "a page of instances, one tenant": listed(tenant="t7"),
        "a page of those that wait for a decision": listed(tenant="t7", waiting="approval"),
        "a page of those that wait for an event": listed(tenant="t7", waiting="event"),
        "a page of those of unknown outcome": listed(tenant="t7", waiting="resolution"),
        "approvals of a tenant": lambda: store.approvals(tenant="t7"),
        "approvals of all tenants": lambda: store.approvals(tenant=None),
        "what needs attention, one tenant": read(lambda one: attention(one, tenant="t7", now=now)),
        "what needs attention, all tenants": read(lambda one: attention(one, tenant=None, now=now)),
        "the relay's look": read(outbox_rows.any_pending),
        "a page of the inbox": read(lambda one: inbox_rows.listing(one, status=inbox_rows.InboxStatus.UNMATCHED)),
        "outcomes of a tenant's newest 1,000": lambda: graph.instances.outcomes(tenant="t7", newest=1_000),
        "outcomes of everything": lambda: graph.instances.outcomes(tenant=None),
    }


@contextmanager
def filled(count: int) -> Iterator[str]:
    """The URL of a database of so many instances."""
    with temporary_postgres_database() as url:
        began = time.monotonic()
        with SQLCheckpointer(url) as saver:
            saver.setup()
            with saver.database.write() as connection:
                for table in metadata.sorted_tables:
                    connection.exec_driver_sql(f"ALTER TABLE {table.name} SET UNLOGGED")
                fill(connection, count)
            with saver.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
                connection.exec_driver_sql("CHECKPOINT")
        print(f"{count} instances made in {time.monotonic() - began:.0f} s", flush=True)
        yield url


def compare(few: str, many: str, times: int, *, explain: str | None) -> list[Line]:
    """Take every call in both databases in turn, then count its pages: explaining statements takes time as well."""
    lines = []
    with SQLCheckpointer(few) as one, SQLCheckpointer(many) as other:
        both = _calls_on(one), _calls_on(other)
        for name in both[0]:
            line = Line(name)
            for turn in range(times + 1):
                order = (
                    (0, 1) if turn % 2 else (1, 0)
                )  # whoever comes first finds the processor's caches used by something else
                taken = {which: _seconds(both[which][name]) for which in order}
                line.pairs.append((taken[0], taken[1]))
            del line.pairs[0]  # the first one makes what is made once
            lines.append(line)
    counted = _pages_of(few, explain=None), _pages_of(many, explain=explain)
    for line in lines:
        line.pages = counted[0][line.name], counted[1][line.name]
    return lines


def _calls_on(saver: SQLCheckpointer) -> dict[str, Callable[[], Any]]:
    flow = shop_flow(policies=[LimitPerPeriod(10**9, "24h", [note, refund], per="tenant")])
    return calls(flow.compile(saver))


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _pages_of(url: str, *, explain: str | None) -> dict[str, float]:
    found: dict[str, float] = {}
    with SQLCheckpointer(url) as saver:
        pages = Pages(saver)
        for name, call in _calls_on(saver).items():
            counted = []
            for _ in range(4):
                pages.count, pages.statements = 0, []
                call()
                counted.append(pages.count)
            found[name] = statistics.median(counted[1:])
            if explain is not None and explain in name:
                for touched, text in sorted(pages.statements, reverse=True)[:5]:
                    print(f"{touched:8d} pages: {text[:400]}")
    return found


@contextmanager
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def main() -> int:
    """Print the table, and say whether every line is within the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--explain", help="print the statements of the calls whose name has this in it")
    given = parser.parse_args()
    with quiet(), filled(given.small) as few, filled(given.large) as many:
        lines = compare(few, many, given.times, explain=given.explain)
    return report(lines, given.small, given.large)


def report(lines: list[Line], small: int, large: int) -> int:
    """Print the table; 1 if a line is beyond the limit."""
    print(f"{'':44s}{small:>12,d}{large:>14,d}  ratio    pages{'':10s}ratio", *lines, sep="\n")
    slowest, widest = max(line.ratio for line in lines), max(line.of_pages for line in lines)
    print(
        f"the largest ratio of times is {slowest:.2f}, and of pages {widest:.2f} ({ALLOWED} pages more or less are not counted; limit {LIMIT})"
    )
    return 0 if widest <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
