"""Serializes values of the standard library and of dependencies that msgpack does not support, as a tag and parts.

The list is closed. Reading calls only the functions in `_READ`.
"""

import datetime as dt
import ipaddress
import pathlib
import re
import uuid
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pydantic
import pydantic.networks
import pydantic_core
from langgraph.store.base import Item
from langgraph.types import Send

from .refusals import Refused, not_storable

Parts = list[Any]
"""A tag and its parts."""
FACTORIES: dict[str, Any] = {
    "": None, "list": list, "dict": dict, "set": set, "int": int, "str": str, "float": float, "bool": bool, "tuple": tuple,
    "deque": deque, "Counter": Counter, "OrderedDict": OrderedDict, "frozenset": frozenset, "bytes": bytes,
}  # fmt: skip
"""The allowed factories of a `defaultdict`."""
_FACTORY_NAMES = {factory: name for name, factory in FACTORIES.items()}
_URLS = ("AnyUrl", "AnyHttpUrl", "HttpUrl", "AnyWebsocketUrl", "WebsocketUrl", "FileUrl", "FtpUrl", "PostgresDsn",
         "CockroachDsn", "AmqpDsn", "RedisDsn", "MongoDsn", "KafkaDsn", "NatsDsn", "MySQLDsn", "MariaDBDsn", "ClickHouseDsn",
         "SnowflakeDsn")  # fmt: skip
_PATHS: tuple[type[pathlib.PurePath], ...] = (
    pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath,
)  # fmt: skip
_ADDRESSES = (
    ipaddress.IPv4Address, ipaddress.IPv4Interface, ipaddress.IPv4Network, ipaddress.IPv6Address, ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
)  # fmt: skip


def _default_dict(value: defaultdict[Any, Any]) -> Parts:
    try:
        name = _FACTORY_NAMES[value.default_factory]
    except (KeyError, TypeError):
        raise Refused(
            f"a defaultdict that makes its values with {value.default_factory!r}",
            "which has no stored form.",
            f"Use one of {', '.join(sorted(filter(None, FACTORIES)))}, or store dict(value).",
        ) from None
    return ["defaultdict", name, dict(value)]


def _instant(v: dt.datetime) -> Parts:
    if v.fold == 0 and (v.tzinfo is None or v.tzinfo is dt.timezone.utc):  # noqa: UP017 -- the very object
        return ["instant", v.isoformat()]
    return ["datetime", v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.fold, v.tzinfo]


def _zone(value: ZoneInfo) -> Parts:
    if value.key is None:
        raise not_storable(ZoneInfo, "without a key, which cannot be found again.")
    return ["ZoneInfo", value.key]


def _pattern(value: "re.Pattern[Any]") -> Parts:
    return ["Pattern", value.pattern, value.flags]


def _item(value: Item) -> Parts:
    return ["Item", value.value, value.key, list(value.namespace), value.created_at, value.updated_at]


def _send(value: Send) -> Parts:
    parts = ["Send", value.node, value.arg]
    timeout = getattr(value, "timeout", None)
    return parts if timeout is None else [*parts, timeout]


def _no_buffer(value: Any) -> Parts:
    raise not_storable(type(value), "which is a view of somebody's memory.")


WRITE: dict[type, Callable[[Any], Parts]] = {
    set: lambda value: ["set", list(value)],
    frozenset: lambda value: ["frozenset", list(value)],
    deque: lambda value: ["deque", list(value), value.maxlen],
    OrderedDict: lambda value: ["OrderedDict", dict(value)],
    Counter: lambda value: ["Counter", dict(value)],
    ChainMap: lambda value: ["ChainMap", list(value.maps)],
    defaultdict: _default_dict,
    bytearray: lambda value: ["bytearray", bytes(value)],
    memoryview: _no_buffer,
    dt.datetime: _instant,
    dt.date: lambda value: ["date", value.year, value.month, value.day],
    dt.time: lambda v: ["time", v.hour, v.minute, v.second, v.microsecond, v.fold, v.tzinfo],
    dt.timedelta: lambda value: ["timedelta", value.days, value.seconds, value.microseconds],
    dt.timezone: lambda value: ["timezone", *value.__getinitargs__()],
    ZoneInfo: _zone,
    uuid.UUID: lambda value: ["UUID", value.bytes, value.is_safe.name],
    Decimal: lambda value: ["Decimal", str(value)],
    Fraction: lambda value: ["Fraction", value.numerator, value.denominator],
    complex: lambda value: ["complex", value.real, value.imag],
    range: lambda value: ["range", value.start, value.stop, value.step],
    slice: lambda value: ["slice", value.start, value.stop, value.step],
    type(...): lambda _: ["Ellipsis"],
    re.Pattern: _pattern,
    pydantic.SecretStr: lambda value: ["SecretStr", value.get_secret_value()],
    pydantic.SecretBytes: lambda value: ["SecretBytes", value.get_secret_value()],
    pydantic_core.Url: lambda value: ["Url", str(value)],
    pydantic_core.MultiHostUrl: lambda value: ["MultiHostUrl", str(value)],
    Send: _send,
    Item: _item,
    **{cls: (lambda value: [type(value).__name__, str(value)]) for cls in _PATHS},
    **{cls: (lambda value: [type(value).__name__, str(value)]) for cls in _ADDRESSES},
    **{
        getattr(pydantic.networks, name): (lambda value: [type(value).__name__, str(value)])
        for name in _URLS
        if isinstance(getattr(pydantic.networks, name, None), type)
    },
}
"""By exact class, because an object of a subclass may differ."""


def _datetime(*parts: Any) -> dt.datetime:
    year, month, day, hour, minute, second, microsecond, fold, zone = parts
    return dt.datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


def _time(*parts: Any) -> dt.time:
    hour, minute, second, microsecond, fold, zone = parts
    return dt.time(hour, minute, second, microsecond, zone, fold=fold)


def _uuid(data: bytes, is_safe: str = "unknown") -> uuid.UUID:
    return uuid.UUID(bytes=data, is_safe=uuid.SafeUUID[is_safe])


def _timezone(*parts: Any) -> dt.timezone:
    found = dt.timezone(*parts)
    return dt.timezone.utc if len(parts) == 1 and found == dt.timezone.utc else found  # noqa: UP017 -- the very object


def _counter(counts: dict[Any, int]) -> "Counter[Any]":
    counter: Counter[Any] = Counter()
    dict.update(counter, counts)
    return counter


def _path(cls: type[pathlib.PurePath]) -> Callable[[str], pathlib.PurePath]:
    def read(text: str) -> pathlib.PurePath:
        try:
            return cls(text)
        except (NotImplementedError, OSError) as error:
            raise ValueError(f"a {cls.__name__} cannot be made on this system: {error}") from error

    return read


def _wide_int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


_READ: dict[str, Callable[..., Any]] = {
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
    "OrderedDict": OrderedDict,
    "Counter": _counter,
    "ChainMap": lambda maps: ChainMap(*maps),
    "defaultdict": lambda name, items: defaultdict(FACTORIES[name], items),
    "bytearray": bytearray,
    "instant": dt.datetime.fromisoformat,
    "datetime": _datetime,
    "date": dt.date,
    "time": _time,
    "timedelta": dt.timedelta,
    "timezone": _timezone,
    "ZoneInfo": ZoneInfo,
    "UUID": _uuid,
    "Decimal": Decimal,
    "Fraction": Fraction,
    "complex": complex,
    "range": range,
    "slice": slice,
    "Ellipsis": lambda: ...,
    "Pattern": re.compile,
    "SecretStr": pydantic.SecretStr,
    "SecretBytes": pydantic.SecretBytes,
    "Url": pydantic_core.Url,
    "MultiHostUrl": pydantic_core.MultiHostUrl,
    "Send": lambda node, arg, timeout=None: Send(node, arg) if timeout is None else Send(node, arg, timeout=timeout),
    "Item": lambda value, key, namespace, created, updated: Item(
        value=value, key=key, namespace=tuple(namespace), created_at=created, updated_at=updated
    ),
    "int": _wide_int,
    "str": lambda data: data.decode("utf-8", "surrogatepass"),
    "dict": lambda keys, values: dict(zip(keys, values, strict=True)),
    **{cls.__name__: _path(cls) for cls in _PATHS},
    **{cls.__name__: cls for cls in _ADDRESSES},
    **{cls.__name__: cls for cls in WRITE if cls.__module__ == "pydantic.networks"},
}


def read(parts: Parts) -> Any:
    """Rebuild a value from its tag and parts.

    Raises:
        LookupError: The tag is not known.
    """
    return _READ[parts[0]](*parts[1:])


def wide_int(value: int) -> Parts:
    """An integer of more than 64 bits."""
    return ["int", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)]


def torn_text(value: str) -> Parts:
    """Text with lone surrogates, which is not valid UTF-8."""
    return ["str", value.encode("utf-8", "surrogatepass")]
