"""Whether a queue is there: a process that does something else, such as serving requests, hands runs to it then."""

import importlib.util
from collections.abc import Sequence

from ..checkpointing.connecting.engines import Dialect
from ..operations.compiled import CompiledWorkflow
from .queue import schema
from .runs import Runs, place


def queue_of(graphs: Sequence[CompiledWorkflow]) -> Runs | None:
    """The runs of some compiled workflows, where the database that all of them are kept in has a queue, and Procrastinate is installed.

    Workers make the queue (`interlock work`, `Runs.setup`), and have to carry out these workflows. Close what this gives when the process ends.
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
