"""Work that somebody else's trace leads to: a caller who says where in it they stand."""

import contextlib
import re
from collections.abc import Iterator

from ..tools.trace_reference import current_trace
from . import telemetry
from .reference import TraceReference

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@contextlib.contextmanager
def continuing(traceparent: object) -> Iterator[None]:
    """While work is done for a caller: records that are written meanwhile carry the caller's trace, and spans are below theirs.

    Args:
        traceparent: As the caller said it, in the form of W3C's header; anything else is left out. It says nothing of who calls.
    """
    if not isinstance(traceparent, str) or not _TRACEPARENT.fullmatch(traceparent):
        yield
        return
    reference = TraceReference(traceparent=traceparent)
    token = current_trace.set(reference.to_json())
    try:
        with telemetry.below(reference):
            yield
    finally:
        current_trace.reset(token)


__all__ = ["continuing"]
