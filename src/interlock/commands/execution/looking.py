"""Read-only sessions for rules on a transaction that continues after them: all their writes are undone.

A check, a condition or a preview gets a session on the transaction of the judgement, so that it sees what the command will see. A
savepoint is set before its first statement that may write, and rolled back afterwards; a rule that only reads costs nothing more. If
a rule makes the transaction unusable (it ended it, or a statement failed on PostgreSQL), the proposal is denied in a new transaction.
"""

import contextlib
import re
from types import TracebackType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from ...checkpointing.database import LOOKED
from ...rules.denials import Denial
from ...tools.errors import ContextError, RuleError, RunError
from ...tools.storable import type_name

if TYPE_CHECKING:  # imports SQLAlchemy's ORM only for the first rule that uses its session
    from sqlalchemy.orm import Session


class DeniedError(RunError):
    """Carries a denial out of an unusable transaction, in which it cannot be recorded."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.message, code=denial.code)
        self.denial = denial


class Looking:
    """A session for a rule in the transaction of a caller: opened on first use, then undone and closed.

    Args:
        connection: In the transaction.
        rule: The name of the rule, for messages.
    """

    def __init__(self, connection: Connection, rule: str) -> None:
        self._connection = connection
        self._rule = rule
        self._session: Session | None = None
        self._transaction: sa.RootTransaction | None = None
        self._savepoint: sa.NestedTransaction | None = None
        self._taking = False
        self._changes: int | None = None
        self.problem: str | None = None
        """Why the rule made the transaction unusable, or None."""

    def open(self) -> "Session":
        """The session."""
        if self._session is None:
            from sqlalchemy.orm import Session  # noqa: PLC0415 -- see above

            self._connection.info[LOOKED] = True
            self._transaction = self._connection.get_transaction()
            self._changes = _changes(self._connection)
            event.listen(self._connection, "before_cursor_execute", self._before)
            event.listen(self._connection, "commit", _refuse_commit)
            self._session = Session(
                bind=self._connection, join_transaction_mode="rollback_only", autoflush=False, close_resets_only=False
            )
        return self._session

    def __enter__(self) -> "Looking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is None:
            return
        event.remove(self._connection, "before_cursor_execute", self._before)
        event.remove(self._connection, "commit", _refuse_commit)
        try:
            self._session.close()
            self.problem = self._undo()
        except sa.exc.SQLAlchemyError as failure:
            self.problem = f"left its transaction in a state that cannot be undone ({type_name(failure)})"
        if self.problem is not None:
            # SQLAlchemy sees no transaction any more, and would reuse the connection with the driver's transaction still open.
            with contextlib.suppress(Exception):
                _driver(self._connection).rollback()
        if self.problem is not None and error is None:
            raise RuleError(f"{self._rule} {self.problem}", rule=self._rule)

    def _before(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if self._savepoint is None and not self._taking and not reads_only(statement):
            self._taking = True
            self._savepoint = connection.begin_nested()

    def _undo(self) -> str | None:
        """Undo the writes, or record why they cannot be undone."""
        connection = self._connection
        ended = "ended the transaction that it was given: a rule does not commit or roll back"
        transaction = self._transaction
        if transaction is None or connection.get_transaction() is not transaction or not transaction.is_active:
            return ended
        if _is_idle(connection):
            return ended
        if self._savepoint is not None:
            while (inner := connection.get_nested_transaction()) is not None and inner is not self._savepoint:
                inner.rollback()
            if not self._savepoint.is_active:
                return ended
            self._savepoint.rollback()
            return None
        if _has_failed(connection):
            return (
                "continued after one of its statements had failed, "
                "and the database accepts nothing after that: run a statement that may fail in "
                "ctx.session.begin_nested()"
            )
        if _changes(connection) != self._changes:
            return "wrote past its session: a rule looks, and the tool writes"
        return None


def reads_only(statement: str) -> bool:
    """Whether a statement certainly writes nothing: a SELECT that calls only functions known to be harmless."""
    if not _SELECT.match(statement) or ";" in statement.rstrip().rstrip(";"):
        return False
    return all(name.lower() in _HARMLESS for name in _CALLED.findall(statement)) and not _INTO.search(statement)


_SELECT = re.compile(r"\s*\(*\s*SELECT\b", re.IGNORECASE)
_INTO = re.compile(r"\bINTO\b", re.IGNORECASE)
_CALLED = re.compile(r"([A-Za-z_][A-Za-z_0-9]*)\"?\s*\(")
_HARMLESS = frozenset({
    "abs", "all", "and", "any", "array", "as", "avg", "between", "bool_and", "bool_or", "by", "case", "cast",
    "ceil", "coalesce", "concat", "count", "date", "datetime", "distinct", "else", "end", "except", "exists",
    "extract", "filter", "floor", "from", "greatest", "group", "having", "ifnull", "in", "instr", "intersect",
    "is", "join", "json_extract", "julianday", "lateral", "least", "left", "length", "like", "limit", "lower",
    "ltrim", "max", "min", "mod", "not", "nullif", "on", "or", "order", "over", "partition", "replace",
    "right", "round", "row_number", "rtrim", "select", "strftime", "substr", "substring", "sum", "then",
    "time", "total", "trim", "typeof", "union", "upper", "using", "values", "when", "where", "with", "year",
    "numeric", "decimal", "char", "varchar",
})  # fmt: skip


def _refuse_commit(_connection: Connection) -> None:
    raise ContextError(
        "A rule was given the transaction that judges, to look at it: it does not commit it. Nothing of what it wrote was kept."
    )


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _changes(connection: Connection) -> int | None:
    """The number of changes on a connection, if its driver counts them."""
    changes = getattr(_driver(connection), "total_changes", None)
    return changes if isinstance(changes, int) else None


def _is_idle(connection: Connection) -> bool:
    """Whether the driver's transaction was ended without SQLAlchemy."""
    driver = _driver(connection)
    if connection.dialect.name == "sqlite":
        return getattr(driver, "in_transaction", True) is False
    status = getattr(getattr(driver, "info", None), "transaction_status", None)
    return status is not None and int(status) == _IDLE


def _has_failed(connection: Connection) -> bool:
    """Whether a failed statement has aborted the transaction."""
    status = getattr(getattr(_driver(connection), "info", None), "transaction_status", None)
    return status is not None and int(status) == _FAILED


_IDLE, _FAILED = 0, 3  # libpq's PQTRANS_IDLE and PQTRANS_INERROR


__all__ = ["DeniedError", "Looking", "reads_only"]
