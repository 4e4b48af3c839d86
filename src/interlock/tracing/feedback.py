"""Sends approvers' decisions as LangSmith feedback to the runs that made the proposals.

The feedback is queued in the transaction of the decision, and a `FeedbackSender` sends it later. So a decision never waits for
LangSmith, no feedback is lost while LangSmith is down, and feedback that is sent twice is stored once.
"""

import datetime as dt
import inspect
import json
import random
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..checkpointing.statements import Prepared
from ..checkpointing.store.approvals import asked_ref
from ..checkpointing.store.audit import AuditEntry, AuditKind
from ..checkpointing.store.workflow_store import WorkflowStore
from ..checkpointing.tables.feedback import feedback
from ..checkpointing.tables.workflow import audit, instances
from ..checkpointing.vault import placed
from ..tools.canonical import JsonObject, canonical_json
from ..tools.sinks import logger_of
from ..tools.storable import described, type_name
from .outgoing import Outgoing, default_outgoing
from .reference import TraceReference

logger = logger_of("interlock.tracing")

KEY = "approval"
"""The key of the feedback in LangSmith."""
SCORES = {"approve": 1.0, "edit": 0.5, "reject": 0.0, "respond": 0.0}
"""The score of each decision: correct as proposed, correct after an edit, or wrong."""
_asked = Prepared(
    sa.select(audit.c.payload).where(
        audit.c.workflow_id == sa.bindparam("workflow_id"), audit.c.audit_ref == sa.bindparam("audit_ref")
    )
)
_NAMESPACE = uuid.UUID("3f0a1e0e-6f0b-5a0e-8b1e-6a5f3c1d9b57")
_LEASE = 60_000_000
_LONGEST_PAUSE = 300.0


class FeedbackStatus(StrEnum):
    """The status of a feedback in the queue."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    """LangSmith refused it at every attempt."""


def queue(connection: Connection, workflow_id: str, entry: AuditEntry, now: int) -> bool:
    """Queue the feedback of a decision's record, in its transaction, if the run that proposed was traced.

    Returns:
        Whether there is something to send.
    """
    approval_id = entry.payload.get("approvalId")
    if entry.kind is not AuditKind.DECISION or not isinstance(approval_id, str):
        return False
    judged = _judged(connection, workflow_id, approval_id)
    if judged is None or judged.run is None:
        return False
    decision = str(entry.payload.get("decision"))
    corrected = entry.payload.get("arguments") if decision == "edit" else None
    body: JsonObject = {
        **judged.to_json(),
        "key": KEY,
        "score": SCORES.get(decision),
        "value": decision,
        "comment": entry.payload.get("message"),
        "correction": None if corrected is None else {"arguments": corrected},
        "source": {
            "workflowId": workflow_id,
            "approvalId": approval_id,
            "auditRef": entry.audit_ref,
            "tool": entry.tool,
        },
    }
    tenant = connection.execute(sa.select(instances.c.tenant).where(instances.c.workflow_id == workflow_id)).scalar()
    row = {
        "feedback_id": str(uuid.uuid5(_NAMESPACE, entry.audit_ref)),
        "workflow_id": workflow_id,
        "tenant": tenant or "default",
        "audit_ref": entry.audit_ref,
        "body": canonical_json(body),
        "status": FeedbackStatus.PENDING.value,
        "attempts": 0,
        "next_attempt_at": now,
        "created_at": now,
    }
    connection.execute(sa.insert(feedback).values(placed(feedback, row)))
    return True


def _judged(connection: Connection, workflow_id: str, approval_id: str) -> TraceReference | None:
    """The run that made the proposal of an approval; if it is unknown, the run that requested the approval."""
    found = _asked.first(connection, {"workflow_id": workflow_id, "audit_ref": asked_ref(approval_id)})
    if found is None or found[0] is None:
        return None
    trace = json.loads(found[0]).get("trace") or {}
    return TraceReference.from_json(trace.get("proposal")) or TraceReference.from_json(trace)


@dataclass(frozen=True)
class Sent:
    """The result of one round of sending."""

    sent: int = 0
    failed: int = 0
    """The number to be retried."""
    dead: int = 0


class FeedbackSender:
    """Sends the queued feedback. Several senders may run at once: each row is claimed by one of them.

    Args:
        store: The workflow store, which has the queue.
        client: A `langsmith.Client`; created from the environment by default.
        outgoing: The masking rules for comments and corrections.
        attempts: The number of refusals after which a feedback is given up.
        first_pause: The seconds before the second attempt; each further pause is twice as long, with jitter.
    """

    def __init__(
        self,
        store: WorkflowStore,
        client: Any = None,
        *,
        outgoing: Outgoing | None = None,
        attempts: int = 8,
        first_pause: float = 1.0,
    ) -> None:
        self._store = store
        self._client = client
        self._outgoing = outgoing
        self._attempts = attempts
        self._first_pause = first_pause
        self._projects: dict[str, Any] = {}

    def send(self, limit: int = 100) -> Sent:
        """Send the feedback that is due.

        Returns:
            The numbers of this round. A failure of LangSmith is not raised: it is stored with the row, which is retried later.
        """
        with self._store.read() as connection:
            now = self._store.now(connection)
            due = connection.execute(
                sa.select(feedback)
                .where(feedback.c.status == FeedbackStatus.PENDING.value, feedback.c.next_attempt_at <= now)
                .order_by(feedback.c.next_attempt_at)
                .limit(limit)
            ).all()
        done = dict.fromkeys(FeedbackStatus, 0)
        for row in due:
            status = self._send_one(row)
            if status is not None:
                done[status] += 1
        return Sent(done[FeedbackStatus.SENT], done[FeedbackStatus.PENDING], done[FeedbackStatus.DEAD])

    def _send_one(self, row: Any) -> FeedbackStatus | None:
        with self._store.write() as connection:
            now = self._store.now(connection)
            claimed = connection.execute(
                sa.update(feedback)
                .where(
                    feedback.c.feedback_id == row.feedback_id,
                    feedback.c.attempts == row.attempts,
                    feedback.c.status == FeedbackStatus.PENDING.value,
                )
                .values(attempts=row.attempts + 1, next_attempt_at=now + _LEASE)
            ).rowcount
        if claimed != 1:
            return None  # another sender claimed it
        problem: str | None = None
        try:
            self._post(row)
        except Exception as error:
            logger.warning("feedback %s could not be sent: %s", row.feedback_id, type_name(error))
            problem = described(error)[:1000]
        gives_up = problem is not None and row.attempts + 1 >= self._attempts
        status = FeedbackStatus.SENT if problem is None else FeedbackStatus.DEAD if gives_up else FeedbackStatus.PENDING
        pause = min(_LONGEST_PAUSE, self._first_pause * 2.0 ** min(row.attempts, 20)) * random.uniform(0.5, 1.0)  # noqa: S311
        with self._store.write() as connection:
            now = self._store.now(connection)
            connection.execute(
                sa.update(feedback)
                .where(feedback.c.feedback_id == row.feedback_id)
                .values(
                    status=status.value,
                    error=problem,
                    next_attempt_at=now + int(pause * 1_000_000),
                    sent_at=now if problem is None else None,
                )
            )
        return status

    def _post(self, row: Any) -> None:
        body = json.loads(row.body)
        mask = (self._outgoing or default_outgoing()).mask()
        client = self._given_client()
        comment = body.get("comment")
        fields: dict[str, Any] = {
            "feedback_id": row.feedback_id,
            "score": body.get("score"),
            "value": body.get("value"),
            "comment": None if comment is None else mask.value({"text": comment})["text"],
            "correction": None if body.get("correction") is None else mask.value(body["correction"]),
            "source_info": body.get("source"),
            "trace_id": body.get("trace"),
            "stop_after_attempt": 1,
        }
        known = inspect.signature(client.create_feedback).parameters
        if "session_id" in known:  # later releases find the run by project and time
            fields["session_id"] = self._project(client, body.get("project"))
        if "start_time" in known:
            began = body.get("startTime")
            fields["start_time"] = None if began is None else dt.datetime.fromisoformat(began)
        client.create_feedback(body["run"], body["key"], **fields)

    def _given_client(self) -> Any:
        if self._client is None:
            from langsmith import Client  # noqa: PLC0415 -- few send feedback, and it takes a tenth of a second to import

            # Send synchronously: a row counts as sent once LangSmith has confirmed it.
            self._client = Client(auto_batch_tracing=False)
        return self._client

    def _project(self, client: Any, name: str | None) -> Any:
        wanted = name or "default"
        if wanted not in self._projects:
            self._projects[wanted] = client.read_project(project_name=wanted).id
        return self._projects[wanted]


__all__ = ["KEY", "SCORES", "FeedbackSender", "FeedbackStatus", "Sent", "queue"]
