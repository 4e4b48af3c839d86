"""Identifiers: a type for each, a function that mints a new one, and a function that derives a stable one.

Both return ids such as ``audit_06f1q3…``: a prefix for the kind, an underscore, and 26 characters of Crockford's
base 32 in lower case. Ids need no escaping in URLs, and compare equal under case-sensitive and case-insensitive
collations.
"""

import functools
import hashlib
import re
import secrets
import threading
import time
from typing import NewType

from .canonical import JSON, canonical_json

WorkflowId = NewType("WorkflowId", str)
"""One workflow instance."""
AuditRef = NewType("AuditRef", str)
"""One audit record."""
IdempotencyKey = NewType("IdempotencyKey", str)
"""Two attempts with the same key are the same command; unique within a workflow instance."""
TraceId = NewType("TraceId", str)
"""Correlates every hop of one instance."""
ApprovalId = NewType("ApprovalId", str)
"""One request for a decision."""
EventId = NewType("EventId", str)
"""One event; the same at every redelivery."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26
_RANDOM_BITS = _LENGTH * 5 - 52  # 52 bits count microseconds until the year 2112
_PREFIX = re.compile(r"[a-z][a-z0-9]*")
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


class _Ticks:
    """Microseconds since the epoch, unique within one process, even when the clock does not advance or steps
    back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        with self._lock:
            self._last = max(time.time_ns() // 1000, self._last + 1)
            return self._last


_ticks = _Ticks()


def mint(prefix: str) -> str:
    """Make a new id. Ids of one process sort in the order they were minted; across processes by the clock.

    The random part is fresh for each id, so processes that were forked from each other do not collide.
    """
    number = (_ticks.next() << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    return f"{_checked(prefix)}_{_base32(number)}"


def derive(prefix: str, *parts: JSON) -> str:
    """Make the id that belongs to `parts`: the same parts give the same id, in every process and release.

    Parts are kept apart (``("a", "bc")`` is not ``("ab", "c")``) and typed (``1`` is not ``"1"``).
    """
    digest = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    return f"{_checked(prefix)}_{_base32(int.from_bytes(digest) >> (256 - _LENGTH * 5))}"


@functools.lru_cache(maxsize=256)
def _checked(prefix: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"an id prefix is lower-case letters and digits, starting with a letter; {prefix!r} is not")
    return prefix


def _base32(number: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range((_LENGTH - 2) * 5, -1, -10)])
