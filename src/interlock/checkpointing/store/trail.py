"""Checks and exports audit trails, and erases payloads without breaking the chain.

Checks and exports are functions of plain records, so that an export can be checked without the database.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject, canonical_json
from ...tools.errors import InputError
from ...tools.principal import Principal
from ...tools.storable import storable, storable_text
from ..reasons import checked_reason
from ..tables.workflow import audit, instances
from .audit import GENESIS, AuditKind, AuditRecord, Broken, chain_hash, payload_digest
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


COMES_UNDER = frozenset({AuditKind.STARTED, AuditKind.FORK, AuditKind.MIGRATION})
"""The records that state the definition of an instance from then on."""


def claims_kept(records: Iterable[AuditRecord]) -> tuple[str, ...]:
    """The claims that were proved for the definition of an instance, according to its audit trail.

    Args:
        records: The audit trail, oldest first.

    Returns:
        The claims as sentences; empty if nothing was claimed, or if the payload was erased.
    """
    found: tuple[str, ...] = ()
    for record in records:
        if record.kind in COMES_UNDER:
            said = (record.payload or {}).get("claims")
            found = tuple(map(str, said)) if isinstance(said, list) else ()
    return found


def rows(connection: Connection, workflow_id: str) -> list[Mapping[str, Any]]:
    """The records of an instance as they are stored, oldest first."""
    try:
        return _read(connection, workflow_id, audit.columns)
    except sa.exc.OperationalError as error:
        if "decode" not in str(error).lower():
            raise
        # SQLite keeps any bytes as text; invalid text is reported as such.
        return _read(
            connection,
            workflow_id,
            [
                sa.type_coerce(sa.cast(column, sa.LargeBinary), sa.LargeBinary).label(column.name)
                if isinstance(column.type, sa.String)
                else column
                for column in audit.columns
            ],
        )


def _read(connection: Connection, workflow_id: str, columns: Iterable[Any]) -> list[Mapping[str, Any]]:
    statement = sa.select(*columns).where(audit.c.workflow_id == workflow_id).order_by(audit.c.number)
    return [
        {
            name: value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
            for name, value in row.items()
        }
        for row in connection.execute(statement).mappings()
    ]


def end_of(workflow_id: str) -> sa.Select[Any]:
    """Reads the number of records in an instance's row, the hash of the last one, and the instance's tenant."""
    return sa.select(instances.c.audit_count, instances.c.audit_head, instances.c.tenant).where(
        instances.c.workflow_id == workflow_id
    )


def check(records: Iterable[Mapping[str, Any]], *, count: Any = None, head: Any = None) -> list[Broken]:
    """Find every place where a record was changed, removed, inserted, moved or emptied.

    Any process may have written a row, so it may contain anything. Every problem is reported, and this function does not raise.

    Args:
        records: The result of `rows` or `read_export`.
        count: The expected number of records, from the instance's row or a note; None if unknown.
        head: The expected hash of the last record; None if unknown.
    """
    broken: list[Broken] = []
    previous: Any = GENESIS
    expected = 0
    about: Any = None
    emptied: list[int] = []
    erased: set[int] = set()
    for row in records:
        expected += 1
        number = row["number"]
        if not is_number(number):
            broken.append(Broken(expected, f"has {shown(number)} in place of a number"))
            number = expected
        elif number != expected:
            broken.append(Broken(expected, f"record {expected} is missing; {number} is in its place"))
            expected = number
        about = row["workflow_id"] if about is None else about
        if row["workflow_id"] != about:
            broken.append(Broken(number, f"is of another instance, {shown(row['workflow_id'])}"))
        if row["previous_hash"] != previous:
            broken.append(Broken(number, "does not follow the record before it"))
        if _hash_of(row) != row["hash"]:
            broken.append(Broken(number, "was changed after it was written"))
        if row["payload"] is None:
            emptied.append(number)
        else:
            broken += [Broken(number, problem) for problem in _payload_problems(row, erased)]
        previous = row["hash"]
    broken += [
        Broken(number, "lost its payload, and no record says that it was erased")
        for number in emptied
        if number not in erased
    ]
    if (count is not None and expected != count) or (head is not None and previous != head):
        said = f"; there have to be {shown(count)}" if count is not None else ", which is not the end that is known"
        broken.append(Broken(expected + 1, f"the trail ends at record {expected}{said}"))
    return broken


def is_number(value: object) -> TypeGuard[int]:
    """Whether a stored value is an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def shown(value: object) -> str:
    """Quote a stored value of any type, short enough for a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _hash_of(row: Mapping[str, Any]) -> str | None:
    """The hash that a record must have; None if its values can never be those of a record."""
    try:
        return chain_hash(row)
    except (ValueError, TypeError, RecursionError):
        return None


def _payload_problems(row: Mapping[str, Any], erased: set[int]) -> Iterator[str]:
    """Check an existing payload; the erasures that it records are added to `erased`."""
    text = row["payload"]
    if not isinstance(text, str) or _digest_of(text) != row["payload_digest"]:
        yield "has another payload than it was written with"
        return
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        yield "has a payload that is not a JSON object"
        return
    if row["kind"] == AuditKind.ERASURE.value:
        numbers = payload.get("numbers")
        if isinstance(numbers, list) and all(map(is_number, numbers)):
            erased.update(numbers)
        else:
            yield "is an erasure that does not say which payloads were erased"
    trace = payload.get("trace")
    written_under = trace.get("trace") if isinstance(trace, dict) else None
    if "trace_run" in row and row["trace_run"] != written_under:
        yield f"is filed under the trace {shown(row['trace_run'])}, and its payload says {shown(written_under)}"


def _digest_of(text: str) -> str | None:
    try:
        return payload_digest(text)
    except ValueError:  # half of a surrogate pair
        return None


def export(records: Iterable[Mapping[str, Any]], *, head: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Export the records as JSON Lines that can be checked without the database; the last line states their number.

    Args:
        records: The result of `rows`.
        head: The last line if it is signed (`SignedHead.to_json`).
    """
    number, last, workflow_id = 0, GENESIS, ""
    for row in records:
        number, last, workflow_id = number + 1, row["hash"], row["workflow_id"]
        line: dict[str, Any] = {name: row[column] for column, name in _FIELDS.items()}
        payload = None if row["payload"] is None else _payload_of(row["payload"])
        salt = payload.pop("salt", None) if isinstance(payload, dict) else None
        yield _line({**line, "payload": payload, "salt": salt})
    yield _line(head or {"auditHead": 1, "workflowId": workflow_id, "number": number, "hash": last})


def _payload_of(text: Any) -> Any:
    """The payload as exported; a corrupt payload is exported as its raw text, and `check` reports it."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return storable_text(text)


def _line(line: Mapping[str, Any]) -> str:
    try:
        return canonical_json(line)
    except InputError:
        return canonical_json(storable(line))


@dataclass(frozen=True)
class Export:
    """A parsed export."""

    records: list[Mapping[str, Any]]
    end: Mapping[str, Any] | None
    """Its last line, which states the number of records; None if it is missing."""

    def check(self, *, head: str | None = None) -> list[Broken]:
        """Find every problem, including a missing end.

        Args:
            head: A hash that was noted elsewhere, which one of its records must have.
        """
        end = self.end
        number, last = (None, None) if end is None else (end.get("number"), end.get("hash"))
        broken = check(self.records, count=number, head=last)
        after = len(self.records) + 1
        if end is None:
            broken.append(
                Broken(
                    after,
                    "the export ends without the line that says how many records there are: it was cut, or is of an older release",
                )
            )
        elif self.records and end.get("workflowId") != self.records[0]["workflow_id"]:
            broken.append(
                Broken(after, f"the export ends with the line of another instance, {shown(end.get('workflowId'))}")
            )
        if not self.records:
            broken.append(
                Broken(1, "there is no record: a trail begins with one that says that the instance was started")
            )
        if head is not None and head not in {row["hash"] for row in self.records}:
            broken.append(Broken(after, f"there is no record with the hash {shown(head)}, which was noted elsewhere"))
        return broken


def read_export(lines: Iterable[str]) -> Export:
    """Parse the output of `export`.

    Raises:
        InputError: It is not an export.
    """
    found: list[Mapping[str, Any]] = []
    end: Mapping[str, Any] | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data: JsonObject = json.loads(line)
            if end is not None:
                raise ValueError("it stands after the line that ends the export")
            if "auditHead" in data:
                end = data
                continue
            row: dict[str, Any] = {column: data[name] for column, name in _FIELDS.items()}
            payload: Any = data["payload"]
            if isinstance(payload, dict):
                payload = canonical_json({**payload, "salt": data["salt"]})
            row["payload"] = payload
        except (ValueError, KeyError, TypeError, RecursionError, InputError) as error:
            raise InputError(
                f"Line {number} is not a record of an audit trail ({type(error).__name__}: {error}). Nothing was checked; give a file that "
                "`interlock audit --export` wrote. A line that is not whole says that the file was cut.",
                code="not_an_export",
            ) from error
        found.append(row)
    return Export(found, end)


def erase(unit: Unit, by: Principal, *, reason: str, numbers: Iterable[int] | None = None) -> int:
    """Erase payloads of an instance's records, and record that. The records stay, and still verify.

    Args:
        unit: The instance, in a write transaction; flushed here.
        by: The principal who erases them.
        reason: The recorded reason.
        numbers: The numbers of the records; by default all records so far. Records of erasures themselves are never erased.

    Returns:
        The number of payloads that were erased.

    Raises:
        InputError: The reason cannot be recorded.
    """
    reason = checked_reason(reason, "The reason for erasing", otherwise="Nothing was erased.")
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
