"""Makes examples for evaluations from the audit trail: a model's proposal and a person's decision."""

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..checkpointing.store.audit import AuditKind, AuditRecord
from ..checkpointing.store.workflow_store import WorkflowStore
from ..tools.canonical import JsonObject
from ..tools.events import moment_of
from .outgoing import Outgoing, default_outgoing
from .trail import reference_in

_NAMESPACE = uuid.UUID("b7b4b6f4-3a57-5b3d-9a52-6d1b9b4f9a10")


@dataclass(frozen=True)
class JudgedProposal:
    """One proposal that a person decided on."""

    workflow_id: str
    workflow: str
    tool: str
    state: str
    data: JsonObject
    """The workflow's data at the time of the proposal."""
    proposed: JsonObject
    """The arguments that the model gave."""
    decision: str
    corrected: JsonObject | None
    """The arguments after the person's edit."""
    reason: str | None
    audit_ref: str
    """The id of the decision's audit record."""
    run: str | None
    """The id of the LangSmith run that proposed it."""
    decided_at: dt.datetime

    def to_example(self, dataset_id: uuid.UUID | None = None, outgoing: Outgoing | None = None) -> Any:
        """Convert it to a `langsmith.schemas.Example`, with a deterministic id."""
        from langsmith.schemas import Example  # noqa: PLC0415 -- only evaluations need it

        mask = (outgoing or default_outgoing()).mask()
        return Example(
            id=uuid.uuid5(_NAMESPACE, self.audit_ref),
            dataset_id=dataset_id or _NAMESPACE,
            created_at=self.decided_at,
            inputs=mask.value(
                {"workflow": self.workflow, "state": self.state, "data": self.data, "tool": self.tool,
                 "arguments": self.proposed}
            ),
            outputs=mask.value(
                {"decision": self.decision, "arguments": self.corrected or self.proposed, "reason": self.reason}
            ),
            metadata={"workflow_id": self.workflow_id, "audit_ref": self.audit_ref, "run": self.run},
            source_run_id=None if self.run is None else uuid.UUID(self.run),
        )  # fmt: skip


def judged_proposals(
    store: WorkflowStore,
    *,
    workflow: str | None = None,
    tenant: str | None = None,
    decisions: tuple[str, ...] = ("edit", "reject", "respond"),
    limit: int = 1000,
) -> Iterator[JudgedProposal]:
    """The proposals that people edited or rejected, from the instances that changed last.

    Args:
        store: The workflow store.
        workflow: Only proposals of this workflow.
        tenant: Only proposals of this tenant.
        decisions: The kinds of decisions; add `approve` for proposals that were correct.
        limit: The maximum number of instances to read.

    Records whose payloads were erased are left out, because they contain nothing to learn from.
    """
    for instance in store.instances(workflow=workflow, tenant=tenant, limit=limit):
        asked: dict[str, _Asked] = {}
        state, data = "", dict[str, Any]()
        for record in store.audit(instance.workflow_id):
            payload: dict[str, Any] = dict(record.payload or {})
            state = str(payload.get("currentState") or (payload.get("state") if record.number == 1 else None) or state)
            data = payload["data"] if isinstance(payload.get("data"), dict) else data
            approval_id = str(payload.get("approvalId"))
            if record.kind is AuditKind.APPROVAL and payload:
                asked[approval_id] = _Asked(record, payload, state, data)
            elif record.kind is AuditKind.DECISION and payload.get("decision") in decisions and approval_id in asked:
                yield _judged(instance.workflow, asked[approval_id], record, payload)


@dataclass(frozen=True)
class _Asked:
    """A requested approval."""

    record: AuditRecord
    payload: dict[str, Any]
    state: str
    data: JsonObject


def _judged(workflow: str, asked: _Asked, decided: AuditRecord, answer: dict[str, Any]) -> JudgedProposal:
    proposal = (asked.payload.get("trace") or {}).get("proposal") or {}
    where = reference_in(asked.record)
    return JudgedProposal(
        workflow_id=decided.workflow_id,
        workflow=workflow,
        tool=str(decided.tool),
        state=asked.state,
        data=asked.data,
        proposed=asked.payload.get("arguments") or {},
        decision=str(answer.get("decision")),
        corrected=answer.get("arguments") if answer.get("decision") == "edit" else None,
        reason=answer.get("message"),
        audit_ref=decided.audit_ref,
        run=proposal.get("run") or (None if where is None else where.run),
        decided_at=moment_of(decided.recorded_at),
    )


__all__ = ["JudgedProposal", "judged_proposals"]
