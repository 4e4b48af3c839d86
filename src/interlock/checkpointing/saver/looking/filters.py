"""Filters on metadata with the semantics of LangGraph's saver for each database.

PostgreSQL and MySQL check whether the metadata contain the filter: nested dictionaries may have more keys, lists more items, in any
order. SQLite compares the value of each key, where a dot in the key descends. The database evaluates filters, so that an index can
help; values that its JSON functions reject (such as NaN) are checked here, by the same rules.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from ....tools.errors import InputError
from ...connecting.engines import Dialect
from ...tables.checkpoints import checkpoints

Metadata = dict[str, Any]
_metadata = checkpoints.c.metadata
_PATH = re.compile(r"[a-zA-Z0-9_.-]+")
_INTEGERS = range(-(2**63), 2**63)
_dumps = json.JSONEncoder(separators=(",", ":")).encode


class Filter(NamedTuple):
    """What is looked for."""

    condition: sa.ColumnElement[bool] | None
    """The SQL condition; None if only `holds` can decide."""
    holds: Callable[[Metadata], bool]
    """The same, for the metadata of one row."""
    exact: bool
    """Whether the condition is complete."""


def filter_for(dialect: Dialect, wanted: Metadata) -> Filter:
    """The filter for one kind of database.

    Raises:
        InputError: It contains a value that metadata cannot contain.
    """
    try:
        if dialect is Dialect.SQLITE:
            return _of_sqlite(wanted)
        text = _dumps(wanted)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The filter cannot be looked for: {error}. Nothing was read. Metadata hold what JSON has: text, numbers, booleans, None, "
            "lists and dictionaries."
        ) from error
    plain = json.loads(text)
    if dialect is Dialect.POSTGRESQL:
        jsonb = postgresql.JSONB
        contains = sa.cast(_metadata, jsonb).op("@>", is_comparison=True)(sa.cast(sa.literal(text, sa.Text), jsonb))
        return Filter(contains, lambda metadata: contains_json(metadata, plain), exact=True)
    found = sa.func.coalesce(sa.func.json_contains(_metadata, sa.literal(text, sa.Text)), 0)
    # Values that are not JSON for the database are checked here, because its functions would fail or return NULL.
    condition = sa.case((sa.func.json_valid(_metadata) == 1, found), else_=1) == 1
    return Filter(condition, lambda metadata: contains_json(metadata, plain, lists_hold_items=True), exact=False)


def contains_json(there: Any, wanted: Any, *, lists_hold_items: bool = False) -> bool:
    """Whether one JSON value contains another, as with PostgreSQL's `@>`.

    Args:
        there: The containing value.
        wanted: The contained value.
        lists_hold_items: Whether a list contains everything that one of its items contains, as with MySQL's `JSON_CONTAINS`.
    """
    more = lists_hold_items
    if isinstance(wanted, dict) and isinstance(there, dict):
        return all(
            key in there and contains_json(there[key], item, lists_hold_items=more) for key, item in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(there, list):
        return all(any(contains_json(one, item, lists_hold_items=more) for one in there) for item in wanted)
    if isinstance(there, list):
        return more and any(contains_json(one, wanted, lists_hold_items=more) for one in there)
    if isinstance(wanted, dict | list) or isinstance(there, dict):
        return False
    return isinstance(there, bool) is isinstance(wanted, bool) and bool(there == wanted)


def extracted(key: str) -> sa.ColumnElement[Any]:
    """The SQLite expression for the value of a key. The key is literal SQL, because an index requires it."""
    return sa.literal_column(f"json_extract({_metadata.table.name}.metadata, '$.{key}')")


def _of_sqlite(wanted: Metadata) -> Filter:
    conditions: list[sa.ColumnElement[bool]] = []
    values = {str(key): _as_sqlite_has(value) for key, value in wanted.items()}
    exact = True
    for key, value in values.items():
        if not _PATH.fullmatch(key) or not _can_be_bound(value):
            exact = False
        elif value is None:
            conditions.append(extracted(key).is_(None))
        else:
            conditions.append(extracted(key) == sa.bindparam(None, value, unique=True, type_=sa.types.NullType()))
    condition = sa.and_(*conditions) if conditions else None
    return Filter(
        condition, lambda metadata: all(_under(metadata, key) == value for key, value in values.items()), exact=exact
    )


def _as_sqlite_has(value: Any) -> Any:
    """A value as `json_extract` returns it: objects and lists as text."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (dict, list)):
        return _dumps(value)
    return str(value)


def _can_be_bound(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
    return not isinstance(value, int) or value in _INTEGERS


def _under(metadata: Metadata, key: str) -> Any:
    """The result of `json_extract` for a key; a key that is not a path is used literally."""
    found: Any = metadata
    for part in key.split(".") if _PATH.fullmatch(key) else [key]:
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return _dumps(found) if isinstance(found, dict | list) else found
