"""What a transactional command costs, from the gate to its answer, beside a hand-written transaction with the same business write.

The peer is written by hand twice: on a bare Core connection, which is the least that SQLAlchemy can do, and with a `Session`, which
is what a transactional tool is given. Beside them the whole step: the same command proposed in a compiled graph, with its checkpoints; and the same command proposed
from outside the graph, with a key, which looks at what is known of the call first.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from interlock import SQLCheckpointer, ToolContext, Workflow, command
from interlock.commands.execution.commands import Commands
from interlock.commands.running.driver import run
from interlock.commands.running.scope import outside_scope
from interlock.rules.proposals import Proposal
from interlock.tools.ids import mint
from interlock.tools.principal import Principal

from ._slow_disk import temporary_postgres_database

ROUNDS = 400
LIMIT = 1.3
tables = sa.MetaData()
orders = sa.Table(
    "orders",
    tables,
    sa.Column("order_id", sa.String(32), primary_key=True),
    sa.Column("queue_id", sa.String(32), nullable=False),
    sa.Column("moves", sa.Integer, nullable=False),
)
records = sa.Table(
    "hand_audit",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("who", sa.String(64), nullable=False),
    sa.Column("what", sa.String(64), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
)


class Assignment(BaseModel):
    """What the command answers."""

    order_id: str
    queue_id: str


def business(execute: Callable[[Any], Any], order_id: str, queue_id: str) -> None:
    """The business write of both."""
    changed = sa.update(orders).where(orders.c.order_id == order_id)
    execute(changed.values(queue_id=queue_id, moves=orders.c.moves + 1))


@command("order.assign", effect="transactional")
def assign(order_id: str, queue_id: str, ctx: ToolContext) -> Assignment:
    """Assign an order to a queue."""
    business(ctx.session.execute, order_id, queue_id)
    return Assignment(order_id=order_id, queue_id=queue_id)


def main() -> None:
    """Measure on SQLite and, where there is one, on PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        measure("SQLite (FULL)", f"sqlite:///{pathlib.Path(folder) / 'bench.db'}")
    with temporary_postgres_database() as url:
        measure("PostgreSQL", url)


def measure(name: str, url: str) -> None:
    """Run both in turns, so that whatever else the machine does hits both alike."""
    with prepared(url) as works:
        for work in works.values():
            for _ in range(20):
                work()
        times: dict[str, list[float]] = {key: [] for key in works}
        for number in range(ROUNDS):
            for key, work in works.items():
                if key != "step" or number % 4 == 0:
                    times[key].append(timed(work))
    core, session, done, proposed, step = (
        statistics.median(times[key]) * 1000 for key in ("core", "session", "command", "propose", "step")
    )
    verdict = "within" if done / core <= LIMIT else "above"
    print(f"{name}: by hand on a Core connection {core:.2f} ms, with a Session {session:.2f} ms, command {done:.2f} ms")
    print(f"{name}: ratio {done / core:.2f} ({verdict} {LIMIT}) and {done / session:.2f}, {done - core:.2f} ms more")
    print(f"{name}: the whole step in a graph {step:.2f} ms, ratio {step / core:.2f}")
    print(
        f"{name}: proposed from outside the graph {proposed:.2f} ms, ratio {proposed / core:.2f} by hand, {proposed / done:.2f} to the command "
        f"and {proposed / step:.2f} to the step"
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextlib.contextmanager
def prepared(url: str) -> Iterator[dict[str, Callable[[], object]]]:
    """The transaction by hand, the command, and the whole step, on one database."""
    flow = Workflow("bench")
    flow.add_state("open", decide=lambda _: ("order.assign", {"orderId": "o-1", "queueId": "step"}))
    flow.add_edge("open", assign, "done")
    flow.add_state("done")
    flow.add_edge("done", assign, "open")
    with SQLCheckpointer(url) as saver:
        saver.setup()
        engine = saver.database.engine
        with saver.database.write() as connection:
            tables.create_all(connection)
            connection.execute(
                sa.insert(orders), [{"order_id": f"o-{number}", "queue_id": "", "moves": 0} for number in range(3)]
            )
        graph = flow.compile(saver)
        here: Any = {"configurable": {"thread_id": "command"}}
        graph.invoke({"messages": []}, here)
        workflow_id, head = graph.instances.id_of(here), graph.instances.get(here).head_mark
        clerk = Principal("clerk")
        numbers = itertools.count()

        def record() -> dict[str, Any]:
            payload = json.dumps({"orderId": "o-1", "queueId": "billing", "number": next(numbers)})
            return {"at": time.time_ns() // 1000, "who": "clerk", "what": "order.assign", "payload": payload}

        def begin(connection: sa.Connection) -> None:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")

        def by_hand() -> None:
            with engine.connect() as connection:
                begin(connection)
                business(connection.execute, "o-1", "billing")
                connection.execute(sa.insert(records), record())
                connection.commit()

        def with_a_session() -> None:
            with Session(engine) as session:
                begin(session.connection())
                business(session.execute, "o-1", "billing")
                session.execute(sa.insert(records), record())
                session.commit()

        def as_command() -> None:
            proposal = Proposal(
                key=mint("key"), message_key="m", tool="order.assign", arguments={"orderId": "o-1", "queueId": "billing"}, call_id="",
                requester=clerk, offered=True, state="", revision=0,
            )  # fmt: skip
            commands = Commands(graph.engine, outside_scope(workflow_id, Principal.ANONYMOUS), node=None, head=head)
            outcome: Any = run(graph.engine.store, commands.carry_out(proposal))
            assert outcome.ok, outcome.result

        graph.instances.start(principal=clerk, workflow_id="outside")

        def as_proposal() -> None:
            arguments = {"orderId": "o-1", "queueId": "billing"}
            stood = graph.instances.propose("outside", "order.assign", arguments, principal=clerk, key=mint("call"))
            assert stood.ok, stood

        def as_step() -> None:
            config: Any = {"configurable": {"thread_id": mint("thread")}}
            graph.invoke({"messages": []}, config)

        yield {
            "core": by_hand,
            "session": with_a_session,
            "command": as_command,
            "propose": as_proposal,
            "step": as_step,
        }


if __name__ == "__main__":
    main()
