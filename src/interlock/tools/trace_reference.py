"""The trace reference of the current run; `interlock.tracing` sets it, and code that records something reads it."""

from contextvars import ContextVar

from .canonical import JsonObject

current_trace: ContextVar[JsonObject | None] = ContextVar("interlock_current_trace", default=None)
"""The trace reference of the current run, for audit records and proposals. None without tracing."""

__all__ = ["current_trace"]
