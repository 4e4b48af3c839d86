"""Parses single options of a URL, and holds the translated options."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...tools.errors import StoreError


@dataclass
class Options:
    """The options of one URL, translated for Interlock's driver."""

    query: dict[str, Any] = field(default_factory=dict)
    """Options for the driver's URL."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Options as arguments of the driver."""
    is_plain: bool = True
    """Whether the asynchronous driver accepts the same options."""
    demands_tls: bool = False
    """Whether a connection without TLS is refused."""


def single(name: str, value: Any) -> str:
    """The value of an option that may occur only once."""
    if isinstance(value, str):
        return value
    raise StoreError(f"The database URL gives the option {name!r} several times. Give it once.")


def number(name: str, value: str) -> int:
    """The value of a numeric option."""
    try:
        return int(value)
    except ValueError:
        raise StoreError(f"The option {name!r} of the database URL is not a number: {value!r}.") from None


_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def boolean(name: str, value: str) -> bool:
    """The value of a boolean option."""
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise StoreError(f"The option {name!r} of the database URL is neither true nor false: {value!r}.") from None


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """The value of an option with a fixed set of values."""
    for one in known:
        if one.lower() == value.lower():
            return one
    raise StoreError(f"The option {name!r} of the database URL is {value!r}; it may be {', '.join(known)}.")


def unknown(name: str, driver: str, *, hint: str = "") -> StoreError:
    """The error for an unknown option."""
    return StoreError(
        f"The option {name!r} of the database URL is none that {driver} takes, which is the driver that Interlock opens it with. "
        f"{hint or 'Leave it out, or give your own engine, which is used as it is.'}"
    )


def ours(name: str, what: str) -> StoreError:
    """The error for an option that Interlock sets itself."""
    return StoreError(
        f"The option {name!r} of the database URL changes {what}, which Interlock decides for the connections that it opens. Leave it out."
    )


Query = Mapping[str, Any]
