"""The command ledger: the call made under each idempotency key, and its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject
from ...tools.principal import Principal, recorded_principal
from ..statements import Call, Prepared
from ..tables.workflow import ledger
from ..vault import MARK, check_place, placed
from .sql.json_text import read_json, write_json


class LedgerStatus(StrEnum):
    """The status of a command."""

    STARTED = "started"
    """Its outside effect is in progress, or was interrupted."""
    COMPLETED = "completed"
    FAILED = "failed"
    """It certainly had no effect: the tool refused, or a person found so. Without a result, it may be tried again."""
    DRY_RUN = "dry_run"
    """A dry run: it passed the gate and was approved, but not executed."""
    UNKNOWN = "unknown"
    """An attempt was interrupted during its effect; a person must say what happened."""


@dataclass(frozen=True)
class LedgerEntry:
    """One command under one key."""

    workflow_id: str
    idempotency_key: str
    tenant: str
    fingerprint: str
    tool: str
    tool_version: int
    status: LedgerStatus
    attempt: int
    principal_id: str | None
    """The proposer; None in rows from before it was recorded."""
    requester: Principal | None
    """The proposer in full, for an effect that somebody else may have to continue."""
    owner: str | None
    arguments: JsonObject
    result: JsonObject | None
    audit_ref: str
    started_at: int
    finished_at: int | None


_COLUMNS = [column.name for column in ledger.columns]
_CHANGING = (
    "fingerprint", "tool_version", "status", "attempt", "principal_id", "requester", "owner", "arguments", "result", "audit_ref",
    "finished_at",
)  # fmt: skip
IS_UNSETTLED = ledger.c.status.in_([sa.literal_column("'started'"), sa.literal_column("'unknown'")])
"""Written as in the index of unsettled attempts; otherwise SQLite reads the whole ledger."""
_by_key = sa.select(ledger).where(
    ledger.c.workflow_id == sa.bindparam("workflow_id"), ledger.c.idempotency_key == sa.bindparam("idempotency_key")
)
_select = Prepared(_by_key)
_insert = Prepared(sa.insert(ledger))
_update = Prepared(
    sa.update(ledger)
    .where(
        ledger.c.workflow_id == sa.bindparam("by_workflow_id"),
        ledger.c.idempotency_key == sa.bindparam("by_idempotency_key"),
        ledger.c.status == sa.bindparam("by_status"),
        ledger.c.attempt == sa.bindparam("by_attempt"),
    )
    .values({name: sa.bindparam(name) for name in _CHANGING})
)

_counts = Prepared(
    sa.select(ledger.c.tool, sa.func.count().label("number"))
    .where(ledger.c.workflow_id == sa.bindparam("workflow_id"), ledger.c.status == sa.bindparam("status"))
    .group_by(ledger.c.tool)
)

_LONGEST_PART = 200
"""The maximum number of characters of a text that the database compares, because databases limit patterns."""
_WRITTEN_IN_FULL = 10**15
"""Smaller floats are written as digits, without an exponent."""


def load(connection: Connection, workflow_id: str, key: str) -> LedgerEntry | None:
    """Read the entry of a key."""
    row = _select.first(connection, {"workflow_id": workflow_id, "idempotency_key": key})
    return None if row is None else from_row(row)


def writing(before: LedgerEntry | None, after: LedgerEntry) -> Call:
    """The statement that inserts a new entry, or updates an existing one if it still equals `before`.

    A second entry of the same key raises IntegrityError; an entry that differs from `before` is not updated.
    """
    if before is None:
        return _insert.given(_values(after))
    values = _values(after)
    parameters = {name: values[name] for name in _CHANGING}
    parameters |= {
        "by_workflow_id": before.workflow_id,
        "by_idempotency_key": before.idempotency_key,
        "by_status": before.status.value,
        "by_attempt": before.attempt,
    }
    return _update.given(parameters)


def unsettled(connection: Connection, tenant: str | None, limit: int) -> list[LedgerEntry]:
    """Effects outside the database that are in progress or of unknown outcome, the oldest first."""
    statement = sa.select(ledger).where(IS_UNSETTLED).order_by(ledger.c.started_at, ledger.c.workflow_id).limit(limit)
    if tenant is not None:
        statement = statement.where(ledger.c.tenant == tenant)
    return [from_row(row) for row in connection.execute(statement)]


def unsettled_of(connection: Connection, workflow_id: str) -> list[LedgerEntry]:
    """Effects of one instance outside the database that are in progress or of unknown outcome, the oldest first."""
    statement = (
        sa.select(ledger)
        .where(
            ledger.c.workflow_id == workflow_id,
            ledger.c.status.in_([LedgerStatus.STARTED.value, LedgerStatus.UNKNOWN.value]),
        )
        .order_by(ledger.c.started_at)
    )
    return [from_row(row) for row in connection.execute(statement)]


def carried_out(connection: Connection, workflow_id: str) -> dict[str, int]:
    """The number of executions of each tool in an instance."""
    return dict(_counts.all(connection, {"workflow_id": workflow_id, "status": "completed"}))


def completed_with(
    connection: Connection, workflow_id: str, tool: str, wanted: Mapping[str, object]
) -> list[JsonObject]:
    """The arguments of a tool's executed calls in an instance that may have the wanted values, with sensitive ones masked.

    The database filters, so that the cost does not grow with the number of executed calls. It cannot filter encrypted arguments, which are
    all returned.

    Args:
        connection: The connection.
        workflow_id: The instance.
        tool: The canonical name.
        wanted: Values by the wire names of the arguments; the caller compares them.
    """
    statement = sa.select(ledger.c.idempotency_key, ledger.c.arguments).where(
        ledger.c.workflow_id == workflow_id, ledger.c.tool == tool, ledger.c.status == LedgerStatus.COMPLETED.value
    )
    if parts := [part for name, value in wanted.items() if (part := _as_written(name, value)) is not None]:
        text = sa.type_coerce(ledger.c.arguments, sa.Text())
        encrypted = text.startswith(MARK, autoescape=True)
        statement = statement.where(sa.or_(encrypted, sa.and_(*(text.contains(one, autoescape=True) for one in parts))))
    found = []
    for key, arguments in connection.execute(statement):
        check_place(
            ledger, {"workflow_id": workflow_id, "idempotency_key": key, "arguments": arguments, "result": None}
        )
        found.append(read_json(arguments))
    return found


def _as_written(name: str, value: object) -> str | None:
    """The text with which arguments of this value begin; None if it cannot be predicted."""
    if value is None or not isinstance(value, str | int | float):
        return None  # a missing argument counts as null
    if isinstance(value, float) and not value.is_integer():
        shown = write_json(value)
    elif isinstance(value, str | bool):
        shown = write_json(value)[:_LONGEST_PART]
    else:
        if abs(value) >= _WRITTEN_IN_FULL:
            return None
        shown = str(int(value))  # 5, or 5.0
    return f"{write_json(name)}:{shown}"


def _values(entry: LedgerEntry) -> dict[str, Any]:
    values = dict(entry.__dict__)
    values["status"] = entry.status.value
    values["requester"] = None if entry.requester is None else write_json(entry.requester.to_json())
    values["arguments"] = write_json(entry.arguments)
    values["result"] = None if entry.result is None else write_json(entry.result)
    return placed(ledger, values)


def from_row(row: Any) -> LedgerEntry:
    """Build an entry from the columns of its row, in the order of the table."""
    values = dict(zip(_COLUMNS, row, strict=False))
    check_place(ledger, values)
    values["status"] = LedgerStatus(values["status"])
    values["requester"] = None if values["requester"] is None else recorded_principal(read_json(values["requester"]))
    values["arguments"] = read_json(values["arguments"])
    values["result"] = None if values["result"] is None else read_json(values["result"])
    return LedgerEntry(**values)
