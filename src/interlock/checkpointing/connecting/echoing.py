"""Logs the statements that bypass SQLAlchemy as it logs its own: with `echo=True`, or by the logger `sqlalchemy.engine`."""

import logging
import reprlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Engine

_parameters = reprlib.Repr()
_parameters.maxstring = _parameters.maxother = 300
_parameters.maxdict = _parameters.maxlist = _parameters.maxtuple = 100


def is_shown(engine: Engine) -> bool:
    """Whether statements are logged; checked before each, so that logging costs nothing when it is off."""
    return engine.logger.isEnabledFor(logging.INFO)


def show(engine: Engine, text: str, values: Any) -> None:
    """Log one statement."""
    engine.logger.info("%s", text)
    hidden = "[SQL parameters hidden due to hide_parameters=True]"
    engine.logger.info("[on the driver's cursor] %s", hidden if engine.hide_parameters else _parameters.repr(values))


class EchoingCursor:
    """A driver's cursor that logs its statements."""

    def __init__(self, cursor: Any, engine: Engine) -> None:
        self._cursor = cursor
        self._engine = engine

    def execute(self, text: str, values: Any = ()) -> Any:
        """Log a statement, and run it."""
        show(self._engine, text, values)
        return self._cursor.execute(text, values) if values else self._cursor.execute(text)

    def executemany(self, text: str, rows: Any) -> Any:
        """The same for many rows."""
        show(self._engine, text, rows)
        return self._cursor.executemany(text, rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


__all__ = ["EchoingCursor", "is_shown", "show"]
