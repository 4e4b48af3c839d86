"""Imports complete threads from LangGraph's own savers, and reads each back before it counts as done.

It uses LangGraph's interface, so any saver can be the source. A thread that already exists with the same checkpoints is skipped, so
an interrupted import can be resumed.
"""

import copy
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from langchain_core import messages
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ..tools.errors import StoreError
from ..tools.storable import type_name
from .checkpointer import SQLCheckpointer
from .serializing import TypedSerializer

Progress = Callable[[int, int, str], None]
"""Receives the number of imported threads, the number of all threads, and the id of the last imported thread."""
_THREADS = "SELECT DISTINCT thread_id FROM checkpoints"


@dataclass(frozen=True)
class ImportReport:
    """The result of an import."""

    threads: int
    """The number of imported threads."""
    skipped: int
    """The number of threads that were in the target already, complete."""
    checkpoints: int
    """The number of imported checkpoints."""


def import_checkpoints(
    source: BaseCheckpointSaver[Any],
    target: SQLCheckpointer,
    progress: Progress | None = None,
    *,
    thread_ids: Iterable[str] | None = None,
) -> ImportReport:
    """Copy threads from another saver.

    Args:
        source: Any saver whose `list` works. It is only read. LangGraph's default serializer imports modules and calls what a row names,
            so one that has it is read with the target's rules for classes instead.
        target: The checkpointer that receives the threads.
        progress: Called after each thread.
        thread_ids: The threads; by default all.

    Raises:
        StoreError: The data that was read back differs from the data that was written, or the target has another thread with this ID. The
            message says which; earlier threads are complete.
    """
    source = strictly(source, target)
    names = sorted(set(map(str, thread_ids)) if thread_ids is not None else _threads_of(source))
    threads = skipped = checkpoints = 0
    for done, thread_id in enumerate(names, start=1):
        # A thread can have hundreds of megabytes, so only one checkpoint is in memory at a time.
        places = [_key(item) for item in source.list({"configurable": {"thread_id": thread_id}})]
        if _complete(source, target, thread_id, places):
            skipped += 1
        else:
            for namespace, checkpoint_id in sorted(places, key=lambda place: place[1]):
                item = source.get_tuple(_config(thread_id, namespace, checkpoint_id))
                if item is None:
                    raise _vanished(thread_id, checkpoint_id)
                _put(target, item)
                _verify(target, item)
                checkpoints += 1
            threads += 1
        if progress is not None:
            progress(done, len(names), thread_id)
    return ImportReport(threads, skipped, checkpoints)


def strictly(source: BaseCheckpointSaver[Any], target: SQLCheckpointer) -> BaseCheckpointSaver[Any]:
    """Wrap the source with a serializer that neither imports nor calls anything that a row names.

    A serializer that the application chose for its saver is kept.
    """
    if type(source.serde) is not JsonPlusSerializer:
        return source
    rules = target.serde
    reading = copy.copy(source)
    reading.serde = LangGraphReader(rules if isinstance(rules, TypedSerializer) else TypedSerializer())
    return reading


class LangGraphReader(TypedSerializer):
    """Reads the output of LangGraph's default serializer, treating the bytes as untrusted.

    Args:
        rules: The classes that may be read.
    """

    def __init__(self, rules: TypedSerializer) -> None:
        super().__init__()
        self.__dict__.update(rules.__dict__)
        self.pickle_fallback = False

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value of a type and bytes.

        Raises:
            StoreError: Its class is not allowed, or reading it would run code.
        """
        kind, content = data
        if kind == "json":  # written by LangGraph's first releases
            try:
                return json.loads(content, object_hook=_no_object)
            except (ValueError, RecursionError) as error:
                raise _not_read(f"is not JSON ({type(error).__name__})") from error
        try:
            return super().loads_typed(data)
        except NotImplementedError as error:
            raise _not_read(f"is stored as {kind!r}") from error


def _no_object(value: dict[str, Any]) -> Any:
    """Rebuild a message, which first releases wrote as an object; objects of other classes are not created."""
    if "lc" not in value or "type" not in value:
        return value
    path = value.get("id")
    kind = getattr(messages, str(path[-1]), None) if isinstance(path, list) and "messages" in path else None
    if value["type"] != "constructor" or not (isinstance(kind, type) and issubclass(kind, messages.BaseMessage)):
        raise _not_read(f"names an object to be made, {str(path)[:80]}")
    try:
        return kind(**value.get("kwargs", {}))
    except (TypeError, ValueError) as error:
        raise _not_read(f"is no {kind.__name__} ({type_name(error)})") from error


def _not_read(problem: str) -> StoreError:
    return StoreError(
        f"A value of the source {problem}. Reading it could run code that someone stored there, so it was not read. What was imported so far is "
        "complete, thread by thread. If you trust the source, open its saver in Python with your own serializer, and give it to "
        "interlock.checkpointing.importing.import_checkpoints.",
        code="type_not_allowed",
    )


@contextmanager
def langgraph_saver(url: str) -> Iterator[BaseCheckpointSaver[Any]]:
    """LangGraph's own saver for a URL: a SQLite file or a PostgreSQL database.

    Raises:
        StoreError: The URL is of neither, the package of that saver is not installed, or it cannot be read.
    """
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    try:
        if url.startswith("sqlite:///"):
            from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415 -- only an import needs it

            with SqliteSaver.from_conn_string(url.removeprefix("sqlite:///")) as sqlite:
                yield sqlite
            return
        if url.startswith(("postgresql:", "postgresql+", "postgres:")):
            import psycopg  # noqa: PLC0415 -- only an import needs it
            from langgraph.checkpoint.postgres import PostgresSaver  # noqa: PLC0415 -- as above

            errors = (psycopg.Error,)
            with PostgresSaver.from_conn_string("postgresql:" + url.partition(":")[2]) as postgres:
                yield postgres
            return
    except ModuleNotFoundError as error:
        raise StoreError(
            f"The package that wrote that database is not installed ({error.name}). Nothing was imported. "
            "Install langgraph-checkpoint-sqlite or langgraph-checkpoint-postgres."
        ) from error
    except errors as error:
        raise StoreError(
            f"The database to import from cannot be read: {error}. Does LangGraph's saver keep its checkpoints there? What was imported "
            "so far is complete, thread by thread; import again to continue."
        ) from error
    raise StoreError(
        "Only databases of LangGraph's SQLite and PostgreSQL savers can be imported: sqlite:///… or postgresql://…"
    )


def _threads_of(source: BaseCheckpointSaver[Any]) -> set[str]:
    # Their `list` would read every checkpoint of every thread, which takes as long as the import itself.
    connection = getattr(source, "conn", None)
    if isinstance(connection, sqlite3.Connection):
        return {str(thread_id) for (thread_id,) in connection.execute(_THREADS)}
    if any(kind.__module__ == "langgraph.checkpoint.postgres" for kind in type(source).__mro__):
        held: Any = connection  # a connection or a pool
        with held.connection() if hasattr(held, "getconn") else nullcontext(held) as lent:
            return {str(row["thread_id"]) for row in lent.execute(_THREADS)}
    return {str(item.config["configurable"]["thread_id"]) for item in source.list(None)}


def _complete(
    source: BaseCheckpointSaver[Any], target: SQLCheckpointer, thread_id: str, places: list[tuple[str, str]]
) -> bool:
    thread: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    there = {_key(item) for item in target.list(thread)}
    wanted = set(places)
    if there - wanted and not wanted <= there:
        raise StoreError(
            f"The thread {thread_id!r} is in the target already, with checkpoints that the source does not have. It was left as it "
            "is. Delete it there first, or name the other threads.",
            code="thread_exists",
            details={"threadId": thread_id},
        )
    # A thread that ran since its import has more checkpoints than the source.
    return bool(wanted) and wanted <= there and all(_same(target, item) for item in source.list(thread))


def _config(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def _vanished(thread_id: str, checkpoint_id: str) -> StoreError:
    return StoreError(
        f"The checkpoint {checkpoint_id} of the thread {thread_id!r} was deleted in the source while it was imported. Its thread is "
        "not complete in the target; import again when nothing is being deleted there.",
        code="import_differs",
        details={"threadId": thread_id, "checkpointId": checkpoint_id},
    )


def _key(item: CheckpointTuple) -> tuple[str, str]:
    return item.config["configurable"].get("checkpoint_ns", ""), item.checkpoint["id"]


def _put(target: SQLCheckpointer, item: CheckpointTuple) -> None:
    configurable = item.config["configurable"]
    place: Any = {"thread_id": str(configurable["thread_id"]), "checkpoint_ns": configurable.get("checkpoint_ns", "")}
    if item.parent_config is not None:
        place["checkpoint_id"] = item.parent_config["configurable"]["checkpoint_id"]
    checkpoint = item.checkpoint
    # Other savers store values without a version, so they must be kept too.
    versions = {**dict.fromkeys(checkpoint["channel_values"], 1), **checkpoint["channel_versions"]}
    target.put_imported(
        {"configurable": place},
        {**checkpoint, "channel_versions": versions},
        item.metadata,
    )
    by_task: dict[str, list[tuple[str, Any]]] = {}
    for task_id, channel, value in item.pending_writes or ():
        by_task.setdefault(task_id, []).append((channel, value))
    config: Any = {"configurable": {**place, "checkpoint_id": checkpoint["id"]}}
    # LangGraph orders writes by task path, which it does not expose, so generate paths that keep the order.
    for number, (task_id, writes) in enumerate(by_task.items()):
        target.put_writes(config, writes, task_id, f"~import, {number:08d}")


def _same(target: SQLCheckpointer, item: CheckpointTuple) -> bool:
    configurable = item.config["configurable"]
    place = _config(str(configurable["thread_id"]), configurable.get("checkpoint_ns", ""), item.checkpoint["id"])
    found = target.get_tuple(place)
    if found is None:
        return False
    dumps = target.serde.dumps_typed
    return (
        found.checkpoint["channel_values"].keys() == item.checkpoint["channel_values"].keys()
        and all(
            found.checkpoint["channel_values"][name] == value
            or _plain(dumps, found.checkpoint["channel_values"][name]) == _plain(dumps, value)
            for name, value in item.checkpoint["channel_values"].items()
        )
        and [write[:2] for write in found.pending_writes or ()] == _ordered(item)
    )


def _ordered(item: CheckpointTuple) -> list[tuple[str, str]]:
    """The writes grouped by task, in their original order."""
    tasks = list(dict.fromkeys(task_id for task_id, _, _ in item.pending_writes or ()))
    by_task = {task: [write[1] for write in item.pending_writes or () if write[0] == task] for task in tasks}
    return [(task, channel) for task in tasks for channel in by_task[task]]


def _plain(dumps: Callable[[Any], tuple[str, bytes]], value: Any) -> bytes:
    """Convert values whose class does not define equality."""
    return dumps(value)[1]


def _verify(target: SQLCheckpointer, item: CheckpointTuple) -> None:
    if not _same(target, item):
        thread_id = item.config["configurable"]["thread_id"]
        raise StoreError(
            f"The checkpoint {item.checkpoint['id']} of the thread {thread_id!r} did not come back as it was written. The source is "
            "unchanged. Does it hold classes that this checkpointer may not load? Name them in allowed_types, delete the thread "
            "in the target, and import again.",
            code="import_differs",
            details={"threadId": str(thread_id), "checkpointId": item.checkpoint["id"]},
        )
