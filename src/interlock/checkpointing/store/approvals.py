"""The approvals table: requests for a person's decision, and the decisions."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.approvals import Approval, Decision, DecisionKind
from ...tools.canonical import JsonObject
from ...tools.ids import AuditRef, derive
from ...tools.principal import Principal, recorded_principal
from ..database import Database
from ..statements import Prepared, Row
from ..tables.workflow import approvals, decisions
from ..vault import check_place, placed
from .sql.json_text import read_json, write_json
from .sql.queries import rows_of


class ApprovalStatus(StrEnum):
    """The status of an approval."""

    REQUESTED = "requested"
    APPROVED = "approved"
    EDITED = "edited"
    """Approved with other arguments."""
    REJECTED = "rejected"
    RESPONDED = "responded"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """The proposer, or the person served, withdrew it."""
    VOID = "void"
    """Something in its binding changed; it can no longer be used."""
    USED = "used"
    """Its command was executed; it cannot be used again."""

    @property
    def is_granted(self) -> bool:
        """Whether its command may run."""
        return self in {ApprovalStatus.APPROVED, ApprovalStatus.EDITED}

    @property
    def is_closed(self) -> bool:
        """Whether it is settled, and its command neither ran nor will run."""
        return not FOLLOWS[self] and self is not ApprovalStatus.USED


FOLLOWS: dict[ApprovalStatus, frozenset[ApprovalStatus]] = {
    ApprovalStatus.REQUESTED: frozenset(
        {
            ApprovalStatus.REQUESTED,  # agreed to by one of several, escalated, or requested again
            ApprovalStatus.APPROVED,
            ApprovalStatus.EDITED,
            ApprovalStatus.REJECTED,
            ApprovalStatus.RESPONDED,
            ApprovalStatus.EXPIRED,
            ApprovalStatus.WITHDRAWN,
            ApprovalStatus.VOID,
        }
    ),
    ApprovalStatus.APPROVED: frozenset({ApprovalStatus.USED, ApprovalStatus.WITHDRAWN, ApprovalStatus.VOID}),
    ApprovalStatus.EDITED: frozenset({ApprovalStatus.USED, ApprovalStatus.WITHDRAWN, ApprovalStatus.VOID}),
    ApprovalStatus.REJECTED: frozenset(),
    ApprovalStatus.RESPONDED: frozenset(),
    ApprovalStatus.EXPIRED: frozenset(),
    ApprovalStatus.WITHDRAWN: frozenset(),
    ApprovalStatus.VOID: frozenset(),
    ApprovalStatus.USED: frozenset(),
}
"""The permitted transitions between statuses; every other one is an error."""


@dataclass(frozen=True)
class ApprovalRequest:
    """One request for a decision, as stored in its row."""

    approval_id: str
    workflow_id: str
    tenant: str
    idempotency_key: str
    workflow: str
    tool: str
    tool_version: int
    arguments: JsonObject
    """As they were proposed."""
    edited_arguments: JsonObject | None
    """The arguments as an approver edited them; None if nobody did."""
    digest: str
    state: str
    revision: int
    shown: JsonObject
    """What the approver sees in addition to the arguments: preview, reasons, and the original rule."""
    rule: Approval
    """The current rule. It differs from the original one after an escalation, or once the first stage has agreed."""
    status: ApprovalStatus
    message: str | None
    requester: Principal
    message_key: str
    thread_id: str | None
    interrupt_id: str | None
    """The interrupt of the graph that waits for the decision; None if no graph waits, or once it has resumed after the decision."""
    answers: int
    """The number of answers of the interrupt's task that are processed."""
    requested_at: int
    expires_at: int | None
    remind_at: int | None
    """When the deciders are reminded next."""
    decided_at: int | None
    used_at: int | None
    settled_at: int | None = None
    """When it stopped being requested for the first time."""

    @property
    def effective_arguments(self) -> JsonObject:
        """The arguments that the command runs with: as edited, otherwise as proposed."""
        return self.arguments if self.edited_arguments is None else self.edited_arguments

    @property
    def is_at_the_door(self) -> bool:
        """Whether no graph waits for it: a granted call is executed by `instances.proposal` or the tick."""
        return self.interrupt_id is None and self.thread_id is None

    @property
    def first_rule(self) -> Approval:
        """The rule of the request, before any escalation."""
        return _rule(write_json(self.shown["rule"]))

    def is_due(self, now: int) -> bool:
        """Whether it is undecided and its deadline has passed."""
        return self.status is ApprovalStatus.REQUESTED and self.expires_at is not None and now >= self.expires_at


@dataclass(frozen=True)
class DecisionRow:
    """One recorded decision."""

    number: int
    kind: DecisionKind
    principal: Principal
    on_behalf_of: str | None
    """The person whose delegate decided; None if they decided for themselves."""
    arguments: JsonObject | None
    message: str | None
    decided_at: int


@dataclass(frozen=True)
class Standing:
    """The progress of an approval by several people."""

    decisions: int
    """The number of decisions so far."""
    agreed: tuple[str, ...]
    """Who agreed, at the current stage, to the arguments that would run now."""
    before: tuple[tuple[str, ...], ...] = ()
    """Who agreed to them at each of the earlier stages."""
    represented: frozenset[str] = frozenset()
    """The people on whose behalf somebody else agreed to them, at any stage."""

    @property
    def taken(self) -> frozenset[str]:
        """Everyone who agreed or was represented, at any stage; nobody agrees twice, neither in person nor by a delegate."""
        return self.represented.union(self.agreed, *self.before)

    @property
    def stage(self) -> int:
        """The number of completed stages."""
        return len(self.before)


_COLUMNS = [column.name for column in approvals.columns]
_CHANGING = (
    "edited_arguments", "digest", "shown", "rule", "status", "message", "interrupt_id", "answers", "expires_at", "remind_at",
    "decided_at", "used_at", "settled_at",
)  # fmt: skip
_by_key = Prepared(
    sa.select(approvals).where(
        approvals.c.workflow_id == sa.bindparam("workflow_id"),
        approvals.c.idempotency_key == sa.bindparam("idempotency_key"),
    )
)
_by_id = Prepared(sa.select(approvals).where(approvals.c.approval_id == sa.bindparam("approval_id")))
_insert = Prepared(sa.insert(approvals))
_update = Prepared(
    sa.update(approvals)
    .where(approvals.c.approval_id == sa.bindparam("by_approval_id"), approvals.c.status == sa.bindparam("by_status"))
    .values({name: sa.bindparam(name) for name in _CHANGING})
)
_count_answer = Prepared(
    sa.update(approvals)
    .where(approvals.c.approval_id == sa.bindparam("by_approval_id"))
    .values(answers=sa.bindparam("answers"))
)
_insert_decision = Prepared(sa.insert(decisions))
_decisions = Prepared(
    sa.select(
        decisions.c.number,
        decisions.c.kind,
        decisions.c.principal,
        decisions.c.on_behalf_of,
        decisions.c.arguments,
        decisions.c.message,
        decisions.c.decided_at,
    )
    .where(decisions.c.approval_id == sa.bindparam("approval_id"))
    .order_by(decisions.c.number)
)


def asked_ref(approval_id: str) -> AuditRef:
    """The reference of a request's audit record."""
    return AuditRef(derive("audit", "asked", approval_id))


def load(connection: Connection, workflow_id: str, key: str) -> ApprovalRequest | None:
    """Read the approval of the proposal with this idempotency key."""
    return _one(_by_key.first(connection, {"workflow_id": workflow_id, "idempotency_key": key}))


def look_up(database: Database, workflow_id: str, key: str) -> ApprovalRequest | None:
    """As `load`, in its own transaction."""
    found = rows_of(database, _by_key, {"workflow_id": workflow_id, "idempotency_key": key})
    return from_row(found[0]) if found else None


def load_by_id(connection: Connection, approval_id: str) -> ApprovalRequest | None:
    """Read an approval by its own id; None if there is none, or if the text cannot be an id."""
    if not isinstance(approval_id, str) or not (approval_id.isascii() and approval_id.isprintable()):
        return None  # databases refuse some texts with errors of their own
    return _one(_by_id.first(connection, {"approval_id": approval_id}))


def insert(connection: Connection, approval: ApprovalRequest) -> None:
    """Write a new request."""
    _insert.execute(connection, _values(approval))


def update(connection: Connection, before: ApprovalRequest, after: ApprovalRequest) -> bool:
    """Write the changes of a request, if its status is still that of `before`.

    Raises:
        ValueError: The status may not change in this way; a defect of Interlock.
    """
    if after.status not in FOLLOWS[before.status]:
        raise ValueError(f"an approval that is {before.status} cannot become {after.status}")
    values = _values(after)
    if before.status is ApprovalStatus.REQUESTED and after.status is not ApprovalStatus.REQUESTED:
        values["settled_at"] = after.settled_at if after.settled_at is not None else after.decided_at
    parameters = {name: values[name] for name in _CHANGING}
    parameters |= {"by_approval_id": before.approval_id, "by_status": before.status.value}
    return _update.execute(connection, parameters) == 1


def count_answer(connection: Connection, approval_id: str, number: int) -> None:
    """Record how many answers of the interrupt's task are processed, so that none is processed again."""
    _count_answer.execute(connection, {"by_approval_id": approval_id, "answers": number})


def taken(connection: Connection, approval_id: str) -> list[DecisionRow]:
    """Return the decisions on an approval, in order."""
    return [
        DecisionRow(
            number=number,
            kind=DecisionKind(kind),
            principal=recorded_principal(read_json(principal)),
            on_behalf_of=on_behalf_of,
            arguments=None if arguments is None else read_json(arguments),
            message=message,
            decided_at=decided_at,
        )
        for number, kind, principal, on_behalf_of, arguments, message, decided_at in _decided(connection, approval_id)
    ]


def _decided(connection: Connection, approval_id: str) -> Iterator[Row]:
    for row in _decisions.all(connection, {"approval_id": approval_id}):
        number, _, _, _, arguments, message, _ = row
        named = {"approval_id": approval_id, "number": number}
        check_place(decisions, {**named, "arguments": arguments, "message": message})
        yield row


def standing(connection: Connection, approval: ApprovalRequest) -> Standing:
    """The progress of an approval: who agreed to exactly what would run now."""
    decided = taken(connection, approval.approval_id)
    stages = approval.first_rule.stages
    stage = len(stages) - len(approval.rule.stages)
    last_edit = max((number for number, one in enumerate(decided) if one.kind is DecisionKind.EDIT), default=0)
    counted = [one for one in decided[last_edit:] if one.kind.agrees]
    represented = frozenset(one.on_behalf_of for one in counted if one.on_behalf_of is not None)
    agreeing = [one.principal.id for one in counted]
    before: list[tuple[str, ...]] = []
    for one in stages[:stage]:
        before.append(tuple(agreeing[: one.count]))
        del agreeing[: one.count]
    return Standing(len(decided), tuple(agreeing), tuple(before), represented)


def settle(
    connection: Connection,
    approval: ApprovalRequest,
    decision: Decision,
    by: Principal,
    *,
    now: int,
    standing: Standing,
    on_behalf_of: str | None = None,
) -> ApprovalRequest | None:
    """Write one person's decision.

    Args:
        now: Microseconds since 1970 UTC.
        standing: The progress before this decision.
        on_behalf_of: The person whose delegate decides.

    Returns:
        The approval after the decision, still requested if more people must agree; None if somebody else settled it first.
    """
    edited = approval.edited_arguments
    agreed = len(standing.agreed)
    if decision.kind is DecisionKind.EDIT:
        edited, agreed = decision.arguments, 0  # those before agreed to something else
    rule, expires_at, remind_at = approval.rule, approval.expires_at, approval.remind_at
    if decision.kind is DecisionKind.REJECT:
        status = ApprovalStatus.REJECTED
    elif decision.kind is DecisionKind.RESPOND:
        status = ApprovalStatus.RESPONDED
    elif agreed + 1 < rule.count:
        status = ApprovalStatus.REQUESTED
    elif rule.then is not None:
        status, rule = ApprovalStatus.REQUESTED, rule.then
        expires_at, remind_at = rule.due(now), rule.reminder(now)
    else:
        status = ApprovalStatus.APPROVED if edited is None else ApprovalStatus.EDITED
    after = replace(
        approval,
        status=status,
        rule=rule,
        expires_at=expires_at,
        remind_at=remind_at,
        edited_arguments=edited,
        message=decision.message,
        decided_at=None if status is ApprovalStatus.REQUESTED else now,
    )
    if not update(connection, approval, after):
        return None
    _insert_decision.execute(
        connection,
        placed(
            decisions,
            {
                "approval_id": approval.approval_id,
                "number": standing.decisions + 1,
                "kind": decision.kind.value,
                "principal_id": by.id,
                "principal": write_json(by.to_json()),
                "on_behalf_of": on_behalf_of,
                "arguments": None if decision.arguments is None else write_json(decision.arguments),
                "message": decision.message,
                "decided_at": now,
            },
        ),
    )
    return after


@functools.lru_cache(maxsize=256)
def _rule(text: str) -> Approval:
    """A rule, which never changes, from its column: every step of an approval reads it several times."""
    return Approval.from_json(read_json(text))


def from_row(row: Any) -> ApprovalRequest:
    """Build an approval from the columns of its row, in the order of the table."""
    values = dict(zip(_COLUMNS, row, strict=False))
    check_place(approvals, values)
    for name in ("arguments", "edited_arguments", "shown"):
        values[name] = None if values[name] is None else read_json(values[name])
    values["rule"] = _rule(values["rule"])
    values["status"] = ApprovalStatus(values["status"])
    values["requester"] = recorded_principal(read_json(values["requester"]))
    return ApprovalRequest(**values)


def _one(row: Any) -> ApprovalRequest | None:
    return None if row is None else from_row(row)


def _values(approval: ApprovalRequest) -> dict[str, Any]:
    values = dict(approval.__dict__)
    for name in ("arguments", "edited_arguments", "shown"):
        values[name] = None if values[name] is None else write_json(values[name])
    values["rule"] = write_json(approval.rule.to_json())
    values["status"] = approval.status.value
    values["requester"] = write_json(approval.requester.to_json())
    return placed(approvals, values)
