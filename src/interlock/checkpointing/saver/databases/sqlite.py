"""Whole puts in one statement on SQLite, with the same conditions as on other databases: an insert into a view with triggers.

Python's driver releases the GIL in every statement, and then waits until another thread gives it up. While graphs run in other
threads, that costs more than SQLite's work; a single statement, which is its own transaction, waits only once. The view and its
triggers are temporary: they belong to a connection and are not in the file. If a condition does not hold, the statement does
nothing, and the ordinary way finds the reason.
"""

import functools
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..jobs import Job, PositionsTaken, PutJob, WritesJob, microseconds
from ..memory import Conversation
from ..protocols import Home

_MESSAGE = ("conversation", "epoch", "position", "message_id", "role", "message_kind", "message_body", "created_at",
            "named_id", "named_position")  # fmt: skip
_VALUE = ("value_id", "channel", "version", "value_kind", "value_body")
_PUT = ("thread", "fenced", "checkpoint_id", "parent_id", "kind", "body", "metadata", "run_id", "outside")
_PART = ("task_id", "part", "task_path", "part_kind", "part_body")
_NO_CONVERSATION: tuple[Any, ...] = (None,) * len(_MESSAGE)
_NO_MESSAGE: tuple[Any, ...] = (None,) * 5
_NO_NAME = (None, None)
_NO_VALUE: tuple[Any, ...] = (None,) * len(_VALUE)
_NO_PART: tuple[Any, ...] = (None,) * len(_PART)
_NO_CHECKPOINT: tuple[Any, ...] = (None,) * 5

_REFUSE = "SELECT RAISE(ABORT, 'a condition does not hold')"
_EPOCH_HOLDS = """(NEW.conversation IS NULL
OR EXISTS (SELECT 1 FROM conversation_threads WHERE id = NEW.conversation AND epoch = NEW.epoch))"""
_TRIGGERS = {
    "NEW.checkpoint_id IS NOT NULL": f"""
UPDATE workflow_threads
SET head = CASE WHEN NEW.fenced OR head IS NULL OR head < NEW.checkpoint_id THEN NEW.checkpoint_id ELSE head END
WHERE id = NEW.thread AND {_EPOCH_HOLDS} AND CASE WHEN NEW.fenced
THEN head = NEW.parent_id OR head = NEW.checkpoint_id OR (head IS NULL AND NEW.parent_id IS NULL)
ELSE deleted_up_to IS NULL OR deleted_up_to < COALESCE(NEW.parent_id, NEW.checkpoint_id) END;
{_REFUSE} WHERE changes() = 0;
INSERT INTO workflow_checkpoints (thread, checkpoint_id, parent_id, kind, body, metadata, run_id, outside)
VALUES (NEW.thread, NEW.checkpoint_id, NEW.parent_id, NEW.kind, NEW.body, NEW.metadata, NEW.run_id, NEW.outside)
ON CONFLICT (thread, checkpoint_id) DO UPDATE SET parent_id = excluded.parent_id, kind = excluded.kind, body = excluded.body,
metadata = excluded.metadata, run_id = excluded.run_id, outside = excluded.outside;""",  # noqa: S608 -- fixed parts
    "NEW.checkpoint_id IS NULL": f"""
{_REFUSE} WHERE NOT {_EPOCH_HOLDS} OR NOT EXISTS (SELECT 1 FROM workflow_threads
WHERE id = NEW.thread AND (deleted_up_to IS NULL OR deleted_up_to < NEW.parent_id));""",  # noqa: S608 -- fixed parts
    "NEW.value_id IS NOT NULL": """
INSERT INTO workflow_channel_values (thread, value_id, channel, version, kind, body)
VALUES (NEW.thread, NEW.value_id, NEW.channel, NEW.version, NEW.value_kind, NEW.value_body) ON CONFLICT DO NOTHING;""",
    "NEW.task_id IS NOT NULL AND NEW.part = 0": """
INSERT INTO workflow_writes (thread, checkpoint_id, task_id, part, task_path, kind, body)
VALUES (NEW.thread, NEW.parent_id, NEW.task_id, NEW.part, NEW.task_path, NEW.part_kind, NEW.part_body);""",
    # Writes to special channels, such as interrupts, replace earlier ones.
    "NEW.task_id IS NOT NULL AND NEW.part <> 0": """
INSERT INTO workflow_writes (thread, checkpoint_id, task_id, part, task_path, kind, body)
VALUES (NEW.thread, NEW.parent_id, NEW.task_id, NEW.part, NEW.task_path, NEW.part_kind, NEW.part_body)
ON CONFLICT (thread, checkpoint_id, task_id, part) DO UPDATE SET task_path = excluded.task_path, kind = excluded.kind,
body = excluded.body;""",
    "NEW.position IS NOT NULL": """
INSERT INTO conversation_messages (conversation, position, message_id, role, kind, body, created_at)
VALUES (NEW.conversation, NEW.position, NEW.message_id, NEW.role, NEW.message_kind, NEW.message_body, NEW.created_at);""",
    "NEW.named_position IS NOT NULL": """
UPDATE conversation_messages SET message_id = NEW.named_id
WHERE conversation = NEW.conversation AND position = NEW.named_position
AND (message_id = '' OR NEW.named_id <> char(10));""",
}  # fmt: skip
"""The actions for a row, by condition. A trigger that refuses rolls back the others, so their order does not matter."""

_COLUMNS = _PUT + _MESSAGE + _VALUE + _PART
_VIEW = "interlock_jobs"
_MISSING = f"no such table: {_VIEW}"
_DEFINITION = (
    f"CREATE TEMP VIEW {_VIEW} AS SELECT {', '.join(f'NULL AS {column}' for column in _COLUMNS)}",
    *(
        f"CREATE TEMP TRIGGER {_VIEW}_{at} INSTEAD OF INSERT ON {_VIEW} WHEN {when} BEGIN {body} END"
        for at, (when, body) in enumerate(_TRIGGERS.items())
    ),
)

Row = tuple[Any, ...]


def commit(storage: Home, batch: Sequence[Job]) -> bool:
    """Commit jobs in one autocommit statement, if one is enough.

    Returns:
        Whether they were written. If not, nothing was written.
    """
    rows: list[Row] = []
    for job, before in _paired(batch):
        prepared = _prepared(storage, job, before)
        if prepared is None or prepared.rest:
            return False
        rows += prepared.rows
    with storage.database.raw_autocommit() as cursor:
        return _insert(cursor, rows)


def execute(storage: Home, cursor: Any, job: Job) -> bool:
    """Execute a job in the caller's transaction, in as few statements as possible.

    Returns:
        Whether that was done. Otherwise nothing was.

    Raises:
        PositionsTaken: Prepare again.
    """
    prepared = _prepared(storage, job)
    if prepared is None or not _insert(cursor, prepared.rows):
        return False
    try:
        for statement, more in prepared.rest:
            cursor.executemany(statement, more)
    except sqlite3.IntegrityError as error:
        raise PositionsTaken from error
    return True


def _paired(batch: Sequence[Job]) -> Iterator[tuple[Job, WritesJob | None]]:
    """The jobs, each checkpoint paired with the pending writes directly before it; those of a conversation stay in order."""
    before: dict[Conversation, WritesJob] = {}
    for job in batch:
        written = before.pop(job.conversation, None)
        if isinstance(job, WritesJob):
            if written is not None:
                yield written, None
            before[job.conversation] = job
        elif written is not None and written.place == job.place and written.has_one_part:
            yield job, written
        else:
            if written is not None:
                yield written, None
            yield job, None
    for written in before.values():
        yield written, None


def _insert(cursor: Any, rows: Sequence[Row]) -> bool:
    """Insert the rows; returns False if nothing was written."""
    text = _text(len(rows))
    cells = rows[0] if len(rows) == 1 else list(itertools.chain.from_iterable(rows))
    try:
        try:
            cursor.execute(text, cells)
        except sqlite3.OperationalError as error:
            if str(error) != _MISSING:
                raise
            for statement in _DEFINITION:  # the first use of this connection
                cursor.execute(statement)
            cursor.execute(text, cells)
    except sqlite3.IntegrityError:
        return False
    return True


@functools.lru_cache(maxsize=64)
def _text(rows: int) -> str:
    row = f"({', '.join('?' * len(_COLUMNS))})"
    return f"INSERT INTO {_VIEW} VALUES {', '.join([row] * rows)}"  # noqa: S608 -- fixed parts


class _Prepared(NamedTuple):
    rows: list[Row]
    """The rows of the view: the job, and a few more messages, names and large values."""
    rest: list[tuple[str, list[Row]]]
    """Further inserts of large jobs: statements and their rows."""


FEW = 8
"""The maximum number of further messages or large values in the same statement."""


def _prepared(storage: Home, job: Job, before: WritesJob | None = None) -> _Prepared | None:
    """The rows of a job, with the pending writes before it; None if it needs the ordinary way."""
    thread = storage.remembered_thread(job.key)
    if thread is None:
        return None
    rest: list[tuple[str, list[Row]]] = []
    messages: list[Row] = [_NO_CONVERSATION]
    if job.refers or (before is not None and before.refers):
        if job.conversation.dead or job.conversation.id is None:
            return None
        messages = _of_conversation(storage, job, before, rest)
    part = _NO_PART
    writes = job if isinstance(job, WritesJob) else before
    if writes is not None:
        if not writes.is_one_row:
            return None
        part = writes.part_rows()[0][1:]
    values: list[Row] = [_NO_VALUE]
    first = place = (thread, None, None, job.place.checkpoint_id, *_NO_CHECKPOINT)
    if isinstance(job, PutJob):
        values = job.value_rows() or values
        if len(values) > 1 + FEW:
            rest.append((storage.statements.put_value, [(thread, *value) for value in values[1:]]))
            del values[1:]
        # The first row moves the head or refuses all rows; the others only check that the thread exists.
        first, place = (
            (thread, job.fenced, *job.checkpoint_row()),
            (thread, None, None, job.checkpoint_id, *_NO_CHECKPOINT),
        )
    rows = [(*first, *messages[0], *values[0], *part)]
    rows += [(*place, *message, *_NO_VALUE, *_NO_PART) for message in messages[1:]]
    rows += [(*place, *_NO_CONVERSATION, *value, *_NO_PART) for value in values[1:]]
    return _Prepared(rows, rest)


def _of_conversation(storage: Home, job: Job, before: WritesJob | None, rest: list[tuple[str, list[Row]]]) -> list[Row]:
    """The conversation's part of the rows: a message and a name per row; if there are many, all but the first go to `rest`."""
    conversation = job.conversation
    new, claimed = job.message_rows(), job.claimed
    if before is not None:
        new, claimed = before.message_rows() + new, before.claimed + claimed
    names = [(one.name, one.position) for one in claimed]
    now = microseconds()
    if len(new) > 1 + FEW or len(names) > 1 + FEW:
        statements = storage.conversation_statements
        rest.append((statements.add_message, [(conversation.id, *row, now) for row in new[1:]]))
        rest.append(
            (statements.name_message, [(name, conversation.id, position, name) for name, position in names[1:]])
        )
        del new[1:], names[1:]
    return [
        (
            conversation.id,
            conversation.epoch,
            *(new[at] if at < len(new) else _NO_MESSAGE),
            now,
            *(names[at] if at < len(names) else _NO_NAME),
        )
        for at in range(max(len(new), len(names), 1))
    ]
