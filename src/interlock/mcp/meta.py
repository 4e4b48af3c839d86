"""The metadata of a request (`_meta`), under Interlock's own names."""

from ..tools.canonical import JsonObject
from ..tools.context import ToolContext
from ..tools.trace_reference import current_trace

PREFIX = "io.github.langgraph-interlock/"
"""The project's own namespace, as in the MCP registry. Keys of `_meta` are a prefix, a slash and a name."""
IDEMPOTENCY_KEY = f"{PREFIX}idempotencyKey"
"""The idempotency key, which is the same at every attempt of one call."""
WORKFLOW_ID = f"{PREFIX}workflowId"
AUDIT_REF = f"{PREFIX}auditRef"
"""The id of the audit record of the attempt."""
TRACEPARENT = "traceparent"
"""W3C's trace context, whose name the protocol reserves."""


def meta_of(context: ToolContext) -> JsonObject:
    """The `_meta` of a call, with which a server can recognize a repeated call, and a person can find its record.

    Args:
        context: The context of the attempt.
    """
    meta: JsonObject = {
        IDEMPOTENCY_KEY: str(context.idempotency_key),
        WORKFLOW_ID: str(context.workflow_id),
        AUDIT_REF: str(context.audit_ref),
    }
    traced = (current_trace.get() or {}).get("traceparent")
    if traced:
        meta[TRACEPARENT] = traced
    return meta


__all__ = ["AUDIT_REF", "IDEMPOTENCY_KEY", "PREFIX", "TRACEPARENT", "WORKFLOW_ID", "meta_of"]
