"""Continues the trace of a caller."""

import contextlib
import re
from collections.abc import Iterator

from ..tools.trace_reference import current_trace
from . import telemetry
from .reference import TraceReference

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@contextlib.contextmanager
def continuing(traceparent: object) -> Iterator[None]:
    """Run the block in the caller's trace: records get its trace reference, and spans become its children.

    Args:
        traceparent: The caller's W3C header; an invalid value is ignored. It does not identify the caller.
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
