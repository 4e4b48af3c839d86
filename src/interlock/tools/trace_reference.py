"""Where in a trace the work in progress stands, for whatever records it; set by `interlock.tracing`, read by everything else."""

from contextvars import ContextVar

from .canonical import JsonObject

current_trace: ContextVar[JsonObject | None] = ContextVar("interlock_current_trace", default=None)
"""The trace reference of the run in progress; audit records and proposals keep it. None where nothing is traced."""

__all__ = ["current_trace"]
