"""The definitions that instances were run under: what a later one is compared with."""

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
    """The shape of a definition: its states and edges; None when it was never run on this database."""
    row = _select.first(connection, {"workflow": workflow, "fingerprint": fingerprint})
    if row is None:
        return None
    shape: JsonObject = json.loads(row[0])
    return shape


def keep(connection: Connection, workflow: str, fingerprint: str, *, version: int, shape: JsonObject, now: int) -> None:
    """Write a definition down, unless it is there."""
    if load(connection, workflow, fingerprint) is not None:
        return
    # Another process may come with the same release at the same moment.
    values = {"workflow": workflow, "fingerprint": fingerprint, "version": version, "seen_at": now}
    insert_or_ignore(connection, definitions, {**values, "shape": canonical_json(shape)})
