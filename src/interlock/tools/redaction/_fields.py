"""Masks sensitive fields in JSON data before it is stored."""

import functools
import itertools
import re
from collections.abc import Collection

from ..canonical import JSON
from ._quoted import MASK, hide_fields

_NAMES, _VALUES = ("name", "key", "field", "header", "param", "parameter"), ("value", "values", "val")
"""A field as data: keys for its name, and keys for its value."""

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
    """Return a copy of `value` with the sensitive fields replaced by `MASK`, at every depth and in lists.

    Args:
        value: JSON data; it is not changed.
        sensitive: Names of fields, redacted at any depth, or paths from the top such as ``customer.address.zip``
            (lists are traversed). Case and underscores are ignored: ``card_number`` matches ``cardNumber``.

    Fields whose names indicate a secret (`password`, `api_key`, `authorization` …) are always redacted, also as pairs of name and
    value, or inside a text: JSON, even if it is truncated, and similar forms.
    """
    return _Redacting(frozenset(sensitive), None).form(value, ())


def is_named(name: str, sensitive: Collection[str] = ()) -> bool:
    """Whether a field with this name is masked at any depth."""
    return _Redacting(frozenset(sensitive), None).is_named(name)


def redact_and_find(value: JSON, sensitive: Collection[str] = ()) -> tuple[JSON, list[JSON]]:
    """As `redact`, with the values of the masked fields."""
    found: list[JSON] = []
    return _Redacting(frozenset(sensitive), found).form(value, ()), found


@functools.lru_cache(maxsize=1024)
def _marks(sensitive: frozenset[str]) -> tuple[frozenset[str], frozenset[tuple[str, ...]]]:
    """The names that are redacted at any depth, and all marks as paths from the top."""
    paths = frozenset(tuple(_plain(part) for part in name.split(".")) for name in sensitive)
    return frozenset(path[0] for path in paths if len(path) == 1), paths


def is_secret(name: str) -> bool:
    """Whether the name of a field indicates a secret: ``api_key`` does, ``secretary`` and ``tokenCount`` do
    not.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    return (
        not _SECRET_WORDS.isdisjoint(words)
        or words[-1:] == ["token"]
        or any(first in _KINDS_OF_KEY and second == "key" for first, second in itertools.pairwise(words))
    )


class _Redacting:
    def __init__(self, sensitive: frozenset[str], found: list[JSON] | None) -> None:
        self.names, self.paths = _marks(sensitive)
        self.found = found

    def form(self, value: JSON, at: tuple[str, ...]) -> JSON:
        match value:
            case dict():
                return self._object(value, at)
            case [str() as name, item] if item is not None and self._is_hidden(name, at):
                return [name, self._masked(item)]
            case list():
                return [self.form(item, at) for item in value]
            case str():
                return hide_fields(value, self.is_named, self.found)
            case _:
                return value

    def _object(self, value: dict[str, JSON], at: tuple[str, ...]) -> JSON:
        told = self._value_key(value, at)
        redacted: dict[str, JSON] = {}
        for key, item in value.items():
            name, secret = _normalized(key)
            path = (*at, name)
            hidden = secret or name in self.names or path in self.paths or key == told
            redacted[key] = self._masked(item) if hidden and item is not None else self.form(item, path)
        return redacted

    def _value_key(self, value: dict[str, JSON], at: tuple[str, ...]) -> str | None:
        """The key of a hidden field's value, if the field is a pair of name and value."""
        held = next((key for key in _VALUES if key in value), None)
        if held is None:
            return None
        named = (value.get(key) for key in _NAMES)
        return held if any(isinstance(name, str) and self._is_hidden(name, at) for name in named) else None

    def _masked(self, item: JSON) -> JSON:
        if self.found is not None:
            self.found.append(item)
        return MASK

    def is_named(self, name: str) -> bool:
        plain, secret = _normalized(name)
        return secret or plain in self.names or any(path[-1] == plain for path in self.paths)

    def _is_hidden(self, name: str, at: tuple[str, ...]) -> bool:
        plain, secret = _normalized(name)
        return secret or plain in self.names or (*at, plain) in self.paths


def _normalized(key: str) -> tuple[str, bool]:
    return _normalized_cached(key) if len(key) <= _LONGEST_KEPT else _normalized_cached.__wrapped__(key)


_LONGEST_KEPT = 64
"""The maximum length of a cached field name. Names come from contracts and models, and repeat; longer keys are data."""


@functools.lru_cache(maxsize=4096)
def _normalized_cached(key: str) -> tuple[str, bool]:
    """The normalized form of a key, and whether it indicates a secret."""
    return _plain(key), is_secret(key)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
