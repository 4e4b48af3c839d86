"""A checkpoint in one statement on SQLite and PostgreSQL: its row, its pending writes, its large values, and its conversation."""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from ..connecting.engines import Dialect
from .names import named

if TYPE_CHECKING:
    from .keys import Place
    from .storage import Storage

_FOUND = """
WITH found AS (
SELECT c.* FROM {workflow_threads} t JOIN {workflow_checkpoints} c ON c.thread = t.id
WHERE t.thread_id = ? AND t.namespace_key = ?{which} ORDER BY c.checkpoint_id DESC LIMIT 1)
SELECT 0, thread, checkpoint_id, parent_id, kind, body, metadata, outside FROM found
UNION ALL
SELECT 1, w.part, w.task_id, w.task_path, w.kind, w.body, NULL, NULL FROM found
JOIN {workflow_writes} w ON w.thread = found.thread AND w.checkpoint_id = found.checkpoint_id
UNION ALL
SELECT 2, v.value_id, NULL, NULL, v.kind, v.body, NULL, NULL FROM found
CROSS JOIN {outside} JOIN {workflow_channel_values} v ON v.thread = found.thread AND v.value_id = {value_id}"""
_CONVERSATION = """
UNION ALL
SELECT 3, c.id, {epoch}, {position}, NULL, NULL, NULL, NULL FROM {conversation_threads} c WHERE c.thread_id = ?"""
_POSITION = "(SELECT max(m.position) FROM {conversation_messages} m WHERE m.conversation = c.id)"
_WORDS = {
    Dialect.SQLITE: {
        "{outside}": "json_each(found.outside) AS o",
        "{value_id}": "o.value",
        "{epoch}": "c.epoch",
        "{position}": _POSITION,
    },
    Dialect.POSTGRESQL: {
        "WITH found AS": "WITH found AS MATERIALIZED",
        "?": "%s",
        "{outside}": "LATERAL jsonb_array_elements_text(found.outside::jsonb) AS o (value_id)",
        "{value_id}": "o.value_id::bigint",
        "{epoch}": "c.epoch::text",
        "{position}": _POSITION + "::text",
    },
}


class Loaded(NamedTuple):
    """The result of the statement."""

    row: tuple[Any, ...] | None
    """thread, checkpoint_id, parent_id, kind, body, metadata, outside."""
    writes: list[tuple[Any, ...]]
    """task_id, part, task_path, kind, body."""
    values: list[tuple[Any, ...]]
    """value_id, kind, body."""
    conversation: tuple[int, int, int] | None
    """Its id, epoch and next position."""


def load(storage: "Storage", place: "Place") -> Loaded:
    """Read a checkpoint, or the newest of its thread and namespace. The conversation only if it is in the same database."""
    parameters = [place.thread_id, place.namespace_key]
    if place.checkpoint_id is not None:
        parameters.append(place.checkpoint_id)
    if storage.together:
        parameters.append(place.thread_id)
    text = _text(storage.database.dialect, storage.schema_name, place.checkpoint_id is not None, storage.together)
    row = conversation = None
    writes, values = [], []
    with storage.database.raw_query() as cursor:
        cursor.execute(text, parameters)
        for what, number, a, b, kind, body, metadata, outside in cursor.fetchall():
            if what == 0:
                row = (number, a, b, kind, body, metadata, outside)
            elif what == 1:
                writes.append((a, number, b, kind, body))
            elif what == 2:
                values.append((number, kind, body))
            else:
                conversation = (number, int(a), 0 if b is None else int(b) + 1)
    return Loaded(row, writes, values, conversation)


@functools.lru_cache(maxsize=64)
def _text(dialect: Dialect, schema: str | None, one: bool, together: bool) -> str:
    text = _FOUND.replace("{which}", " AND c.checkpoint_id = ?" if one else "") + (_CONVERSATION if together else "")
    for word, other in _WORDS[dialect].items():
        text = text.replace(word, other)
    return named(schema, text)
