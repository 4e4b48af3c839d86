"""Take secrets out of JSON data before it is written down."""

import functools
import itertools
import re
from collections.abc import Collection

from .canonical import JSON

MASK = "***"
"""What stands in place of a redacted value."""

_SECRET_WORDS = frozenset(
    [
        "apikey",
        "authorisation",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "cvc",
        "cvv",
        "jwt",
        "otp",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "pwd",
        "secret",
        "secrets",
        "ssn",
    ]
)
_KINDS_OF_KEY = frozenset(["access", "api", "encryption", "master", "private", "signing"])


def redact(value: JSON, sensitive: Collection[str] = ()) -> JSON:
    """Give a copy of `value` with the sensitive fields replaced by `MASK`, at every depth and in lists.

    Args:
        value: JSON data; it is not changed.
        sensitive: Names of fields, redacted wherever they stand, or paths from the top such as ``customer.address.zip``
            (lists are passed through). Case and underscores make no difference: ``card_number`` is ``cardNumber``.

    Fields whose names say that they hold a secret (`password`, `api_key`, `authorization` …) are redacted in any case.
    """
    names, paths = _marks(frozenset(sensitive))
    return _redact(value, names, paths, ())


@functools.lru_cache(maxsize=1024)
def _marks(sensitive: frozenset[str]) -> tuple[frozenset[str], frozenset[tuple[str, ...]]]:
    """The names that are redacted wherever they stand, and all marks as paths from the top."""
    paths = frozenset(tuple(_plain(part) for part in name.split(".")) for name in sensitive)
    return frozenset(path[0] for path in paths if len(path) == 1), paths


def is_secret(name: str) -> bool:
    """Whether the name of a field says that it holds a secret: ``api_key`` does, ``secretary`` and ``tokenCount`` do
    not.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    return (
        not _SECRET_WORDS.isdisjoint(words)
        or words[-1:] == ["token"]
        or any(first in _KINDS_OF_KEY and second == "key" for first, second in itertools.pairwise(words))
    )


def _redact(value: JSON, names: frozenset[str], paths: frozenset[tuple[str, ...]], at: tuple[str, ...]) -> JSON:
    match value:
        case dict():
            redacted: dict[str, JSON] = {}
            for key, item in value.items():
                name, secret = _looked_at(key) if len(key) <= _LONGEST_KEPT else _looked_at.__wrapped__(key)
                path = (*at, name)
                hidden = secret or name in names or path in paths
                redacted[key] = MASK if hidden and item is not None else _redact(item, names, paths, path)
            return redacted
        case list():
            return [_redact(item, names, paths, at) for item in value]
        case _:
            return value


_LONGEST_KEPT = 64
"""Names of fields come from contracts and models, the same few again and again; longer keys are data, and not kept in memory."""


@functools.lru_cache(maxsize=4096)
def _looked_at(key: str) -> tuple[str, bool]:
    """A key as names are compared, and whether it says that it holds a secret."""
    return _plain(key), is_secret(key)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
