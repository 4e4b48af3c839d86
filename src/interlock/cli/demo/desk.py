"""The desk of the demo: its database, its runs, and the compiled workflow."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing import SQLCheckpointer
from ...graphs import WorkflowGraph
from ...tools.errors import InputError
from ...workflows.retail import create_tables, load, retail_workflow, sample_shop
from ...workflows.retail.shop import is_empty
from ...workflows.retail.shop import metadata as shop_tables
from .cases import Case, demo_model

_own = sa.MetaData()
_runs = sa.Table(
    "demo_runs",
    _own,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("finished", sa.SmallInteger, nullable=False),
)


@dataclass(frozen=True)
class Desk:
    """One run of the demo: every case once, on a shop that began as the sample."""

    graph: WorkflowGraph
    run: int
    is_new: bool
    """False when an earlier process began this run."""

    def thread(self, case: Case) -> str:
        """The thread of a case in this run."""
        return f"demo-{self.run}-{case.key}"

    def finish(self) -> None:
        """Record that every case of this run is finished."""
        with self.graph.engine.store.write() as connection:
            connection.execute(sa.update(_runs).where(_runs.c.number == self.run).values(finished=1))


@contextmanager
def open_desk(url: str, *, fresh: bool) -> Iterator[Desk]:
    """Open the desk on a database, and find the run to continue with.

    Args:
        url: The database; a missing SQLite file is created.
        fresh: Start a new run even if the last one is not finished.

    Raises:
        InputError: The database holds a shop that is not the demo's.
    """
    with SQLCheckpointer(url) as checkpointer:
        graph = retail_workflow(demo_model()).compile(checkpointer)
        with graph.engine.store.write() as connection:
            run, is_new = _run(connection, fresh=fresh)
        yield Desk(graph, run, is_new)


def _run(connection: Connection, *, fresh: bool) -> tuple[int, bool]:
    _own.create_all(connection)
    create_tables(connection)
    last = connection.execute(sa.select(_runs).order_by(_runs.c.number.desc()).limit(1)).first()
    if last is None and not is_empty(connection):
        raise InputError(
            "This database contains a shop that the demo did "
            "not create. The demo resets its shop at the start of every run. Nothing was changed; "
            "pass another database with --db.",
            code="not_the_demo",
        )
    if last is not None and not last.finished and not fresh:
        return last.number, False
    # One transaction resets the shop and starts the run; the records of earlier runs stay.
    for table in reversed(shop_tables.sorted_tables):
        connection.execute(sa.delete(table))
    load(connection, sample_shop())
    number = 1 if last is None else last.number + 1
    connection.execute(sa.insert(_runs).values(number=number, finished=0))
    return number, True


__all__ = ["Desk", "open_desk"]
