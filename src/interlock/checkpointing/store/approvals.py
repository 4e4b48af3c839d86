"""Approvals in SQL: requested, decided by one or more people, expired, void, used once."""

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.approvals import Approval, Decision, DecisionKind
from ...tools.canonical import JsonObject
from ...tools.principal import Principal
from ..statements import Prepared
from ..store_tables import approvals, decisions


class ApprovalStatus(StrEnum):
    """Where an approval stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    EDITED = "edited"
    """Approved with other arguments."""
    REJECTED = "rejected"
    RESPONDED = "responded"
    EXPIRED = "expired"
    VOID = "void"
    """What it was bound to has changed; it can no longer be used."""
    USED = "used"
    """Its command was carried out; it cannot be used again."""

    @property
    def is_granted(self) -> bool:
        """Whether the command may run on it."""
        return self in {ApprovalStatus.APPROVED, ApprovalStatus.EDITED}


@dataclass(frozen=True)
class ApprovalRequest:
    """One request for a decision, as its row has it."""

    approval_id: str
    workflow_id: str
    tenant: str
    idempotency_key: str
    workflow: str
    tool: str
    tool_version: int
    arguments: JsonObject
    edited_arguments: JsonObject | None
    digest: str
    state: str
    revision: int
    shown: JsonObject
    rule: Approval
    status: ApprovalStatus
    message: str | None
    requester: Principal
    message_key: str
    thread_id: str | None
    interrupt_id: str | None
    answers: int
    """How many answers of the interrupt's task were taken already."""
    requested_at: int
    expires_at: int | None
    decided_at: int | None
    used_at: int | None

    @property
    def effective_arguments(self) -> JsonObject:
        """The arguments that the command runs with: as shown, or as edited."""
        return self.arguments if self.edited_arguments is None else self.edited_arguments


_COLUMNS = [column.name for column in approvals.columns]
_CHANGING = (
    "edited_arguments",
    "digest",
    "shown",
    "rule",
    "status",
    "message",
    "interrupt_id",
    "answers",
    "expires_at",
    "decided_at",
    "used_at",
)
_by_key = Prepared(
    sa.select(approvals).where(
        approvals.c.workflow_id == sa.bindparam("workflow_id"),
        approvals.c.idempotency_key == sa.bindparam("idempotency_key"),
    )
)
_by_id = Prepared(sa.select(approvals).where(approvals.c.approval_id == sa.bindparam("approval_id")))
_by_interrupt = Prepared(
    sa.select(approvals)
    .where(approvals.c.interrupt_id == sa.bindparam("interrupt_id"))
    .order_by(approvals.c.requested_at.desc())
)
_insert = Prepared(sa.insert(approvals))
_update = Prepared(
    sa.update(approvals)
    .where(approvals.c.approval_id == sa.bindparam("by_approval_id"), approvals.c.status == sa.bindparam("by_status"))
    .values({name: sa.bindparam(name) for name in _CHANGING})
)
_insert_decision = Prepared(sa.insert(decisions))
_deciders = Prepared(
    sa.select(decisions.c.principal_id)
    .where(decisions.c.approval_id == sa.bindparam("approval_id"))
    .order_by(decisions.c.number)
)


def load(connection: Connection, workflow_id: str, key: str) -> ApprovalRequest | None:
    """Read the approval of the proposal with this idempotency key."""
    return _one(_by_key.run(connection, {"workflow_id": workflow_id, "idempotency_key": key}).first())


def load_by_id(connection: Connection, approval_id: str) -> ApprovalRequest | None:
    """Read an approval by its own id."""
    return _one(_by_id.run(connection, {"approval_id": approval_id}).first())


def load_by_interrupt(connection: Connection, interrupt_id: str) -> ApprovalRequest | None:
    """Read the approval that waits behind one of LangGraph's interrupts."""
    return _one(_by_interrupt.run(connection, {"interrupt_id": interrupt_id}).first())


def insert(connection: Connection, approval: ApprovalRequest) -> None:
    """Write a new request."""
    _insert.run(connection, _values(approval))


def update(connection: Connection, before: ApprovalRequest, after: ApprovalRequest) -> bool:
    """Write what changed of a request, provided that its status is still that of `before`."""
    values = _values(after)
    parameters = {name: values[name] for name in _CHANGING}
    parameters |= {"by_approval_id": before.approval_id, "by_status": before.status.value}
    return _update.run(connection, parameters).rowcount == 1


def agreed(connection: Connection, approval_id: str) -> list[str]:
    """The ids of those who have agreed so far, in their order."""
    return [row[0] for row in _deciders.run(connection, {"approval_id": approval_id})]


def settle(
    connection: Connection,
    approval: ApprovalRequest,
    decision: Decision,
    by: Principal,
    *,
    earlier: list[str],
    now: int,
) -> ApprovalRequest | None:
    """Write one person's decision.

    Args:
        earlier: Those who already agreed.
        now: Microseconds since 1970 UTC.

    Returns:
        The approval as it stands now, still requested when more people must agree; None when somebody else settled it first.
    """
    agrees = decision.kind in {DecisionKind.APPROVE, DecisionKind.EDIT}
    status = {
        DecisionKind.APPROVE: ApprovalStatus.APPROVED,
        DecisionKind.EDIT: ApprovalStatus.EDITED,
        DecisionKind.REJECT: ApprovalStatus.REJECTED,
        DecisionKind.RESPOND: ApprovalStatus.RESPONDED,
    }[decision.kind]
    edited = decision.arguments if decision.kind is DecisionKind.EDIT else approval.edited_arguments
    waits = agrees and len(earlier) + 1 < approval.rule.count
    if not waits and status is ApprovalStatus.APPROVED and edited is not None:
        status = ApprovalStatus.EDITED
    after = replace(
        approval,
        status=ApprovalStatus.REQUESTED if waits else status,
        edited_arguments=edited,
        message=decision.message,
        decided_at=None if waits else now,
    )
    if not update(connection, approval, after):
        return None
    _insert_decision.run(
        connection,
        {
            "approval_id": approval.approval_id,
            "number": len(earlier) + 1,
            "kind": decision.kind.value,
            "principal_id": by.id,
            "principal": json.dumps(by.to_json(), ensure_ascii=False),
            "arguments": None if decision.arguments is None else json.dumps(decision.arguments, ensure_ascii=False),
            "message": decision.message,
            "decided_at": now,
        },
    )
    return after


def pending(connection: Connection, workflow_id: str) -> list[ApprovalRequest]:
    """The requests of one instance that nobody has decided yet, oldest first."""
    statement = (
        sa.select(approvals)
        .where(approvals.c.workflow_id == workflow_id, approvals.c.status == ApprovalStatus.REQUESTED.value)
        .order_by(approvals.c.requested_at, approvals.c.approval_id)
    )
    return [from_row(row) for row in connection.execute(statement)]


def from_row(row: Any) -> ApprovalRequest:
    """Build an approval from the columns of its row, in the order of the table."""
    values = dict(zip(_COLUMNS, row, strict=False))
    for name in ("arguments", "edited_arguments", "shown"):
        values[name] = None if values[name] is None else json.loads(values[name])
    values["rule"] = Approval.from_json(json.loads(values["rule"]))
    values["status"] = ApprovalStatus(values["status"])
    values["requester"] = Principal.from_json(json.loads(values["requester"]))
    return ApprovalRequest(**values)


def _one(row: Any) -> ApprovalRequest | None:
    return None if row is None else from_row(row)


def _values(approval: ApprovalRequest) -> dict[str, Any]:
    values = dict(approval.__dict__)
    for name in ("arguments", "edited_arguments", "shown"):
        values[name] = None if values[name] is None else json.dumps(values[name], ensure_ascii=False)
    values["rule"] = json.dumps(approval.rule.to_json())
    values["status"] = approval.status.value
    values["requester"] = json.dumps(approval.requester.to_json(), ensure_ascii=False)
    return values
