"""The row of a workflow instance: its authoritative state, data and revision."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject
from ...tools.frozen import changed
from ...tools.ownership import Ownership, RunBy
from ...tools.principal import Principal, recorded_principal
from ..database import Database
from ..statements import Call, Prepared
from ..tables.workflow import instances
from ..vault import check_place, placed
from .seal import Seal
from .sql.insert import InsertNew
from .sql.json_text import read_json, write_json
from .sql.queries import rows_of

HEAD = "head"
"""The subject of the seal over the checkpoint of an instance's last command."""

ERASED = "erased"
"""The definition name of an erased instance: its row holds the end of its trail, and no query finds it."""


@dataclass(frozen=True)
class Instance:
    """One workflow instance, as stored in its row."""

    workflow_id: str
    tenant: str
    workflow: str
    workflow_version: int
    definition: str
    state: str
    revision: int
    data: JsonObject
    finished: bool
    thread_id: str | None
    checkpoint_ns: str | None
    head_checkpoint: str | None
    running_key: str | None
    lease_owner: str | None
    lease_epoch: int
    lease_until: int | None
    trace_id: str
    started_by_text: str
    proposer_text: str
    seal: Seal = field(repr=False, compare=False)
    """Signs pending data in checkpoints of this instance."""
    served: str | None
    """The id of the person served; None for nobody in particular."""
    run_by_text: str | None
    last_result_text: str | None
    """As JSON text, because every row that is read contains it, and it is rarely used."""
    audit_count: int
    audit_head: str
    created_at: int
    updated_at: int

    @property
    def started_by(self) -> Principal:
        """The principal who started it."""
        return recorded_principal(read_json(self.started_by_text))

    @property
    def proposer(self) -> Principal:
        """The principal of the turn: who started it, also after other people decided or resumed it."""
        return recorded_principal(read_json(self.proposer_text))

    @property
    def head_mark(self) -> str | None:
        """The mark of the last command's checkpoint in the graph's channels."""
        return None if self.head_checkpoint is None else self.seal.mark(HEAD, self.workflow_id, self.head_checkpoint)

    @property
    def ownership(self) -> Ownership:
        """The person served, and who may propose on it, by the settings of its workflow when it began."""
        return Ownership(self.tenant, self.served, run_by_of(self.run_by_text))

    @property
    def last_result(self) -> JsonObject | None:
        """The result of the last call."""
        result: JsonObject | None = None if self.last_result_text is None else read_json(self.last_result_text)
        return result

    def changed(self, **changes: Any) -> "Instance":
        """Return a copy with changed fields."""
        return changed(self, **changes)


_COLUMNS = {
    column.name + ("_text" if column.name in {"started_by", "proposer", "run_by", "last_result"} else ""): column.name
    for column in instances.columns
}
"""The column of each field, in the order of the table."""

_any_by_id = sa.select(instances).where(instances.c.workflow_id == sa.bindparam("workflow_id"))
_by_id = _any_by_id.where(instances.c.definition != ERASED)
_select_erased = Prepared(_any_by_id.where(instances.c.definition == ERASED).with_for_update())
_select = Prepared(_by_id)
_select_locked = Prepared(_by_id.with_for_update())
_select_on_thread = Prepared(
    sa.select(instances).where(
        sa.or_(
            instances.c.workflow_id == sa.bindparam("workflow_id"), instances.c.thread_id == sa.bindparam("thread_id")
        ),
        instances.c.definition != ERASED,
    )
)
_insert = InsertNew(instances)
_CHANGING = (
    "workflow_version", "definition", "state", "revision", "thread_id", "head_checkpoint", "running_key", "proposer_text", "last_result_text", "lease_owner",
    "lease_epoch", "lease_until", "audit_count", "audit_head",
)  # fmt: skip


@functools.lru_cache(maxsize=256)
def _update(names: tuple[str, ...]) -> Prepared:
    """The statement that updates these columns."""
    return Prepared(
        sa.update(instances)
        .where(
            instances.c.workflow_id == sa.bindparam("by_workflow_id"),
            instances.c.revision == sa.bindparam("by_revision"),
            instances.c.audit_count == sa.bindparam("by_audit_count"),
        )
        .values({name: sa.bindparam(name) for name in names})
    )


def load(connection: Connection, workflow_id: str, *, lock: bool = False) -> Instance | None:
    """Read an instance; with `lock`, servers lock its row until the transaction ends."""
    row = (_select_locked if lock else _select).first(connection, {"workflow_id": workflow_id})
    return None if row is None else from_row(row)


def on_thread(connection: Connection, workflow_id: str, thread_id: str) -> list[Instance]:
    """An instance and all others with the same thread, of any workflow."""
    rows = _select_on_thread.all(connection, {"workflow_id": workflow_id, "thread_id": thread_id})
    return [from_row(row) for row in rows]


def look_up(database: Database, workflow_id: str) -> Instance | None:
    """As `load`, in its own transaction."""
    found = rows_of(database, _select, {"workflow_id": workflow_id})
    return from_row(found[0]) if found else None


def look_up_thread(database: Database, workflow_id: str, thread_id: str) -> list[Instance]:
    """As `on_thread`, in its own transaction."""
    rows = rows_of(database, _select_on_thread, {"workflow_id": workflow_id, "thread_id": thread_id})
    return [from_row(row) for row in rows]


def insert(connection: Connection, instance: Instance) -> bool:
    """Insert a new instance, unless another transaction has just inserted one with the same id: there was no row to lock.

    Returns:
        Whether it was inserted.
    """
    return _insert.execute(connection, _values(instance))


def revive(connection: Connection, instance: Instance) -> Instance | None:
    """Start an instance whose id was erased: its trail and its revision continue. None if there was none."""
    row = _select_erased.first(connection, {"workflow_id": instance.workflow_id})
    if row is None:
        return None
    erased = from_row(row)
    begun = instance.changed(
        revision=erased.revision,
        lease_epoch=erased.lease_epoch,
        audit_count=erased.audit_count,
        audit_head=erased.audit_head,
        trace_id=erased.trace_id,
    )
    here = sa.update(instances).where(instances.c.workflow_id == instance.workflow_id)
    connection.execute(here.values({name: value for name, value in _values(begun).items() if name != "workflow_id"}))
    return begun


def updating(before: Instance, after: Instance) -> Call:
    """The statement that writes the changes if the row is unchanged since it was read; otherwise it updates no row."""
    was, values = before.__dict__, after.__dict__
    changes = {_COLUMNS[name]: values[name] for name in _CHANGING if values[name] != was[name]}
    changes["updated_at"] = after.updated_at
    if after.data is not before.data:
        changes["data"] = write_json(after.data)
    if after.finished is not before.finished:
        changes["finished"] = int(after.finished)
    placed(instances, changes, {"workflow_id": before.workflow_id})
    return _update(tuple(changes)).given(
        {
            **changes,
            "by_workflow_id": before.workflow_id,
            "by_revision": before.revision,
            "by_audit_count": before.audit_count,
        }
    )


def principal_text(principal: Principal) -> str:
    """A principal in the form of its column."""
    return write_json(principal.to_json())


def run_by_text(run_by: RunBy) -> str | None:
    """Who else may propose, in the form of its column; NULL for nobody."""
    return None if run_by == RunBy.SERVED else write_json(run_by.to_json())


def run_by_of(text: str | None) -> RunBy:
    """Parse the result of `run_by_text`."""
    return RunBy.SERVED if text is None else RunBy.of(read_json(text))


def from_row(row: Any) -> Instance:
    """Build an instance from the columns of its row, in the order of the table."""
    values = dict(zip(_COLUMNS, row, strict=False))
    check_place(instances, {**values, "last_result": values["last_result_text"]})
    values["data"] = read_json(values["data"])
    values["finished"] = bool(values["finished"])
    values["seal"] = Seal(values["seal"])
    # Instead of `Instance(**values)`, which sets every field in a call; every step reads several instances.
    made = object.__new__(Instance)
    made.__dict__.update(values)
    return made


def _values(instance: Instance) -> Mapping[str, Any]:
    values = {_COLUMNS[name]: value for name, value in instance.__dict__.items()}
    values["data"] = write_json(instance.data)
    values["finished"] = int(instance.finished)
    values["seal"] = instance.seal.column()
    return placed(instances, values)
