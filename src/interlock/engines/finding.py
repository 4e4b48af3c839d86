"""Finds a queue, to which a process with other work, such as serving requests, delegates runs."""

import importlib.util
from collections.abc import Sequence

from ..checkpointing.connecting.engines import Dialect
from ..operations.compiled import CompiledWorkflow
from .queue import schema
from .runs import Runs, place


def queue_of(graphs: Sequence[CompiledWorkflow]) -> Runs | None:
    """The runs of compiled workflows, if their common database has a queue and Procrastinate is installed; else None.

    Workers create the queue (`interlock work`, `Runs.setup`), and have to execute these workflows. Close the result when the process ends.
    """
    databases = {place(graph.engine.store.database.engine.url): graph.engine.store.database for graph in graphs}
    if len(databases) != 1 or importlib.util.find_spec("procrastinate") is None:
        return None
    (database,) = databases.values()
    if database.dialect is not Dialect.POSTGRESQL:
        return None
    with database.read() as connection:
        if not schema.is_there(connection):
            return None
    return Runs(graphs, database.engine.url)


__all__ = ["queue_of"]
