"""What tests of contracts share: a context to call with, and what is wrong with arguments."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.tools import (
    AuditRef,
    IdempotencyKey,
    InvalidArguments,
    ToolContext,
    ToolContract,
    ToolKind,
    TraceId,
    WorkflowId,
)


def context(kind: ToolKind = ToolKind.COMMAND, *, state: str = "open", **more: Any) -> ToolContext[Any]:
    return ToolContext(
        kind=kind,
        workflow_id=WorkflowId("wf_1"),
        state=state,
        revision=1,
        trace_id=TraceId("trace_1"),
        audit_ref=AuditRef("audit_1"),
        idempotency_key=IdempotencyKey("key_1"),
        **more,
    )


def lookup(order_id: str) -> str:
    """Look up one order."""
    return order_id


def problems(contract: ToolContract, arguments: Any) -> dict[str, str]:
    with pytest.raises(InvalidArguments) as caught:
        contract.parse(arguments)
    assert caught.value.code == "invalid_arguments"
    assert caught.value.tool == contract.name
    return {problem["field"]: problem["problem"] for problem in caught.value.problems}
