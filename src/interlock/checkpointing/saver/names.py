"""The names of the checkpointer's tables in handwritten statements."""

import functools

from ..tables.checkpoints import channel_values, checkpoints, threads, writes
from ..tables.conversations import conversations, messages

_TABLES = tuple(table.name for table in (threads, checkpoints, channel_values, writes, conversations, messages))


@functools.lru_cache(maxsize=256)
def named(schema: str | None, text: str) -> str:
    """Replace each `{table}` in a text by the table's name, qualified if it is in a schema."""
    prefix = "" if schema is None else '"' + schema.replace('"', '""').replace("%", "%%") + '".'
    for table in _TABLES:
        text = text.replace("{" + table + "}", prefix + table)
    return text
