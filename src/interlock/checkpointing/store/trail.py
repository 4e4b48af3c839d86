"""An audit trail as a whole: checked, exported, and erased in part without breaking it.

Checking and exporting are functions of plain records, so that an export can be checked where the database is not.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject, canonical_json
from ...tools.errors import InputError
from ...tools.principal import Principal
from ..tables.workflow import audit
from .audit import GENESIS, AuditKind, Broken, chain_hash, payload_digest
from .unit import Unit

_FIELDS = {
    "schema_version": "schemaVersion",
    "audit_ref": "auditRef",
    "workflow_id": "workflowId",
    "number": "number",
    "kind": "kind",
    "tool": "tool",
    "code": "code",
    "revision": "revision",
    "trace_id": "traceId",
    "principal_id": "principalId",
    "tenant": "tenant",
    "recorded_at": "recordedAt",
    "payload_digest": "payloadDigest",
    "previous_hash": "previousHash",
    "hash": "hash",
}


def rows(connection: Connection, workflow_id: str) -> list[Mapping[str, Any]]:
    """The records of an instance as they are stored, oldest first."""
    statement = sa.select(audit).where(audit.c.workflow_id == workflow_id).order_by(audit.c.number)
    return [dict(row) for row in connection.execute(statement).mappings()]


def check(records: Iterable[Mapping[str, Any]], *, count: int | None = None, head: str | None = None) -> list[Broken]:
    """Find every place where a record was changed, removed, inserted, moved or emptied.

    Args:
        records: As `rows` and `read_export` give them.
        count: How many there have to be, by the instance's row or by somebody's notes; None where nobody knows.
        head: The hash of the last one, likewise.
    """
    broken: list[Broken] = []
    previous, expected = GENESIS, 0
    emptied: list[int] = []
    erased: set[int] = set()
    for row in records:
        expected += 1
        number = row["number"]
        if number != expected:
            broken.append(Broken(expected, f"record {expected} is missing; {number} stands in its place"))
            expected = number
        if row["previous_hash"] != previous:
            broken.append(Broken(number, "does not follow the record before it"))
        if chain_hash(row) != row["hash"]:
            broken.append(Broken(number, "was changed after it was written"))
        if row["payload"] is None:
            emptied.append(number)
        elif payload_digest(row["payload"]) != row["payload_digest"]:
            broken.append(Broken(number, "has another payload than it was written with"))
        elif row["kind"] == AuditKind.ERASURE.value:
            erased.update(json.loads(row["payload"])["numbers"])
        previous = row["hash"]
    broken += [
        Broken(number, "lost its payload, and no record says that it was erased")
        for number in emptied
        if number not in erased
    ]
    if (count is not None and expected != count) or (head is not None and previous != head):
        said = f"; there have to be {count}" if count is not None else ", which is not the end that is known"
        broken.append(Broken(expected + 1, f"the trail ends at record {expected}{said}"))
    return broken


def export(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The records as JSON Lines, with all that it takes to check them elsewhere."""
    for row in records:
        line: dict[str, Any] = {name: row[column] for column, name in _FIELDS.items()}
        payload = None if row["payload"] is None else json.loads(row["payload"])
        salt = None if payload is None else payload.pop("salt", None)
        yield canonical_json({**line, "payload": payload, "salt": salt})


def read_export(lines: Iterable[str]) -> list[Mapping[str, Any]]:
    """Read what `export` wrote, for `check`.

    Raises:
        InputError: It is something else.
    """
    found: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data: JsonObject = json.loads(line)
            row: dict[str, Any] = {column: data[name] for column, name in _FIELDS.items()}
            payload: Any = data["payload"]
            row["payload"] = None if payload is None else canonical_json({**payload, "salt": data["salt"]})
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"Line {number} is not a record of an audit trail ({type(error).__name__}: {error}). Nothing was checked; give a file that "
                "`interlock audit --export` wrote.",
                code="not_an_export",
            ) from error
        found.append(row)
    return found


def erase(unit: Unit, by: Principal, *, reason: str, numbers: Iterable[int] | None = None) -> int:
    """Erase payloads of an instance's records, and record that. The records stay, and still verify.

    Args:
        unit: The instance, in a write transaction; flushed here.
        by: Who erases.
        reason: Why; it is kept.
        numbers: Which records; all so far by default. Records of erasures themselves are never erased.

    Returns:
        How many payloads there were to erase.
    """
    connection, workflow_id = unit.connection, unit.instance.workflow_id
    wanted = sa.and_(
        audit.c.workflow_id == workflow_id,
        audit.c.payload.is_not(None),
        audit.c.kind != AuditKind.ERASURE.value,
        *(() if numbers is None else (audit.c.number.in_(sorted(set(numbers))),)),
    )
    there = list(connection.scalars(sa.select(audit.c.number).where(wanted).order_by(audit.c.number)))
    if there:
        connection.execute(sa.update(audit).where(wanted).values(payload=None))
        unit.record(AuditKind.ERASURE, by, {"numbers": there, "reason": reason})
        unit.flush()
    return len(there)
