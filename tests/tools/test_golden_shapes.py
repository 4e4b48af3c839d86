"""The shapes on the wire, exactly as the design prints them."""

import datetime as dt

import pytest
from pydantic import BaseModel

from interlock.tools import (
    AuditRef,
    CommandResult,
    ContractShape,
    ErrorBody,
    ErrorCode,
    ErrorResult,
    Event,
    EventEnvelope,
    EventId,
    InstanceSnapshot,
    Pending,
    PendingDecision,
    ReadResult,
    ToolContext,
    TraceId,
    WorkflowId,
    command,
)


class Assignment(BaseModel):
    case_id: str
    queue_id: str


def queue_is_open(queue_id: str) -> bool:
    """The queue is open."""
    return queue_id != "closed"


@command("case.assign", version=2, effect="transactional", check=queue_is_open)
def assign_case(case_id: str, queue_id: str, ctx: ToolContext, reason: str | None = None) -> Assignment:
    """Assign a case to an eligible agent queue."""
    return Assignment(case_id=case_id, queue_id=queue_id)


INPUT_SCHEMA = {
    "type": "object",
    "properties": {"caseId": {"type": "string"}, "queueId": {"type": "string"}, "reason": {"type": "string"}},
    "required": ["caseId", "queueId"],
}
OFFERED_SCHEMA = {
    "type": "object",
    "properties": {
        "caseId": {"type": "string"},
        "queueId": {"type": "string"},
        "reason": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    },
    "required": ["caseId", "queueId"],
    "additionalProperties": False,
}
"""The same arguments, and all that is enforced of them: null for an optional one is taken, an unknown key is not."""


def test_the_contract_of_case_assign() -> None:
    assert assign_case.to_wire().to_json() == {
        "name": "case.assign",
        "version": 2,
        "kind": "command",
        "description": "Assign a case to an eligible agent queue.",
        "inputSchema": INPUT_SCHEMA,
        "outputSchema": {
            "type": "object",
            "properties": {"caseId": {"type": "string"}, "queueId": {"type": "string"}},
            "required": ["caseId", "queueId"],
        },
        "annotations": {
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": False,
            "openWorldHint": False,
        },
    }


def test_what_a_chat_model_is_bound_to() -> None:
    assert assign_case.tool_definition() == {
        "type": "function",
        "function": {
            "name": "case_assign",
            "description": "Assign a case to an eligible agent queue.",
            "parameters": OFFERED_SCHEMA,
        },
    }
    assert assign_case.tool_definition(use_wire_name=False)["function"]["name"] == "case.assign"


def test_the_result_of_a_command() -> None:
    result = CommandResult(
        workflow_id=WorkflowId("wf_723"),
        previous_state="validated",
        current_state="queued",
        revision=4,
        next_allowed_tools=("queue.status", "queue.reassign"),
        audit_ref=AuditRef("audit_99ad"),
        output={"caseId": "77"},
    )

    assert result.to_json() == {
        "ok": True,
        "workflowId": "wf_723",
        "previousState": "validated",
        "currentState": "queued",
        "revision": 4,
        "nextAllowedTools": ["queue.status", "queue.reassign"],
        "auditRef": "audit_99ad",
        "output": {"caseId": "77"},
    }
    assert CommandResult.model_validate(result.to_json()) == result


def test_only_a_replayed_result_says_that_it_is_one() -> None:
    result = CommandResult(
        workflow_id=WorkflowId("wf_723"),
        previous_state="validated",
        current_state="queued",
        revision=4,
        next_allowed_tools=(),
        audit_ref=AuditRef("audit_99ad"),
        replayed=True,
    )

    assert result.to_json()["replayed"] is True
    assert "replayed" not in result.model_copy(update={"replayed": False}).to_json()


def test_an_error() -> None:
    result = ErrorResult(
        workflow_id=WorkflowId("wf_723"),
        current_state="queued",
        revision=4,
        next_allowed_tools=("queue.status",),
        audit_ref=AuditRef("audit_99ad"),
        error=ErrorBody(code=ErrorCode.TOOL_NOT_ALLOWED, message="Choose one of the next allowed tools."),
    )

    assert result.to_json() == {
        "ok": False,
        "workflowId": "wf_723",
        "currentState": "queued",
        "revision": 4,
        "nextAllowedTools": ["queue.status"],
        "auditRef": "audit_99ad",
        "error": {
            "code": "tool_not_allowed",
            "message": "Choose one of the next allowed tools.",
            "retryable": False,
            "details": {},
        },
    }


def test_the_result_of_a_read() -> None:
    result = ReadResult(
        workflow_id=WorkflowId("wf_723"),
        current_state="queued",
        revision=4,
        next_allowed_tools=("queue.status",),
        audit_ref=AuditRef("audit_99ad"),
        output=[1, 2],
    )

    assert result.to_json() == {
        "schemaVersion": 1,
        "ok": True,
        "workflowId": "wf_723",
        "currentState": "queued",
        "revision": 4,
        "nextAllowedTools": ["queue.status"],
        "auditRef": "audit_99ad",
        "output": [1, 2],
    }


def test_what_waits_for_a_decision() -> None:
    result = Pending(
        workflow_id=WorkflowId("wf_723"),
        current_state="queued",
        revision=4,
        next_allowed_tools=("queue.status",),
        audit_ref=AuditRef("audit_99ad"),
        pending=PendingDecision(proposal_id="apr_1", kind="approval", decided_by="somebody with the role 'supervisor'"),
    )

    assert result.to_json() == {
        "ok": None,
        "workflowId": "wf_723",
        "currentState": "queued",
        "revision": 4,
        "nextAllowedTools": ["queue.status"],
        "auditRef": "audit_99ad",
        "pending": {
            "proposalId": "apr_1",
            "kind": "approval",
            "decidedBy": "somebody with the role 'supervisor'",
            "deadline": None,
            "preview": None,
            "reasons": [],
        },
    }


def test_the_snapshot_of_an_instance() -> None:
    snapshot = InstanceSnapshot(
        workflow_id=WorkflowId("wf_723"),
        workflow="case",
        version=1,
        state="queued",
        revision=3,
        data={"queueId": "q-1"},
        next_allowed_tools=("queue.status",),
        tenant="default",
        trace_id=TraceId("trace_1"),
    )

    assert snapshot.to_json() == {
        "schemaVersion": 1,
        "workflowId": "wf_723",
        "workflow": "case",
        "version": 1,
        "state": "queued",
        "revision": 3,
        "data": {"queueId": "q-1"},
        "nextAllowedTools": ["queue.status"],
        "pendingApprovals": [],
        "waits": [],
        "tenant": "default",
        "traceId": "trace_1",
    }


class MessageRequested(Event, name="engagement.message.requested", version=1):
    channel: str
    template_id: str


def test_an_event_in_its_envelope() -> None:
    envelope = EventEnvelope.wrap(
        MessageRequested(channel="sms", template_id="welcome"),
        event_id=EventId("evt_1"),
        occurred_at=dt.datetime(2026, 3, 1, 10, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        trace_id=TraceId("trace_1"),
        workflow_id=WorkflowId("wf_723"),
        metadata={"requestedBy": "ada"},
    )

    assert envelope.to_json() == {
        "eventName": "engagement.message.requested.v1",
        "eventId": "evt_1",
        "occurredAt": "2026-03-01T09:30:00.000000Z",
        "traceId": "trace_1",
        "workflowId": "wf_723",
        "channel": "sms",
        "templateId": "welcome",
        "metadata": {"requestedBy": "ada"},
    }
    assert EventEnvelope.from_json(envelope.to_json()).to_json() == envelope.to_json()


@pytest.mark.parametrize("shape", [ContractShape, CommandResult, ReadResult, ErrorResult, InstanceSnapshot])
def test_every_shape_has_a_json_schema_in_camel_case_and_is_frozen(shape: type[BaseModel]) -> None:
    properties = shape.model_json_schema()["properties"]

    assert properties
    assert not any("_" in name for name in properties)
    assert shape.model_config["frozen"] is True
