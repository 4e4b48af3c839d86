"""Statements that are built once with SQLAlchemy Core and then run as text on the driver's own cursor.

Compiling a Core statement costs several times as much as SQLite needs to run it, and SQLAlchemy's result object costs the same
again; a prepared statement costs a dictionary lookup. It suits only statements whose parameters and results need no conversion: the
column types of `columns`. They run on a SQLAlchemy connection, in its transaction, and raise SQLAlchemy's errors.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, methodcaller
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.sql.compiler import SQLCompiler

from .connecting.echoing import show
from .vault import Protected, vault_of

Row = tuple[Any, ...]
"""The columns of one row, in the order of the statement."""


class _Text(NamedTuple):
    """A statement for one driver."""

    text: str
    positions: list[str] | None
    """The parameters in order; None if the driver accepts them by name."""
    defaults: dict[str, Any]
    sealed: dict[str, str]
    """The protected columns of the parameters, which are encrypted if there are keys."""
    opened: list[tuple[int, str]]
    """The indexes of protected columns in a result row, and their names."""

    def values(self, parameters: Mapping[str, Any], dialect: Dialect) -> Any:
        if self.sealed and (vault := vault_of(dialect)) is not None:
            hidden = {name: parameters[name] for name in self.sealed if parameters.get(name) is not None}
            parameters = {**parameters, **{name: vault.seal(text, self.sealed[name]) for name, text in hidden.items()}}
        given = {**self.defaults, **parameters} if self.defaults else parameters
        return given if self.positions is None else [given[name] for name in self.positions]


class Prepared:
    """One statement, compiled once per dialect and schema.

    Args:
        statement: A Core statement with named parameters (`sa.bindparam(…)`), or an insert; or a function that makes one for
            the name of a dialect.
        columns: For an insert: the columns with values.
    """

    def __init__(
        self,
        statement: sa.sql.expression.ClauseElement | Callable[[str], sa.sql.expression.ClauseElement],
        columns: Iterable[str] | None = None,
    ) -> None:
        self._statement = statement
        self._columns = list(columns) if columns is not None else None
        self._texts: dict[tuple[str, str, str, str | None], _Text] = {}
        self._last: tuple[Any, Any, _Text] | None = None
        """The last dialect and options, and the text for them, because they rarely change."""

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> int:
        """Run it with named parameters.

        Returns:
            The number of written rows.
        """
        written: int = self._run(connection, parameters, _count_of)
        return written

    def execute_many(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        """Run it once for each row; does nothing without rows."""
        if len(rows) == 1:
            self.execute(connection, rows[0])
        elif rows:
            text = self._for(connection)
            values = [text.values(row, connection.dialect) for row in rows]
            connection.exec_driver_sql(text.text, values if text.positions is None else list(map(tuple, values)))

    def first(self, connection: Connection, parameters: Mapping[str, Any]) -> Row | None:
        """The first result row."""
        text, dialect = self._for(connection), connection.dialect
        found: Row | None = _run(connection, text.text, text.values(parameters, dialect), _first_of)
        return found if found is None or not text.opened else self.opened(connection, [found])[0]

    def all(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Row]:
        """All result rows."""
        return self.opened(connection, self._run(connection, parameters, _all_of))

    def given(self, parameters: Mapping[str, Any]) -> "Call":
        """Combine the statement with its parameters, for `write_all`."""
        return Call(self, parameters)

    def alone(self, engine: Engine, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        """The text and the values for a driver's cursor, for a query outside a SQLAlchemy connection."""
        text = self._for(engine)
        return text.text, text.values(parameters, engine.dialect)

    def opened(self, place: Connection | Engine, rows: list[Row]) -> list[Row]:
        """Decrypt the protected columns of result rows."""
        columns = self._for(place).opened
        if not columns or (vault := vault_of(place.dialect)) is None:
            return rows
        opened = []
        for row in rows:
            values = list(row)
            for at, column in columns:
                if values[at] is not None:
                    values[at] = vault.open(values[at], column)
            opened.append(tuple(values))
        return opened

    def _run(self, connection: Connection, parameters: Mapping[str, Any], take: Callable[[Any], Any]) -> Any:
        text = self._for(connection)
        return _run(connection, text.text, text.values(parameters, connection.dialect), take)

    def _for(self, place: Connection | Engine) -> _Text:
        dialect, options, last = place.dialect, place.get_execution_options(), self._last
        if last is not None and last[0] is dialect and last[1] is options:
            return last[2]
        schemas: Mapping[str | None, str] | None = options.get("schema_translate_map")
        key = (dialect.name, dialect.driver, dialect.paramstyle, schemas.get(None) if schemas else None)
        found = self._texts.get(key)
        if found is None:
            statement = self._statement(dialect.name) if callable(self._statement) else self._statement
            where: Any = {"schema_translate_map": schemas, "render_schema_translate": True} if schemas else {}
            compiled = cast("SQLCompiler", statement.compile(dialect=dialect, column_keys=self._columns, **where))
            positions = [*(compiled.positiontup or ())] if compiled.positional else None
            defaults = {name: value for name, value in compiled.params.items() if value is not None}
            sealed = {
                name: bind.type.column for bind, name in compiled.bind_names.items() if isinstance(bind.type, Protected)
            }
            results = enumerate(compiled._result_columns)
            opened = [(at, column.type.column) for at, column in results if isinstance(column.type, Protected)]
            found = self._texts[key] = _Text(str(compiled), positions, defaults, sealed, opened)
        self._last = dialect, options, found
        return found


_first_of: Callable[[Any], Any] = methodcaller("fetchone")
_all_of: Callable[[Any], Any] = methodcaller("fetchall")
_count_of: Callable[[Any], Any] = attrgetter("rowcount")


class Call(NamedTuple):
    """A statement with its parameters."""

    statement: Prepared
    parameters: Mapping[str, Any]


def write_all(connection: Connection, calls: Sequence[Call]) -> list[int]:
    """Run several writes, on PostgreSQL in one statement and so in one round trip.

    They must not depend on each other's writes or on their order. The first failure is raised.

    Returns:
        The numbers of rows that they wrote.
    """
    # Not with the driver's pipeline: the server would not time out the transaction of a process that is suspended in it.
    if len(calls) > 1 and connection.dialect.name == "postgresql" and not connection.dialect.positional:
        chunks = [calls[start : start + _AT_ONCE] for start in range(0, len(calls), _AT_ONCE)]
        return [rows for chunk in chunks for rows in _write_in_one(connection, chunk)]
    return [call.statement.execute(connection, call.parameters) for call in calls]


_AT_ONCE = 50
"""The maximum number of writes in one statement: servers limit parameters and columns."""


def _write_in_one(connection: Connection, calls: Sequence[Call]) -> list[int]:
    texts = [call.statement._for(connection) for call in calls]
    values = {
        _part(number, name): value
        for number, (text, call) in enumerate(zip(texts, calls, strict=True))
        for name, value in text.values(call.parameters, connection.dialect).items()
    }
    counts: Row = _run(
        connection, _in_one(tuple(text.text for text in texts)), values, lambda cursor: cursor.fetchone()
    )
    return [*counts]


@functools.lru_cache(maxsize=256)
def _in_one(texts: tuple[str, ...]) -> str:
    """Combine writes into one statement, which counts their rows."""
    parts = [
        f"part_{number} AS ({_PARAMETER.sub(lambda found, at=number: f'%({_part(at, found[1])})s', text)} RETURNING 1)"  # type: ignore[misc]
        for number, text in enumerate(texts)
    ]
    counts = ", ".join(f"(SELECT count(*) FROM part_{number})" for number in range(len(texts)))  # noqa: S608 -- numbers
    return f"WITH {', '.join(parts)} SELECT {counts}"


_PARAMETER = re.compile(r"%\((\w+)\)s")


def _part(number: int, name: str) -> str:
    """The name of a statement's parameter in the combined statement."""
    return f"p{number}_{name}"


def _run(connection: Connection, text: str, values: Any, take: Callable[[Any], Any]) -> Any:
    # SQLAlchemy too asks its connections for these before each statement. Looking listeners and loggers up costs more than preparing it.
    listened = connection._has_events or connection.engine._has_events
    if listened and (connection.dispatch.before_cursor_execute or connection.dispatch.after_cursor_execute):
        # An application's listeners see every statement, and may rewrite it.
        return take(connection.exec_driver_sql(text, tuple(values) if isinstance(values, list) else values))
    # This bypasses SQLAlchemy's bookkeeping, so the transaction has to be open already.
    if connection._echo:
        show(connection.engine, text, values)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text, values)
        return take(cursor)
    except _driver_errors(connection) as error:
        raise _as_sqlalchemy(connection, text, values, error) from error
    except Exception:
        raise
    except BaseException as error:  # cancelled during the statement: the connection is unusable
        connection.invalidate(error)
        raise
    finally:
        cursor.close()


def _driver_errors(connection: Connection) -> type[Exception]:
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    return errors


def _as_sqlalchemy(connection: Connection, text: str, values: Any, error: Any) -> Exception:
    """The error that SQLAlchemy would have raised for the statement."""
    lost = connection.dialect.is_disconnect(error, cast("Any", connection.connection.dbapi_connection), None)
    if lost:
        # The idle connections of the pool are probably broken too.
        connection.engine.pool._invalidate(cast("Any", connection.connection), error)
        connection.invalidate(error)
    made: Exception = sa.exc.DBAPIError.instance(
        text,
        values,
        error,
        connection.dialect.loaded_dbapi.Error,
        hide_parameters=connection.engine.hide_parameters,
        connection_invalidated=lost,
        dialect=connection.dialect,
    )
    return made


__all__ = ["Call", "Prepared", "Row", "write_all"]
