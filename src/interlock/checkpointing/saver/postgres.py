"""A whole put in one statement on PostgreSQL: one round trip and one transaction, with the same conditions as elsewhere.

The first part of the statement moves the head, or finds that it must not; every other part depends on that one. Where it did
nothing, the ordinary way finds out why.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .jobs import Job, PositionsTaken, PutJob, WritesJob, microseconds

if TYPE_CHECKING:
    from .keys import Place
    from .storage import Storage

_NEW_THREAD = """
INSERT INTO {workflow_threads} (thread_id, namespace_key, long_namespace) VALUES (%s, %s, %s)
ON CONFLICT (thread_id, namespace_key) DO UPDATE SET thread_id = excluded.thread_id RETURNING id"""
_NEW_CONVERSATION = """
INSERT INTO {conversation_threads} (thread_id, epoch, created_at) SELECT %s, 0, %s FROM {workflow_threads}
WHERE id = %s AND (deleted_up_to IS NULL OR deleted_up_to < %s)
ON CONFLICT (thread_id) DO NOTHING RETURNING id"""
_MOVED = """moved AS (
UPDATE {workflow_threads} SET head = CASE WHEN %(fenced)s OR head IS NULL OR head < %(new)s THEN %(new)s ELSE head END
WHERE id = %(thread)s AND {alive} AND CASE WHEN %(fenced)s
THEN head = %(parent)s OR head = %(new)s OR (head IS NULL AND %(parent)s::text IS NULL)
ELSE deleted_up_to IS NULL OR deleted_up_to < %(late)s END RETURNING id)"""
_STAYED = """moved AS (
SELECT id FROM {workflow_threads} WHERE id = %(thread)s AND {alive}
AND (deleted_up_to IS NULL OR deleted_up_to < %(late)s) FOR SHARE)"""
# The lock makes whoever deletes or erases wait, and this statement wait for them: what a statement sees of other rows is as old as
# its beginning, even after it waited.
_CONVERSATION = """conversation AS (
SELECT 1 FROM {conversation_threads} WHERE id = %(conversation)s AND epoch = %(epoch)s FOR KEY SHARE)"""
_ALIVE = "EXISTS (SELECT 1 FROM conversation)"
_STORED = """stored AS (
INSERT INTO {conversation_messages} (position, message_id, role, kind, body, conversation, created_at)
SELECT u.*, %(conversation)s, %(now)s FROM moved, unnest(%(m0)s::int[], %(m1)s::text[], %(m2)s::text[], %(m3)s::text[],
%(m4)s::bytea[]) AS u)"""
_NAMED = """named AS (
UPDATE {conversation_messages} AS m SET message_id = u.name FROM moved, unnest(%(n0)s::int[], %(n1)s::text[]) AS u (place, name)
WHERE m.conversation = %(conversation)s AND m.position = u.place)"""
_HELD = """held AS (
INSERT INTO {workflow_channel_values} (thread, value_id, channel, version, kind, body)
SELECT moved.id, u.* FROM moved, unnest(%(v0)s::bigint[], %(v1)s::text[], %(v2)s::text[], %(v3)s::text[], %(v4)s::bytea[]) AS u
ON CONFLICT DO NOTHING)"""
_PENDING = """pending AS (
INSERT INTO {workflow_writes} (thread, checkpoint_id, task_id, part, task_path, kind, body)
SELECT moved.id, u.* FROM moved, unnest(%(w0)s::text[], %(w1)s::text[], %(w2)s::smallint[], %(w3)s::text[], %(w4)s::text[],
%(w5)s::bytea[]) AS u ON CONFLICT DO NOTHING RETURNING 1)"""
_PUT = """put AS (
INSERT INTO {workflow_checkpoints} (thread, checkpoint_id, parent_id, kind, body, metadata, run_id, outside)
SELECT id, %(c0)s, %(c1)s, %(c2)s, %(c3)s, %(c4)s, %(c5)s, %(c6)s FROM moved
ON CONFLICT (thread, checkpoint_id) DO UPDATE SET parent_id = excluded.parent_id, kind = excluded.kind, body = excluded.body,
metadata = excluded.metadata, run_id = excluded.run_id, outside = excluded.outside)"""
_TABLES = (
    "workflow_threads", "workflow_checkpoints", "workflow_channel_values", "workflow_writes", "conversation_threads",
    "conversation_messages",
)  # fmt: skip


def commit(storage: "Storage", batch: Sequence[Job]) -> bool:
    """Commit the jobs of one conversation in one statement.

    Returns:
        Whether that was done. Otherwise nothing was written.

    Raises:
        PositionsTaken: Prepare again.
    """
    puts = [job for job in batch if isinstance(job, PutJob)]
    writes = [job for job in batch if isinstance(job, WritesJob)]
    first = batch[0]
    if len(puts) > 1 or any(
        job.place[:2] != first.place[:2] or job.conversation is not first.conversation for job in batch
    ):
        return False
    if any(job.replaces for job in writes):
        return False
    refers = any(job.refers for job in batch)
    if refers and first.conversation.dead:
        raise PositionsTaken
    schema = storage.schema_name
    with storage.database.raw_autocommit() as cursor:
        thread = _thread(storage, cursor, first, schema)
        if refers and first.conversation.id is None and not _new_conversation(cursor, first, thread, schema):
            return False
        parameters, parts, ordinary = _parameters(puts, writes, batch, refers=refers)
        parameters["thread"] = thread
        try:
            cursor.execute(_text(schema, bool(puts), refers, *parts), parameters)
        except storage.conversation_integrity_error as error:
            raise PositionsTaken from error
        moved, pending = cursor.fetchone()
    if not moved:
        return False
    if pending < ordinary:
        # Some task wrote before: what is new of it is added to what is there.
        with storage.database.raw_write() as cursor:
            for job in writes:
                job.execute(cursor)
    return True


def _parameters(
    puts: Sequence[PutJob], writes: Sequence[WritesJob], batch: Sequence[Job], *, refers: bool
) -> tuple[dict[str, Any], tuple[bool, ...], int]:
    put = puts[0] if puts else None
    place = (put or batch[0]).place
    parameters: dict[str, Any] = {"late": place.checkpoint_id or (put.checkpoint_id if put else "")}
    conversation = batch[0].conversation
    if refers:
        parameters |= {"conversation": conversation.id, "epoch": conversation.epoch}
    messages = [row for job in batch for row in job.message_rows()]
    if messages:
        parameters["now"] = microseconds()
        _columns(parameters, "m", messages)
    named = [(message.position, message.message_id) for job in batch for message in job.claimed]
    if named:
        _columns(parameters, "n", named)
    values = put.value_rows() if put else []
    if values:
        _columns(parameters, "v", values)
    rows = [row for job in writes for row in job.part_rows()]
    if rows:
        _columns(parameters, "w", rows)
    if put is not None:
        parameters |= {"new": put.checkpoint_id, "parent": place.checkpoint_id, "fenced": put.fenced}
        parameters |= {f"c{at}": cell for at, cell in enumerate(put.checkpoint_row())}
    return parameters, (bool(messages), bool(named), bool(values), bool(rows)), len(rows)


def _columns(parameters: dict[str, Any], prefix: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for at, column in enumerate(zip(*rows, strict=True)):
        parameters[f"{prefix}{at}"] = list(column)


@functools.lru_cache(maxsize=256)
def _text(schema: str | None, put: bool, refers: bool, messages: bool, named: bool, values: bool, writes: bool) -> str:  # noqa: PLR0917
    parts = [_CONVERSATION] if refers else []
    parts.append(_MOVED if put else _STAYED)
    if messages:
        parts.append(_STORED)
    if named:
        parts.append(_NAMED)
    if values:
        parts.append(_HELD)
    if writes:
        parts.append(_PENDING)
    if put:
        parts.append(_PUT)
    pending = "(SELECT count(*) FROM pending)" if writes else "0"
    text = f"WITH {', '.join(parts)} SELECT (SELECT count(*) FROM moved), {pending}"  # noqa: S608 -- fixed parts
    return _named(schema, text.replace("{alive}", _ALIVE if refers else "true"))


@functools.lru_cache(maxsize=256)
def _named(schema: str | None, text: str) -> str:
    """The text with the names of the tables, which may be in a schema."""
    prefix = "" if schema is None else '"' + schema.replace('"', '""').replace("%", "%%") + '".'
    for table in _TABLES:
        text = text.replace("{" + table + "}", prefix + table)
    return text


def _thread(storage: "Storage", cursor: Any, job: Job, schema: str | None) -> int:
    key = (job.place.thread_id, job.place.namespace_key)
    known = storage.remembered_thread(key)
    if known is None:
        cursor.execute(_named(schema, _NEW_THREAD), (*key, job.place.long_namespace))
        known = int(cursor.fetchone()[0])
        storage.remember_thread(key, known)
    return known


def _new_conversation(cursor: Any, job: Job, thread: int, schema: str | None) -> bool:
    """Begin a conversation, unless somebody else did, or the thread was deleted: then the ordinary way says which."""
    late = job.place.checkpoint_id or (job.checkpoint_id if isinstance(job, PutJob) else "")
    cursor.execute(_named(schema, _NEW_CONVERSATION), (job.conversation.thread_id, microseconds(), thread, late))
    found = cursor.fetchone()
    if found is not None:
        job.conversation.id = found[0]
    return found is not None


_LOAD = """
WITH found AS MATERIALIZED (
SELECT c.* FROM {workflow_threads} t JOIN {workflow_checkpoints} c ON c.thread = t.id
WHERE t.thread_id = %(thread_id)s AND t.namespace_key = %(namespace_key)s AND {which} ORDER BY c.checkpoint_id DESC LIMIT 1)
SELECT 0, thread, checkpoint_id, parent_id, kind, body, metadata, outside FROM found
UNION ALL
SELECT 1, w.part, w.task_id, w.task_path, w.kind, w.body, NULL, NULL FROM found
JOIN {workflow_writes} w ON w.thread = found.thread AND w.checkpoint_id = found.checkpoint_id
UNION ALL
SELECT 2, v.value_id, NULL, NULL, v.kind, v.body, NULL, NULL FROM found
CROSS JOIN LATERAL jsonb_array_elements_text(found.outside::jsonb) AS o (value_id)
JOIN {workflow_channel_values} v ON v.thread = found.thread AND v.value_id = o.value_id::bigint
UNION ALL
SELECT 3, c.id, c.epoch::text, (SELECT max(m.position) FROM {conversation_messages} m WHERE m.conversation = c.id)::text,
NULL, NULL, NULL, NULL FROM {conversation_threads} c WHERE c.thread_id = %(thread_id)s"""


def load(
    storage: "Storage", place: "Place"
) -> tuple[tuple[Any, ...] | None, list[tuple[Any, ...]], list[tuple[Any, ...]], tuple[int, int, int] | None]:
    """A checkpoint in one round trip: its row, its pending writes, its large values, and the conversation it refers to."""
    which = "true" if place.checkpoint_id is None else "c.checkpoint_id = %(checkpoint_id)s"
    parameters = {"thread_id": place.thread_id, "namespace_key": place.namespace_key}
    if place.checkpoint_id is not None:
        parameters["checkpoint_id"] = place.checkpoint_id
    row: tuple[Any, ...] | None = None
    writes: list[tuple[Any, ...]] = []
    values: list[tuple[Any, ...]] = []
    conversation: tuple[int, int, int] | None = None
    with storage.database.raw_autocommit() as cursor:
        cursor.execute(_named(storage.schema_name, _LOAD.replace("{which}", which)), parameters)
        for what, number, a, b, kind, body, metadata, outside in cursor.fetchall():
            if what == 0:
                row = (number, a, b, kind, body, metadata, outside)
            elif what == 1:
                writes.append((a, number, b, kind, body))
            elif what == 2:
                values.append((number, kind, body))
            else:
                conversation = (number, int(a), 0 if b is None else int(b) + 1)
    return row, writes, values, conversation
