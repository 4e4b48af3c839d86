"""One JSON text per value, so that equal values have equal digests wherever they were made.

Keys are sorted, there is no white space, text is UTF-8 and not escaped beyond what JSON asks for. A float with an
integral value is written as that integer, because JSON has one kind of number and databases and other languages do
not keep the difference.
"""

import dataclasses
import datetime as dt
import hashlib
import json
import math
import uuid
from collections.abc import Mapping, Set
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

from pydantic import BaseModel, JsonValue

from .errors import NotJson

JSON: TypeAlias = JsonValue
"""Anything that JSON can say: None, bool, int, float, str, and lists and string-keyed dicts of those."""

JsonObject: TypeAlias = dict[str, JsonValue]
"""A JSON object."""

_EXACT_FLOAT = 2**53
_LONGEST_INTEGER = 13_288  # bits of 4,000 digits; Python itself refuses to write 4,301


def canonical_json(value: object) -> str:
    """Write `value` as canonical JSON; whatever `to_json` takes is taken here.

    Raises:
        NotJson: `value` holds something that has no JSON form.
    """
    return json.dumps(
        _integral(to_json(value)), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )


def digest(value: object) -> str:
    """Digest the canonical JSON of `value`: ``"sha256:<64 hex digits>"``."""
    return f"sha256:{hashlib.sha256(canonical_json(value).encode()).hexdigest()}"


def to_json(value: object) -> JSON:
    """Turn `value` into plain JSON data.

    Decimals, UUIDs, dates, times and durations become strings, enums their values, pydantic models and dataclasses
    objects (by alias), tuples lists, sets lists in a stable order.

    Raises:
        NotJson: `value` holds NaN or an infinity, a key that is no string, text that is not UTF-8, or an object
        without a JSON form.
    """
    try:
        return _plain(value, "")
    except RecursionError:
        raise NotJson("the value is nested too deeply, or contains itself, and so has no JSON form") from None


def _plain(value: object, path: str) -> JSON:
    match value:
        case Enum():
            return _plain(value.value, path)
        case None | bool():
            return value
        case int():
            return _integer(value, path)
        case str():
            return _text(value, path)
        case float():
            if not math.isfinite(value):
                raise NotJson(f"{_at(path)} is {value}, which JSON cannot say; give a finite number")
            return value
        case BaseModel():
            return _plain(value.model_dump(mode="python", by_alias=True), path)
        case Mapping():
            return {_key(key, path): _plain(item, f"{path}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{path}.{index}") for index, item in enumerate(value)]
        case Set():
            return sorted((_plain(item, path) for item in value), key=canonical_json)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {
                field.name: _plain(getattr(value, field.name), f"{path}.{field.name}")
                for field in dataclasses.fields(value)
            }
        case _:
            return _scalar(value, path)


def _scalar(value: object, path: str) -> str:
    match value:
        case Decimal():
            if not value.is_finite():
                raise NotJson(f"{_at(path)} is {value}, which JSON cannot say; give a finite number")
            return str(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return f"{'-' if value < dt.timedelta(0) else ''}PT{abs(value).total_seconds():f}S"
        case uuid.UUID():
            return str(value)
        case _:
            raise NotJson(
                f"{_at(path)} is a {type(value).__qualname__}, which has no JSON form; "
                "give plain data, a pydantic model, a date, a Decimal, a UUID or an enum"
            )


def _integer(number: int, path: str) -> int:
    if number.bit_length() > _LONGEST_INTEGER:
        raise NotJson(f"{_at(path)} is an integer of more than 4,000 digits, which few programs can read")
    return int(number)


def _key(key: object, path: str) -> str:
    if isinstance(key, Enum):
        key = key.value
    if not isinstance(key, str):
        raise NotJson(f"{_at(path)} has the key {key!r}; JSON objects have only strings for keys")
    return _text(key, path)


def _text(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotJson(f"{_at(path)} holds half of a surrogate pair, which is not valid UTF-8 text") from None
    return str(text)


def _at(path: str) -> str:
    return f"the value at {path[1:]!r}" if path else "the value"


def _integral(value: JSON) -> JSON:
    match value:
        case float() if value.is_integer() and abs(value) < _EXACT_FLOAT:
            return int(value)
        case dict():
            return {key: _integral(item) for key, item in value.items()}
        case list():
            return [_integral(item) for item in value]
        case _:
            return value
