"""Whole puts in one statement on PostgreSQL: one round trip and one transaction, with the same conditions as on other databases.

The first parts of the statement move the heads if the conditions hold; all other parts depend on them. Jobs for which nothing was done
take the ordinary way, which finds the reason. Locked rows are skipped, so that one blocked job does not delay the others of the
statement.
"""

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..jobs import Job, PositionsTaken, PutJob, WritesJob, microseconds
from ..names import named
from ..protocols import Home

if TYPE_CHECKING:
    from ..memory import Conversation

# Existing rows are only read, because they may be locked.
_THREADS = """
WITH wanted AS (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS u (thread_id, namespace_key, long_namespace)),
there AS (SELECT t.thread_id, t.namespace_key, t.id FROM {workflow_threads} t JOIN wanted USING (thread_id, namespace_key)),
begun AS (INSERT INTO {workflow_threads} (thread_id, namespace_key, long_namespace)
SELECT * FROM wanted WHERE (thread_id, namespace_key) NOT IN (SELECT thread_id, namespace_key FROM there)
ON CONFLICT (thread_id, namespace_key) DO NOTHING RETURNING thread_id, namespace_key, id)
SELECT * FROM there UNION ALL SELECT * FROM begun"""
_NEW_CONVERSATIONS = """
INSERT INTO {conversation_threads} (thread_id, epoch, created_at)
SELECT t.thread_id, 0, %s FROM unnest(%s::bigint[], %s::text[]) AS u (thread, late) JOIN {workflow_threads} t ON t.id = u.thread
WHERE t.deleted_up_to IS NULL OR t.deleted_up_to < u.late
ON CONFLICT (thread_id) DO NOTHING RETURNING thread_id, id"""

# For one conversation, with scalar parameters, because arrays cost the driver more.
_ONE = {
    # The lock blocks deletions and erasures, because a statement sees other rows as of its start.
    "conversation": """
SELECT 1 FROM {conversation_threads} WHERE id = %(conversation)s AND epoch = %(epoch)s FOR KEY SHARE SKIP LOCKED""",
    "moved": """
UPDATE {workflow_threads} SET head = CASE WHEN %(fenced)s OR head IS NULL OR head < %(new)s THEN %(new)s ELSE head END
WHERE id = (SELECT id FROM {workflow_threads} WHERE id = %(thread)s FOR NO KEY UPDATE SKIP LOCKED) AND {alive} AND CASE WHEN %(fenced)s
THEN head = %(parent)s OR head = %(new)s OR (head IS NULL AND %(parent)s::text IS NULL)
ELSE deleted_up_to IS NULL OR deleted_up_to < %(late)s END RETURNING id""",
    "stayed": """
SELECT id FROM {workflow_threads} WHERE id = %(thread)s AND {alive}
AND (deleted_up_to IS NULL OR deleted_up_to < %(late)s) FOR SHARE SKIP LOCKED""",
    "put": """
INSERT INTO {workflow_checkpoints} (thread, checkpoint_id, parent_id, kind, body, metadata, run_id, outside)
SELECT id, %(c0)s, %(c1)s, %(c2)s, %(c3)s, %(c4)s, %(c5)s, %(c6)s FROM done {replace}""",
}
_MANY = {
    "entry": """
SELECT * FROM unnest(%(u0)s::bigint[], %(u1)s::text[], %(u2)s::text[], %(u3)s::bool[], %(u4)s::text[], %(u5)s::bigint[],
%(u6)s::bigint[]) AS u (thread, new, parent, fenced, late, conversation, epoch)""",
    "conversation": """
SELECT c.id FROM {conversation_threads} c JOIN entry u ON c.id = u.conversation AND c.epoch = u.epoch FOR KEY SHARE OF c SKIP LOCKED""",
    "free": """
SELECT t.id FROM {workflow_threads} t JOIN entry u ON t.id = u.thread WHERE u.new IS NOT NULL FOR NO KEY UPDATE OF t SKIP LOCKED""",
    "moved": """
UPDATE {workflow_threads} t SET head = CASE WHEN u.fenced OR t.head IS NULL OR t.head < u.new THEN u.new ELSE t.head END
FROM entry u JOIN free ON free.id = u.thread WHERE t.id = u.thread AND {alive} AND CASE WHEN u.fenced
THEN t.head = u.parent OR t.head = u.new OR (t.head IS NULL AND u.parent IS NULL)
ELSE t.deleted_up_to IS NULL OR t.deleted_up_to < u.late END RETURNING t.id""",
    "stayed": """
SELECT t.id FROM {workflow_threads} t JOIN entry u ON t.id = u.thread WHERE u.new IS NULL AND {alive}
AND (t.deleted_up_to IS NULL OR t.deleted_up_to < u.late) FOR SHARE OF t SKIP LOCKED""",
    "put": """
INSERT INTO {workflow_checkpoints} (thread, checkpoint_id, parent_id, kind, body, metadata, run_id, outside)
SELECT c.* FROM done JOIN unnest(%(c0)s::bigint[], %(c1)s::text[], %(c2)s::text[], %(c3)s::text[], %(c4)s::bytea[], %(c5)s::text[],
%(c6)s::text[], %(c7)s::text[]) AS c (thread, checkpoint_id, parent_id, kind, body, metadata, run_id, outside) ON c.thread = done.id
{replace}""",
}
_REPLACE = """ON CONFLICT (thread, checkpoint_id) DO UPDATE SET parent_id = excluded.parent_id, kind = excluded.kind, body = excluded.body,
metadata = excluded.metadata, run_id = excluded.run_id, outside = excluded.outside"""
# For one conversation or many.
_BOTH = {
    "stored": """
INSERT INTO {conversation_messages} (conversation, position, message_id, role, kind, body, created_at)
SELECT m.conversation, m.position, m.message_id, m.role, m.kind, m.body, %(now)s FROM done JOIN unnest(%(m0)s::bigint[],
%(m1)s::bigint[], %(m2)s::int[], %(m3)s::text[], %(m4)s::text[], %(m5)s::text[], %(m6)s::bytea[])
AS m (thread, conversation, position, message_id, role, kind, body) ON m.thread = done.id""",
    "named": """
UPDATE {conversation_messages} AS m SET message_id = n.name FROM done JOIN unnest(%(n0)s::bigint[], %(n1)s::bigint[], %(n2)s::int[],
%(n3)s::text[]) AS n (thread, conversation, position, name) ON n.thread = done.id
WHERE m.conversation = n.conversation AND m.position = n.position AND (m.message_id = '' OR n.name <> E'\\n')""",
    "held": """
INSERT INTO {workflow_channel_values} (thread, value_id, channel, version, kind, body)
SELECT v.* FROM done JOIN unnest(%(v0)s::bigint[], %(v1)s::bigint[], %(v2)s::text[], %(v3)s::text[], %(v4)s::text[], %(v5)s::bytea[])
AS v (thread, value_id, channel, version, kind, body) ON v.thread = done.id ON CONFLICT DO NOTHING""",
    "pending": """
INSERT INTO {workflow_writes} (thread, checkpoint_id, task_id, part, task_path, kind, body)
SELECT w.* FROM done JOIN unnest(%(w0)s::bigint[], %(w1)s::text[], %(w2)s::text[], %(w3)s::smallint[], %(w4)s::text[], %(w5)s::text[],
%(w6)s::bytea[]) AS w (thread, checkpoint_id, task_id, part, task_path, kind, body) ON w.thread = done.id
ON CONFLICT DO NOTHING RETURNING 1""",
}


class _Entry:
    """The jobs of one thread and conversation: pending writes, and perhaps the checkpoint after them."""

    __slots__ = ("conversation", "jobs", "key", "place", "put", "refers", "thread", "writes")

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.writes = [job for job in jobs if isinstance(job, WritesJob)]
        self.put = next((job for job in jobs if isinstance(job, PutJob)), None)
        self.place = jobs[-1].place
        self.key = jobs[-1].key
        self.conversation = jobs[-1].conversation
        self.refers = any(job.refers for job in jobs)
        self.thread: int | None = None

    @property
    def late_if(self) -> str:
        """The entry is too late if the thread was deleted up to this checkpoint id."""
        return self.place.checkpoint_id or (self.put.checkpoint_id if self.put else "")


def commit(storage: Home, batch: Sequence[Job], *, waits: bool = False) -> Sequence[Job]:
    """Commit jobs in one statement; a batch has at most one namespace per conversation, with its checkpoint last.

    Args:
        storage: The databases.
        batch: The jobs.
        waits: Whether to wait for locked rows instead of skipping them.

    Returns:
        The jobs for which nothing was done.

    Raises:
        PositionsTaken: Nothing was done: some jobs have to be prepared again.
    """
    by_conversation: dict[Conversation, list[Job]] = {}
    for job in batch:
        by_conversation.setdefault(job.conversation, []).append(job)
    entries = [_Entry(jobs) for jobs in by_conversation.values()]
    fit = [entry for entry in entries if _fits(entry)]
    if not fit:
        return batch
    schema = storage.schema_name
    with storage.database.raw_autocommit() as cursor:
        _know_threads(storage, cursor, fit, schema)
        fit = _know_conversations(cursor, fit, schema)
        done, rewritten = _write(storage, cursor, fit, schema, waits=waits)
    for writes in rewritten:
        # The task has written before: add its new writes to the stored ones.
        with storage.database.raw_write() as cursor:
            writes.execute(cursor)
    if len(done) == len(entries):
        return ()
    written = {id(job) for entry in done for job in entry.jobs}
    return [job for job in batch if id(job) not in written]


def _fits(entry: _Entry) -> bool:
    """Whether the statement can write an entry: special channels need a replacing write, and a dead conversation needs new preparation."""
    return not any(job.replaces for job in entry.writes) and not (entry.refers and entry.conversation.dead)


def _write(
    storage: Home, cursor: Any, entries: list[_Entry], schema: str | None, *, waits: bool
) -> tuple[list[_Entry], Sequence[WritesJob]]:
    """Run the statement.

    Returns:
        The written entries, and the writes of tasks that may have written before.
    """
    if not entries:
        return [], ()
    parameters, parts, ordinary = _parameters(entries)
    try:
        cursor.execute(_text(schema, waits, len(entries) > 1, *parts), parameters)
    except storage.conversation_integrity_error as error:
        raise PositionsTaken from error
    threads, pending = cursor.fetchone()
    there = set(threads or ())
    done = [entry for entry in entries if entry.thread in there]
    if pending == ordinary:
        return done, ()
    return done, [writes for entry in done for writes in entry.writes]


NONE, ONE, SEVERAL = 0, 1, 2
"""The number of rows for a part of `_BOTH`: scalar parameters cost the driver less than arrays."""


class _Parts(NamedTuple):
    """The parts of a statement; the last four fields are the numbers of rows for the parts of `_BOTH`."""

    puts: bool
    only_writes: bool
    refers: bool
    stored: int
    named: int
    held: int
    pending: int


def _parameters(entries: Sequence[_Entry]) -> tuple[dict[str, Any], _Parts, int]:
    """The parameters, the parts of the statement, and the number of ordinary pending writes."""
    messages: list[tuple[Any, ...]] = []
    names: list[tuple[Any, ...]] = []
    values: list[tuple[Any, ...]] = []
    writes: list[tuple[Any, ...]] = []
    for entry in entries:
        thread, conversation = entry.thread, entry.conversation.id
        for job in entry.jobs:
            messages += [(thread, conversation, *row) for row in job.message_rows()]
            names += [(thread, conversation, message.position, message.name) for message in job.claimed]
        writes += [(thread, *row) for job in entry.writes for row in job.part_rows()]
        if entry.put is not None:
            values += [(thread, *row) for row in entry.put.value_rows()]
    parameters: dict[str, Any] = {}
    for prefix, rows in (("m", messages), ("n", names), ("v", values), ("w", writes)):
        if len(rows) == ONE:
            for at, cell in enumerate(rows[0]):
                parameters[f"{prefix}{at}"] = cell
        elif rows:
            _columns(parameters, prefix, rows)
    if messages:
        parameters["now"] = microseconds()
    puts = [(entry, entry.put) for entry in entries if entry.put is not None]
    refers = any(entry.refers for entry in entries)
    if len(entries) == 1:
        _single(parameters, entries[0])
    else:
        _columns(parameters, "u", [_entry_row(entry) for entry in entries])
        _columns(parameters, "c", [(entry.thread, *put.checkpoint_row()) for entry, put in puts])
    stored, named, held, pending = (min(len(rows), SEVERAL) for rows in (messages, names, values, writes))
    parts = _Parts(bool(puts), len(puts) < len(entries), refers, stored, named, held, pending)
    return parameters, parts, len(writes)


def _single(parameters: dict[str, Any], entry: _Entry) -> None:
    parameters |= {"thread": entry.thread, "late": entry.late_if}
    if entry.refers:
        parameters |= {"conversation": entry.conversation.id, "epoch": entry.conversation.epoch}
    if (put := entry.put) is not None:
        parameters |= {"new": put.checkpoint_id, "parent": entry.place.checkpoint_id, "fenced": put.fenced}
        parameters |= {f"c{at}": cell for at, cell in enumerate(put.checkpoint_row())}


def _entry_row(entry: _Entry) -> tuple[Any, ...]:
    put = entry.put
    conversation = (entry.conversation.id, entry.conversation.epoch) if entry.refers else (None, None)
    new, fenced = (put.checkpoint_id, put.fenced) if put is not None else (None, False)
    return (entry.thread, new, entry.place.checkpoint_id, fenced, entry.late_if, *conversation)


def _columns(parameters: dict[str, Any], prefix: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for at, column in enumerate(zip(*rows, strict=True)):
        parameters[f"{prefix}{at}"] = list(column)


def _of_one_row(text: str) -> str:
    """A part of `_BOTH` for one row, with scalar parameters."""
    return re.sub(
        r"unnest\((.*?)\)(\s+AS )",
        lambda found: f"(VALUES ({found[1].replace('[]', '')})){found[2]}",
        text,
        flags=re.DOTALL,
    )


@functools.lru_cache(maxsize=512)
def _text(schema: str | None, waits: bool, many: bool, *parts_of: Any) -> str:
    has = _Parts(*parts_of)
    own = _MANY if many else _ONE
    parts = {"entry": own["entry"]} if many else {}
    if has.refers:
        parts["conversation"] = own["conversation"]
    if has.puts:
        if many:
            parts["free"] = own["free"]
        parts["moved"] = own["moved"]
    if has.only_writes:
        parts["stayed"] = own["stayed"]
    moved, stayed = "SELECT id FROM moved", "SELECT id FROM stayed"
    parts["done"] = f"{moved} UNION ALL {stayed}" if has.puts and has.only_writes else moved if has.puts else stayed
    for name, text in _BOTH.items():
        if rows := getattr(has, name):
            parts[name] = _of_one_row(text) if rows == ONE else text
    if has.puts:
        parts["put"] = own["put"]
    clauses = ", ".join(f"{name} AS ({text})" for name, text in parts.items())
    pending = "(SELECT count(*) FROM pending)" if has.pending else "0"
    whole = f"WITH {clauses} SELECT (SELECT array_agg(id) FROM done), {pending}"  # noqa: S608 -- fixed parts
    alive = "true"
    if has.refers:
        known = "(u.conversation IS NULL OR u.conversation IN (SELECT id FROM conversation))"
        alive = known if many else "EXISTS (SELECT 1 FROM conversation)"
    whole = whole.replace("{alive}", alive).replace("{replace}", _REPLACE)
    return named(schema, whole.replace(" SKIP LOCKED", "") if waits else whole)


def _know_threads(storage: Home, cursor: Any, entries: Sequence[_Entry], schema: str | None) -> None:
    """Set the number of each entry's thread, and insert missing threads. It stays None if another transaction is inserting the thread."""
    unknown = {}
    for entry in entries:
        entry.thread = storage.remembered_thread(entry.key)
        if entry.thread is None:
            unknown[entry.key] = entry
    if not unknown:
        return
    # In a fixed order, so that two transactions that insert the same threads do not deadlock.
    rows = [(*key, unknown[key].place.long_namespace) for key in sorted(unknown)]
    cursor.execute(named(schema, _THREADS), [list(column) for column in zip(*rows, strict=True)])
    for thread_id, namespace_key, thread in cursor.fetchall():
        storage.remember_thread((thread_id, namespace_key), thread)
        unknown[thread_id, namespace_key].thread = thread


def _know_conversations(cursor: Any, entries: list[_Entry], schema: str | None) -> list[_Entry]:
    """Insert new conversations; returns the entries except those inserted by another transaction, or too late."""
    new = {entry.place.thread_id: entry for entry in entries if entry.refers and entry.conversation.id is None}
    if not new:
        return entries
    of = [new[thread_id] for thread_id in sorted(new)]
    parameters = (microseconds(), [entry.thread for entry in of], [entry.late_if for entry in of])
    cursor.execute(named(schema, _NEW_CONVERSATIONS), parameters)
    for thread_id, conversation in cursor.fetchall():
        new[thread_id].conversation.id = conversation
    return [entry for entry in entries if not entry.refers or entry.conversation.id is not None]
