"""Statements that are built once with SQLAlchemy Core and then run as plain text on the driver's own cursor.

Compiling and walking a Core statement costs several times what SQLite needs to run it, and SQLAlchemy's result object as much
again; a prepared one costs a dictionary look-up. It is only for statements whose parameters and results need no conversion: the
column types of `columns`. They run on a SQLAlchemy connection, in its transaction, and fail with SQLAlchemy's errors.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, methodcaller
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.sql.compiler import SQLCompiler

from .connecting.echoing import is_shown, show
from .vault import Protected, vault_of

Row = tuple[Any, ...]
"""The columns of one row, in the order in which the statement names them."""


class _Text(NamedTuple):
    """A statement as one driver takes it."""

    text: str
    positions: list[str] | None
    """The parameters in their order; None where the driver takes them by name."""
    defaults: dict[str, Any]
    sealed: dict[str, str]
    """The columns of the parameters that are encrypted where there are keys."""
    opened: list[tuple[int, str]]
    """The places of such columns in a row that it finds, and their names."""

    def values(self, parameters: Mapping[str, Any], dialect: Dialect) -> Any:
        if self.sealed and (vault := vault_of(dialect)) is not None:
            hidden = {name: parameters[name] for name in self.sealed if parameters.get(name) is not None}
            parameters = {**parameters, **{name: vault.seal(text, self.sealed[name]) for name, text in hidden.items()}}
        given = {**self.defaults, **parameters} if self.defaults else parameters
        return given if self.positions is None else [given[name] for name in self.positions]


class Prepared:
    """One statement, compiled once per dialect and schema.

    Args:
        statement: A Core statement whose parameters are `sa.bindparam(…)` by name, or an insert of named columns; or what makes
            one for the name of a dialect.
        columns: For an insert: the columns that are given values.
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
        """The dialect and the options that it ran with last, and its text for them: they are the same nearly always."""

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> int:
        """Run it with named parameters.

        Returns:
            How many rows it wrote.
        """
        written: int = self._run(connection, parameters, _count_of)
        return written

    def execute_many(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        """Run it once for each of the rows; nothing for none."""
        if len(rows) == 1:
            self.execute(connection, rows[0])
        elif rows:
            text = self._for(connection)
            values = [text.values(row, connection.dialect) for row in rows]
            connection.exec_driver_sql(text.text, values if text.positions is None else list(map(tuple, values)))

    def first(self, connection: Connection, parameters: Mapping[str, Any]) -> Row | None:
        """The first row that it finds."""
        text, dialect = self._for(connection), connection.dialect
        found: Row | None = _run(connection, text.text, text.values(parameters, dialect), _first_of)
        return found if found is None or not text.opened else self.opened(connection, [found])[0]

    def all(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Row]:
        """Every row that it finds."""
        return self.opened(connection, self._run(connection, parameters, _all_of))

    def given(self, parameters: Mapping[str, Any]) -> "Call":
        """The statement with its parameters, to be run with others by `write_all`."""
        return Call(self, parameters)

    def alone(self, engine: Engine, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        """The text and the values for a driver's cursor of an engine, for a query that runs by itself."""
        text = self._for(engine)
        return text.text, text.values(parameters, engine.dialect)

    def opened(self, place: Connection | Engine, rows: list[Row]) -> list[Row]:
        """Rows as they were found, with their protected columns decrypted."""
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
    """A statement that is about to run."""

    statement: Prepared
    parameters: Mapping[str, Any]


def write_all(connection: Connection, calls: Sequence[Call]) -> list[int]:
    """Run several writes, on PostgreSQL in one statement and so in one round trip.

    They must not depend on what each other writes, nor on the order in which they are done. The first one that fails is the error.

    Returns:
        How many rows each of them wrote.
    """
    # Not by the driver's pipeline: a process that stops after one would not be thrown out of its transaction by the server.
    if len(calls) > 1 and connection.dialect.name == "postgresql" and not connection.dialect.positional:
        chunks = [calls[start : start + _AT_ONCE] for start in range(0, len(calls), _AT_ONCE)]
        return [rows for chunk in chunks for rows in _write_in_one(connection, chunk)]
    return [call.statement.execute(connection, call.parameters) for call in calls]


_AT_ONCE = 50
"""Writes in one statement: servers bound its parameters and its columns."""


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
    """One statement that does what each of these does, and counts their rows."""
    parts = [
        f"part_{number} AS ({_PARAMETER.sub(lambda found, at=number: f'%({_part(at, found[1])})s', text)} RETURNING 1)"  # type: ignore[misc]
        for number, text in enumerate(texts)
    ]
    counts = ", ".join(f"(SELECT count(*) FROM part_{number})" for number in range(len(texts)))  # noqa: S608 -- numbers
    return f"WITH {', '.join(parts)} SELECT {counts}"


_PARAMETER = re.compile(r"%\((\w+)\)s")


def _part(number: int, name: str) -> str:
    """What a parameter of one of several statements is called in the one that they become."""
    return f"p{number}_{name}"


def _run(connection: Connection, text: str, values: Any, take: Callable[[Any], Any]) -> Any:
    if connection.dispatch.before_cursor_execute or connection.dispatch.after_cursor_execute:
        # An application's listeners hear every statement, and may rewrite it.
        return take(connection.exec_driver_sql(text, tuple(values) if isinstance(values, list) else values))
    # Past SQLAlchemy's own bookkeeping: the transaction has to be begun already.
    if is_shown(connection.engine):
        show(connection.engine, text, values)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text, values)
        return take(cursor)
    except _driver_errors(connection) as error:
        raise _as_sqlalchemy(connection, text, values, error) from error
    except Exception:
        raise
    except BaseException as error:  # cancelled in the middle of it: the connection is of no more use
        connection.invalidate(error)
        raise
    finally:
        cursor.close()


def _driver_errors(connection: Connection) -> type[Exception]:
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    return errors


def _as_sqlalchemy(connection: Connection, text: str, values: Any, error: Any) -> Exception:
    """The error that SQLAlchemy would have raised had the statement gone through it."""
    lost = connection.dialect.is_disconnect(error, cast("Any", connection.connection.dbapi_connection), None)
    if lost:
        # Those that wait in the pool are of the same age.
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
