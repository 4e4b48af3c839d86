"""Remembers, by digests only, which arguments a contract has parsed before, because a call is bound several times before it is recorded."""

import hashlib
from typing import Any

import ormsgpack

from ..schemas.input import Bound

_MOST = 256
"""The maximum number of remembered calls per contract."""


class KnownCalls:
    """The fingerprints of calls with complete arguments, by a digest of the arguments, which are not stored."""

    def __init__(self) -> None:
        self._fingerprints: dict[bytes, str] = {}

    def bound(self, parsed: Any, packed: bytes | None) -> Bound | None:
        """The bound call with these arguments; None if they were not parsed before, or were incomplete.

        Args:
            parsed: The parsed arguments.
            packed: The arguments as bytes, if they are plain data.
        """
        if packed is None or (fingerprint := self._fingerprints.get(_digest(packed))) is None:
            return None
        return Bound(parsed, ormsgpack.unpackb(packed), fingerprint)

    def keep(self, packed: bytes, bound: Bound) -> Bound:
        """Remember a call whose given arguments are complete, so that parsing and serializing them returns them unchanged."""
        if len(self._fingerprints) >= _MOST:
            self._fingerprints.clear()
        self._fingerprints[_digest(packed)] = bound.fingerprint
        return bound


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=16).digest()


__all__ = ["KnownCalls"]
