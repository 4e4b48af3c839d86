"""The definitions that instances were run under: what a later one is compared with."""

import json

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject, canonical_json
from ..statements import Prepared
from ..store_tables import definitions

_where = (
    definitions.c.workflow == sa.bindparam("workflow"),
    definitions.c.fingerprint == sa.bindparam("fingerprint"),
)
_select = Prepared(sa.select(definitions.c.shape).where(*_where))
_insert = Prepared(sa.insert(definitions))


def load(connection: Connection, workflow: str, fingerprint: str) -> JsonObject | None:
    """The shape of a definition: its states and edges; None when it was never run on this database."""
    row = _select.run(connection, {"workflow": workflow, "fingerprint": fingerprint}).first()
    if row is None:
        return None
    shape: JsonObject = json.loads(row[0])
    return shape


def keep(connection: Connection, workflow: str, fingerprint: str, *, version: int, shape: JsonObject, now: int) -> None:
    """Write a definition down, unless it is there."""
    if load(connection, workflow, fingerprint) is not None:
        return
    try:
        with connection.begin_nested():
            _insert.run(
                connection,
                {
                    "workflow": workflow,
                    "fingerprint": fingerprint,
                    "version": version,
                    "shape": canonical_json(shape),
                    "seen_at": now,
                },
            )
    except sa.exc.IntegrityError:
        return  # another process came with the same release at the same moment
