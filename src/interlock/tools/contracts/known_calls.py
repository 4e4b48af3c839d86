"""Which arguments a contract has read before, by their digests alone: a call is bound several times on its way to the record."""

import hashlib

_MOST = 256
"""So many are remembered for each contract."""


class KnownCalls:
    """The fingerprints of calls whose arguments were in full, by a digest of these; the arguments themselves are not kept."""

    def __init__(self) -> None:
        self._fingerprints: dict[bytes, str] = {}

    def fingerprint_of(self, packed: bytes) -> str | None:
        """The fingerprint of the call with these arguments; None where they were not read before, or were not in full."""
        return self._fingerprints.get(_digest(packed))

    def remember(self, packed: bytes, fingerprint: str) -> None:
        """Remember arguments that were read, and would be written down as they were given."""
        if len(self._fingerprints) >= _MOST:
            self._fingerprints.clear()
        self._fingerprints[_digest(packed)] = fingerprint


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=16).digest()


__all__ = ["KnownCalls"]
