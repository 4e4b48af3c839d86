"""The definitions of past runs, for comparison with a later definition."""

import json

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject, canonical_json
from ..statements import Prepared
from ..tables.workflow import definitions
from .sql.insert import insert_or_ignore

_where = (
    definitions.c.workflow == sa.bindparam("workflow"),
    definitions.c.fingerprint == sa.bindparam("fingerprint"),
)
_select = Prepared(sa.select(definitions.c.shape).where(*_where))


def load(connection: Connection, workflow: str, fingerprint: str) -> JsonObject | None:
    """The stored shape of a definition: states and edges; None if it never ran on this database."""
    row = _select.first(connection, {"workflow": workflow, "fingerprint": fingerprint})
    if row is None:
        return None
    shape: JsonObject = json.loads(row[0])
    return shape


def keep(connection: Connection, workflow: str, fingerprint: str, *, version: int, shape: JsonObject, now: int) -> None:
    """Store a definition unless it exists."""
    if load(connection, workflow, fingerprint) is not None:
        return
    # Another process may insert the same definition at the same moment.
    values = {"workflow": workflow, "fingerprint": fingerprint, "version": version, "seen_at": now}
    insert_or_ignore(connection, definitions, {**values, "shape": canonical_json(shape)})
