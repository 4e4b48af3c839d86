"""Detects statements that exceed `max_allowed_packet` of MySQL or MariaDB, by the size that the driver really sends.

A server reports an oversized packet, or just closes the connection, which looks like an outage. PyMySQL interpolates values into the
statement, and bytes as hexadecimal digits, so that 8 MB of them are 16 MB for the server. So after a large statement has failed, the
driver itself measures it on another connection.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ...tools.errors import StoreError

_TOO_LARGE, _GONE = {1153, 1105}, {2006, 2013, 2055}
_WORTH_ASKING = 100_000
"""Smaller statements are not measured: no usable server has a lower limit."""


class NotedCursor:
    """A driver's cursor that remembers its last statement."""

    __slots__ = ("_cursor", "last")

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.last: tuple[str, Any] | None = None

    def execute(self, text: str, values: Any = None) -> Any:
        """Run a statement."""
        self.last = text, values
        return self._cursor.execute(text, values)

    def executemany(self, text: str, rows: Any) -> Any:
        """Run a statement once for each row."""
        self.last = text, rows
        return self._cursor.executemany(text, rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def explain(engine: Engine, error: BaseException, last: tuple[str, Any] | None) -> StoreError | None:
    """The error for a statement above the server's limit; None if it failed for another reason.

    Args:
        engine: Opens the other connection.
        error: The error of SQLAlchemy, which has its statement, or of the driver.
        last: The statement and its parameters, if the error lacks them.
    """
    before: BaseException | None = error
    while before is not None:  # a failed rollback hides the cause
        if isinstance(before, sa.exc.DBAPIError) and before.statement is not None:
            error, last = before, (before.statement, before.params)
            break
        before = before.__context__
    if last is None:
        return None
    cause = getattr(error, "orig", None) or error
    number = next((argument for argument in cause.args if isinstance(argument, int)), None)
    statement, params = last
    if number not in _TOO_LARGE | _GONE or 2 * _size_of(params) + len(statement) < _WORTH_ASKING:
        return None
    try:
        size, largest, limit = _measure(engine, statement, params)
    except sa.exc.SQLAlchemyError:
        return None  # the server really is unreachable
    if size < limit and number not in _TOO_LARGE:
        return None
    return StoreError(
        f"A statement of {size / 1e6:.1f} MB is more than this MySQL server takes at once ({limit / 1e6:.1f} MB); the largest value in it has "
        f"{largest / 1e6:.1f} MB, and the driver sends bytes as text. Nothing of this step was written, and the same step will fail "
        "again. Set max_allowed_packet higher on the server, or keep large data elsewhere and put a reference into the state.",
        code="value_too_large",
        details={"bytes": largest, "sent": size, "limit": limit},
    )


def _measure(engine: Engine, statement: str, params: Any) -> tuple[int, int, int]:
    """The bytes sent for the largest row of a statement, the bytes of its largest value, and the server's limit."""
    rows = params if isinstance(params, list) else [params]
    row = max(rows, key=_size_of)
    with engine.connect() as connection:
        limit = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
        cursor: Any = connection.connection.cursor()
        try:
            mogrify = getattr(cursor, "mogrify", None) or cursor._cursor.mogrify
            written = mogrify(statement, row)
        finally:
            cursor.close()
    size = len(written.encode("utf-8", "surrogateescape") if isinstance(written, str) else written)
    return size + 1, max((_size_of([value]) for value in _values(row)), default=0), limit


def _values(row: Any) -> list[Any]:
    if row is None:
        return []
    return list(row.values() if isinstance(row, dict) else row)


def _size_of(params: Any) -> int:
    """The bytes of all text and bytes in parameters."""
    if isinstance(params, dict):
        return _size_of(list(params.values()))
    if isinstance(params, (list, tuple)):
        return sum(_size_of(value) for value in params)
    if isinstance(params, str):
        return len(params.encode("utf-8", "surrogatepass"))
    return len(params) if isinstance(params, (bytes, bytearray, memoryview)) else 0
