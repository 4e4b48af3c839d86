"""One JSON text per value, so that equal values have equal digests in every process.

Keys are sorted, there is no white space, text is UTF-8 with the minimum of escapes. A float with an
integral value is written as that integer, because JSON has one kind of number, and databases and other languages
lose the difference.
"""

import dataclasses
import datetime as dt
import hashlib
import json
import json.encoder
import math
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypeAlias

import ormsgpack
from pydantic import BaseModel, JsonValue

from .errors import NotJson

JSON: TypeAlias = JsonValue
"""Anything that JSON can say: None, bool, int, float, str, and lists and string-keyed dicts of those."""

JsonObject: TypeAlias = dict[str, JsonValue]
"""A JSON object."""

_INTEGRAL = 2**63
_LONGEST_INTEGER = 13_288  # bits of 4,000 digits; Python refuses to write 4,301 digits


def canonical_json(value: object) -> str:
    """Write `value` as canonical JSON; accepts the same values as `to_json`.

    Raises:
        NotJson: `value` holds something that has no JSON form.
    """
    packed = _packed(value)
    if packed is not None:
        try:
            return _write(value)
        except (TypeError, ValueError, RecursionError):
            pass  # the code below writes the value or reports the problem
    return _write(_converted(value, integral=True))


def digest(value: object) -> str:
    """Digest the canonical JSON of `value`: ``"sha256:<64 hex digits>"``."""
    return f"sha256:{hashlib.sha256(canonical_json(value).encode()).hexdigest()}"


def amount_in(arguments: object, path: str) -> Decimal | None:
    """The amount at a dotted path in a call's arguments: 0 if the path is absent, None if the value is not a number."""
    found: Any = arguments
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return as_amount(found or 0)


def as_amount(value: object) -> Decimal | None:
    """Parse a finite number from JSON, where amounts are often strings; None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def same_json(one: object, other: object) -> bool:
    """Whether two values are the same JSON: ``True`` is not ``1``, but ``1.0`` is."""
    packed = _packed(one)
    # Plain data with the same bytes is the same JSON. With other bytes it may be as well: its keys may be in another order.
    if packed is not None and not _holds_bytes(packed) and packed == _packed(other):
        return True
    return canonical_json(one) == canonical_json(other)


def to_json(value: object) -> JSON:
    """Turn `value` into plain JSON data.

    Decimals, UUIDs, dates, times and durations become strings, enums their values, pydantic models and dataclasses
    objects (by alias), tuples lists, sets lists in a stable order.

    Raises:
        NotJson: `value` holds NaN or an infinity, a key that is not a string, text that is not UTF-8, or an object
        without a JSON form.
    """
    packed = _packed(value)
    if packed is not None and not _holds_bytes(packed):
        plain: JSON = ormsgpack.unpackb(packed)
        return plain
    return _converted(value, integral=False)


def to_canonical(value: object) -> JSON:
    """As `to_json`, with floats of an integral value as integers, as `canonical_json` writes them.

    Raises:
        NotJson: As `to_json`.
    """
    return _converted(value, integral=True)


def is_same_json(one: JSON, other: JSON) -> bool:
    """Whether two JSON values are the same in type as well: 1, 1.0, True and "1" are four values, and 0.0 and -0.0 are two."""
    if type(one) is not type(other):
        return False
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(is_same_json(value, other[name]) for name, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(is_same_json, one, other))
        case float(), float():
            return one == other and math.copysign(1, one) == math.copysign(1, other)
        case _:
            return one == other


EXACT = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
"""Msgpack packs only exact plain types, and refuses everything else."""


def _packed(value: object) -> bytes | None:
    """The value as msgpack if it is plain data without floats, as most stored values are; else None.

    Msgpack checks the whole value in C. It refuses everything but dicts with text keys, lists, valid UTF-8 text, 64-bit integers,
    bools, None and bytes; all of these but bytes are valid JSON. The slow path handles floats, which may have to become integers, and
    deep nesting, which it reports.
    """
    try:
        packed = ormsgpack.packb(value, option=EXACT)
    except (TypeError, ValueError, RecursionError):
        return None
    if b"\xcb" in packed or b"\xca" in packed:
        return None
    # Each level starts with one of these bytes, so their number bounds the depth.
    return packed if len(packed.translate(None, _BEGIN_NOTHING)) <= _FLAT else None


def _holds_bytes(packed: bytes) -> bool:
    """Whether msgpack may hold bytes, which JSON does not have; text may look like them."""
    return b"\xc4" in packed or b"\xc5" in packed or b"\xc6" in packed


_FLAT = 300
_BEGIN_NOTHING = bytes(sorted({*range(256)} - {*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF}))
"""All bytes except those that start a list or a dict in msgpack."""


_Make = Callable[..., Callable[[object, int], tuple[str, ...]]]


def json_writer(
    *,
    ensure_ascii: bool = True,
    allow_nan: bool = True,
    sort_keys: bool = False,
    separators: tuple[str, str] = (", ", ": "),
    default: Callable[[Any], Any] | None = None,
) -> Callable[[object], str]:
    """Make a function that writes the same as `json.JSONEncoder` with these options, with one reused C encoder.

    A value that contains itself raises `RecursionError` instead of `ValueError`, because circular references are not tracked.
    """
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii,
        allow_nan=allow_nan,
        sort_keys=sort_keys,
        separators=separators,
        default=default,
        check_circular=False,
    )
    make: _Make | None = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without the C encoder
        return encoder.encode
    item, key = separators
    text = json.encoder.encode_basestring_ascii if ensure_ascii else json.encoder.encode_basestring
    parts = make(None, encoder.default, text, None, key, item, sort_keys, False, allow_nan)
    join = "".join
    return lambda value: join(parts(value, 0))


_write = json_writer(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


class _NoFormError(Exception):
    """A value has no JSON form; the callers add its path while the error propagates."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        self.path = ""

    def inside(self, step: object) -> "_NoFormError":
        self.path = f".{step}{self.path}"
        return self


def _converted(value: object, *, integral: bool) -> JSON:
    try:
        return _plain(value, integral)
    except RecursionError:
        raise NotJson("the value is nested too deeply, or contains itself, and so has no JSON form") from None
    except _NoFormError as error:
        place = f"the value at {error.path[1:]!r}" if error.path else "the value"
        raise NotJson(f"{place} {error.problem}") from None


def _plain(value: Any, integral: bool) -> JSON:
    """Turn a value into plain data; with `integral`, floats with an integral value into integers."""
    kind = type(value)
    # The most common types come first, because this code handles every stored value.
    if kind is str and value.isascii():
        return str(value)
    if kind is dict:
        return _object(value, integral)
    return None if value is None else _from_other_type(value, integral)


def _from_other_type(value: object, integral: bool) -> JSON:
    match value:
        case Enum():
            return _plain(value.value, integral)
        case bool():
            return value
        case int():
            return _integer(value)
        case str():
            return _text(value)
        case float():
            return _float(value, integral)
        case BaseModel():
            return _plain(value.model_dump(mode="python", by_alias=True), integral)
        case Mapping():
            return _object(value, integral)
        case list() | tuple():
            return _list(value, integral)
        case Set():
            return sorted((_plain(item, integral) for item in value), key=canonical_json)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return _object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, integral)
        case _:
            return _scalar(value)


def _object(value: Mapping[Any, object], integral: bool) -> JSON:
    made: JsonObject = {}
    for key, item in value.items():
        name = key if type(key) is str and key.isascii() else _key(key)
        try:
            made[name] = _plain(item, integral)
        except _NoFormError as error:
            raise error.inside(key) from None
    return made


def _list(value: Sequence[object], integral: bool) -> JSON:
    made: list[JSON] = []
    for item in value:
        try:
            made.append(_plain(item, integral))
        except _NoFormError as error:
            raise error.inside(len(made)) from None
    return made


def _scalar(value: object) -> str:
    match value:
        case Decimal():
            if not value.is_finite():
                raise _NoFormError(f"is {value}, which JSON cannot say; give a finite number")
            return str(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return f"{'-' if value < dt.timedelta(0) else ''}PT{abs(value).total_seconds():f}S"
        case uuid.UUID():
            return str(value)
        case _:
            raise _NoFormError(
                f"is a {type(value).__qualname__}, which has no JSON form; "
                "give plain data, a pydantic model, a date, a Decimal, a UUID or an enum"
            )


def _integer(number: int) -> int:
    if number.bit_length() > _LONGEST_INTEGER:
        raise _NoFormError("is an integer of more than 4,000 digits, which few programs can read")
    return int(number)


def _float(number: float, integral: bool) -> float | int:
    if not math.isfinite(number):
        raise _NoFormError(f"is {number}, which JSON cannot say; give a finite number")
    return int(number) if integral and number.is_integer() and abs(number) < _INTEGRAL else number


def _key(key: object) -> str:
    if isinstance(key, Enum):
        key = key.value
    if not isinstance(key, str):
        raise _NoFormError(f"has the key {key!r}; JSON objects have only strings for keys")
    return _text(key)


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _NoFormError("holds half of a surrogate pair, which is not valid UTF-8 text") from None
    return str(text)
