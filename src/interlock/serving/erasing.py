"""Erases the payloads of an instance's audit trail or its conversation, by an operator and with a recorded reason."""

from typing import Literal

from ..checkpointing import SQLCheckpointer
from ..checkpointing.reasons import checked_reason
from ..checkpointing.store import AuditKind
from ..tools.errors import InputError
from .access import operators_only, seen
from .context import Service
from .identity import Caller
from .workflows import Found

What = Literal["payloads", "conversation"]


def erase(service: Service, workflow_id: str, what: What, reason: str, caller: Caller) -> int:
    """Erase the payloads of the audit trail, or the conversation. Blocking.

    Returns:
        The number of erased records or messages.

    Raises:
        PrincipalError: The caller is not an operator.
        InputError: The conversation is not stored by Interlock's checkpointer.
    """
    operators_only(caller, "erasing")
    found = seen(service, workflow_id, caller)
    store = found.graph.engine.store
    if what == "payloads":
        return store.erase_audit(workflow_id, by=caller.principal, reason=reason)
    saver, thread = found.graph.checkpointer, found.instance.thread_id
    if not isinstance(saver, SQLCheckpointer) or thread is None:
        raise InputError(
            "This workflow's conversation is not kept by Interlock's checkpointer. Nothing was erased; erase it where it is.",
            code="no_conversation",
        )
    _record(found, checked_reason(reason, "The reason for erasing", otherwise="Nothing was erased."), caller)
    return saver.erase_conversation(thread)


def _record(found: Found, reason: str, caller: Caller) -> None:
    """Record the erasure before it happens, so that none is unrecorded; a repetition after a crash leaves two records."""
    store = found.graph.engine.store
    with store.write() as connection:
        unit = store.unit(connection, found.instance.workflow_id)
        if unit is not None:
            unit.record(AuditKind.ERASURE, caller.principal, {"numbers": [], "conversation": True, "reason": reason})
            unit.flush()


__all__ = ["What", "erase"]
