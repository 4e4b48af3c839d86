"""Which arguments a contract has read before, by their digests alone: a call is bound several times on its way to the record."""

import hashlib
from typing import Any

import ormsgpack

from ..schemas.input import Bound

_MOST = 256
"""So many are remembered for each contract."""


class KnownCalls:
    """The fingerprints of calls whose arguments were in full, by a digest of these; the arguments themselves are not kept."""

    def __init__(self) -> None:
        self._fingerprints: dict[bytes, str] = {}

    def bound(self, parsed: Any, packed: bytes | None) -> Bound | None:
        """The call with these arguments; None where they were not read before, or were not in full.

        Args:
            parsed: What was read of them now.
            packed: The arguments as bytes, where they are plain data.
        """
        if packed is None or (fingerprint := self._fingerprints.get(_digest(packed))) is None:
            return None
        return Bound(parsed, ormsgpack.unpackb(packed), fingerprint)

    def keep(self, packed: bytes, bound: Bound) -> Bound:
        """Remember a call whose arguments are in full as they were given: they would be read and written again as they were."""
        if len(self._fingerprints) >= _MOST:
            self._fingerprints.clear()
        self._fingerprints[_digest(packed)] = bound.fingerprint
        return bound


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=16).digest()


__all__ = ["KnownCalls"]
