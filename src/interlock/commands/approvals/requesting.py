"""Requests the decision that a call needs, and interprets existing requests, for calls from the graph and from outside.

A request binds the tool, the arguments, the requester, the state and the content for the approver. The answer for a closed request is
always the same.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import cast

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind, Unit
from ...checkpointing.store import approvals as approval_rows
from ...rules.denials import Denial
from ...rules.proposals import Proposal
from ...tools.approvals import Approval
from ...tools.canonical import JsonObject
from ...tools.codes import ErrorCode
from ...tools.ids import derive
from ..execution.commands import Commands, Outcome
from ..origins.explaining import origins_shown
from ..running import needed
from .binding import bind, moved_on, shown_of, void
from .deadlines import lapse
from .payload import noted


@dataclass(frozen=True)
class Overdue:
    """Nobody decided in time, and another edge has to be taken."""

    approval: ApprovalRequest


@dataclass(frozen=True)
class Asked:
    """The request was just made, so it has to be streamed once it is committed."""

    approval: ApprovalRequest


CallStatus = Asked | ApprovalRequest | Outcome | Overdue | None
"""The status of a call: its open request; its answer, if it was denied, rejected or too late; None if it may run."""


class Requests:
    """The requests for decisions on the calls of one instance.

    Args:
        commands: Judges the calls.
        thread_id: The thread whose graph requests the decision; None for a proposal from outside.
        interrupt_id: The current interrupt of the graph; None for a proposal from outside.
    """

    def __init__(self, commands: Commands, *, thread_id: str | None = None, interrupt_id: str | None = None) -> None:
        self._commands = commands
        self._engine = commands.engine
        self._thread_id = thread_id
        self._interrupt_id = interrupt_id

    def status_of(
        self, connection: Connection, proposal: Proposal, approval: ApprovalRequest | None, unit: Unit | None = None
    ) -> CallStatus:
        """The status of a call, in a write transaction; if it needs a decision and has no request, this makes the request.

        Args:
            connection: A connection in a write transaction.
            proposal: The call.
            approval: Its request, as this transaction read it.
            unit: The instance, if it was locked before the request was read.

        Raises:
            DeniedError: The call is denied, which has to be recorded in another transaction.
        """
        if approval is None:
            return self._request(connection, proposal, unit)
        if approval.status is ApprovalStatus.REQUESTED:
            return self._open(connection, proposal, approval, unit)
        if not may_execute(approval):
            return self._commands.refuse(connection, proposal, self.closed(approval))
        return None

    def closed(self, approval: ApprovalRequest) -> Denial:
        """The answer to a call whose request was rejected, expired, or is void."""
        return closed_denial(approval, self._engine.definition.wire_names.get(approval.tool, approval.tool))

    def _open(
        self, connection: Connection, proposal: Proposal, approval: ApprovalRequest, unit: Unit | None
    ) -> ApprovalRequest | Outcome | Overdue:
        commands = self._commands
        unit = unit or commands.unit(connection)
        if commands.forged(unit, proposal) is not None:
            return commands.refuse(connection, proposal)
        if approval.is_due(unit.now):
            approval = lapse(self._engine, unit, approval)
            if approval.is_due(unit.now):
                return Overdue(approval)
            unit.flush()
            if approval.status is ApprovalStatus.EXPIRED:
                return commands.refuse(connection, proposal, self.closed(approval))
        if moved_on(unit.instance, approval):
            void(unit, approval, f"the workflow moved on from {approval.state!r}")
            unit.flush()
            return commands.refuse(connection, proposal, self._moved_on(approval, unit))
        return self._reopened(connection, approval)

    def _request(self, connection: Connection, proposal: Proposal, unit: Unit | None) -> CallStatus:
        commands, workflow_id = self._commands, self._commands.scope.workflow_id
        if unit is None:
            unit = commands.unit(connection)
            if (asked := approval_rows.load(connection, workflow_id, proposal.key)) is not None:
                # Another process that runs the same step made the request before this one locked the instance.
                return self.status_of(connection, proposal, asked, unit)
        commands.check_line(unit)
        commands.check_revision(unit, proposal)
        verdict = commands.judge_now(unit, proposal)
        if isinstance(verdict, Denial):
            return commands.refuse(connection, proposal, verdict)
        if verdict.approval is None:
            return None
        rule: Approval = verdict.approval
        contract = verdict.edge.tool
        preview = commands.preview(unit, verdict, proposal)
        if isinstance(preview, Denial):
            return commands.refuse(connection, proposal, preview)
        shown = shown_of(verdict, preview) | origins_shown(self._engine.definition, unit, verdict)
        approval_id = derive("apr", workflow_id, proposal.key)
        approval = ApprovalRequest(
            approval_id=approval_id,
            workflow_id=workflow_id,
            tenant=unit.instance.tenant,
            idempotency_key=proposal.key,
            workflow=self._engine.definition.name,
            tool=proposal.tool,
            tool_version=contract.version,
            arguments=verdict.canonical,
            edited_arguments=None,
            digest=bind(
                self._engine.definition, unit, verdict, requester=proposal.requester, shown=shown, strict=rule.strict
            ),
            state=unit.instance.state,
            revision=unit.instance.revision,
            shown=shown,
            rule=rule,
            status=ApprovalStatus.REQUESTED,
            message=None,
            requester=proposal.requester,
            message_key=proposal.message_key,
            thread_id=self._thread_id,
            interrupt_id=self._interrupt_id,
            answers=0,
            requested_at=unit.now,
            expires_at=rule.due(unit.now),
            remind_at=rule.reminder(unit.now),
            decided_at=None,
            used_at=None,
        )
        approval = noted(self._engine, approval)
        approval_rows.insert(connection, approval)
        unit.record(
            AuditKind.APPROVAL,
            proposal.requester,
            {
                "approvalId": approval_id,
                "digest": approval.digest,
                "arguments": unit.hide(verdict.canonical, contract.sensitive),
                "shown": _hidden(unit, shown, contract.sensitive),
                "policies": [*verdict.rulings],
            },
            tool=proposal.tool,
            audit_ref=approval_rows.asked_ref(approval_id),
        )
        needed.asked(self._engine, unit, approval, "approval")
        unit.flush()
        return Asked(approval)

    def _reopened(self, connection: Connection, approval: ApprovalRequest) -> ApprovalRequest:
        # In a new turn of the conversation, the request belongs to another interrupt.
        if approval.interrupt_id == self._interrupt_id:
            return approval
        reopened = replace(approval, interrupt_id=self._interrupt_id, answers=0)
        approval_rows.update(connection, approval, reopened)
        return reopened

    def _moved_on(self, approval: ApprovalRequest, unit: Unit) -> Denial:
        tool = self._engine.definition.wire_names.get(approval.tool, approval.tool)
        return Denial(
            ErrorCode.APPROVAL_VOID,
            f"The workflow moved on to {unit.instance.state!r} (revision {unit.instance.revision}) while {tool} waited for a decision. Nothing "
            "was done; propose again what is still wanted.",
            {"approvalId": approval.approval_id, "proposedIn": approval.state},
        )


def _hidden(unit: Unit, shown: JsonObject, sensitive: Collection[str]) -> JsonObject:
    """The shown details without sensitive values; the origin of a sensitive value is not secret."""
    rest = unit.hide({name: value for name, value in shown.items() if name != "origins"}, sensitive)
    origins = {"origins": unit.secrets.value(shown["origins"])} if "origins" in shown else {}
    return cast("JsonObject", rest) | origins


def may_execute(approval: ApprovalRequest) -> bool:
    """Whether a call may be executed: it was granted; or it was used or is void, and executing it returns its stored answer."""
    status = approval.status
    return status is not ApprovalStatus.REQUESTED and (not status.is_closed or status is ApprovalStatus.VOID)


def closed_denial(approval: ApprovalRequest, tool: str) -> Denial:
    """The answer to a call whose request is closed, so that it will never be executed."""
    said, about = approval.message, {"approvalId": approval.approval_id}
    match approval.status:
        case ApprovalStatus.EXPIRED:
            return Denial(ErrorCode.APPROVAL_EXPIRED, f"Nobody decided on {tool} in time. Nothing was done.", about)
        case ApprovalStatus.WITHDRAWN:
            return Denial(
                ErrorCode.APPROVAL_WITHDRAWN,
                f"{tool} was withdrawn before it was executed. Nothing was done; propose it again if it is still wanted.",
                about,
            )
        case ApprovalStatus.VOID:
            return Denial(
                ErrorCode.APPROVAL_VOID,
                f"The request about {tool} does not match what would run now: {said}. Nothing was done; propose it again to request a new decision.",
                {**about, "problem": said},
            )
        case ApprovalStatus.RESPONDED:
            return Denial(
                ErrorCode.APPROVAL_REJECTED,
                f"{tool} was not done. The person who was asked answers: {said}",
                {**about, "decision": "respond", "message": said},
            )
    because = f": {said}" if said else ""
    return Denial(
        ErrorCode.APPROVAL_REJECTED,
        f"The person who was asked said no to {tool}{because}. Nothing was done; do not propose the same again unless asked to.",
        {**about, "decision": "reject", "message": said},
    )


__all__ = ["Asked", "CallStatus", "Overdue", "Requests", "closed_denial", "may_execute"]
