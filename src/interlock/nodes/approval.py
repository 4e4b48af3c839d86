"""The approval node: asks a person about one proposal, and lets it pass when, and only when, SQL says that it was decided."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph.errors import GraphInterrupt
from langgraph.types import Command, Interrupt, Send, interrupt
from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind
from ..checkpointing.store import approvals as approval_rows
from ..tools.approvals import parse_answer
from ..tools.canonical import JsonObject
from ..tools.codes import ErrorCode
from ..tools.errors import InputError
from ..tools.ids import derive
from .base import Engine, WorkflowNode
from .commands import Commands, Outcome
from .decisions import Declined, decide
from .definition import Edge
from .driver import InStore, Steps
from .execution import answered, handed_over, streamed
from .gate import Admission, Denial, binding
from .proposals import Proposal
from .scope import Scope


class ApprovalNode(WorkflowNode):
    """Asks about the proposals of one edge.

    A proposal that needs no decision, or has one, passes to the edge's execution node; a rejected one is answered.
    """

    def __init__(self, engine: Engine, edge: Edge, destinations: Mapping[str, str]) -> None:
        super().__init__(engine, edge.approval_node, destinations)
        self.edge = edge

    def steps(self, value: Any, scope: Scope) -> Steps[Command[str]]:
        """Ask, and wait for the decision."""
        proposal = Proposal.from_json(value["proposal"])
        commands = Commands(self.engine, scope, node=self.edge.node, head=value.get("head"))
        problem: str | None = None
        asked = 0
        while True:
            stands = yield InStore(lambda connection: self._stand(connection, commands, proposal, scope))
            if not isinstance(stands, ApprovalRequest):
                break
            waiting = stands
            try:
                answer = interrupt(payload(self.engine, waiting, problem))
            except GraphInterrupt as raised:
                if asked > 0:  # a second question of one task has an id of its own
                    yield from self._rename(waiting, raised.args[0][0].id)
                raise
            asked += 1
            problem = yield from self._take(answer, waiting, scope)
        if isinstance(stands, Outcome):
            scope.emit(streamed(proposal, stands))
            return Command(update=answered(self.engine, proposal, stands), goto=self.edge.source)
        if value.get("alone"):
            return Command(
                update={"progress": [("settle", proposal.key)]},
                goto=[Send(self.edge.node, handed_over(proposal, value.get("head")))],
            )
        return Command(update={"progress": [("settle", proposal.key)]}, goto=self.edge.source)

    def _rename(self, waiting: ApprovalRequest, interrupt_id: str) -> Steps[None]:
        renamed = replace(waiting, interrupt_id=interrupt_id)
        yield InStore(lambda connection: approval_rows.update(connection, waiting, renamed))

    def _take(self, answer: Any, waiting: ApprovalRequest, scope: Scope) -> Steps[str | None]:
        """Take an answer that came through a parent graph; what is wrong with it is asked about again."""
        try:
            decision = parse_answer(answer, tool=waiting.tool, wire_name=self.edge.tool.wire_name)
        except InputError as error:
            return error.message
        taken = yield InStore(
            lambda connection: decide(
                self.engine, connection, waiting.approval_id, decision, by=scope.principal, scope=scope
            )
        )
        return taken.error.message if isinstance(taken, Declined) else None

    def _stand(
        self, connection: Connection, commands: Commands, proposal: Proposal, scope: Scope
    ) -> ApprovalRequest | Outcome | None:
        """The open request; or the answer, when it was denied, rejected or came too late; or None, when it may pass."""
        approval = approval_rows.load(connection, scope.workflow_id, proposal.key)
        if approval is None:
            return self._request(connection, commands, proposal, scope)
        match approval.status:
            case ApprovalStatus.REQUESTED:
                return self._expired(connection, commands, proposal, approval) or self._reopened(
                    connection, approval, scope
                )
            case ApprovalStatus.REJECTED | ApprovalStatus.RESPONDED | ApprovalStatus.EXPIRED:
                return commands.refuse(connection, proposal, _turned_down(approval, self.edge))
            case _:  # granted; or used or void, which the execution node answers
                return None

    def _request(
        self, connection: Connection, commands: Commands, proposal: Proposal, scope: Scope
    ) -> ApprovalRequest | Outcome | None:
        unit = commands.unit(connection)
        commands.check_line(unit)
        verdict = commands.judge_now(unit, proposal)
        if isinstance(verdict, Denial):
            return commands.refuse(connection, proposal, verdict)
        if verdict.approval is None:
            return None
        rule = verdict.approval
        shown: JsonObject = {
            "arguments": verdict.canonical,
            "preview": commands.preview(unit, verdict, proposal),
            "reasons": [*verdict.reasons],
            "rule": rule.to_json(),
            "description": verdict.edge.tool.description,
            "target": verdict.edge.target,
        }
        approval = ApprovalRequest(
            approval_id=derive("apr", scope.workflow_id, proposal.key),
            workflow_id=scope.workflow_id,
            tenant=unit.instance.tenant,
            idempotency_key=proposal.key,
            workflow=self.engine.definition.name,
            tool=proposal.tool,
            tool_version=verdict.edge.tool.version,
            arguments=verdict.canonical,
            edited_arguments=None,
            digest=self._digest(verdict, shown, unit.instance.state, unit.instance.revision),
            state=unit.instance.state,
            revision=unit.instance.revision,
            shown=shown,
            rule=rule,
            status=ApprovalStatus.REQUESTED,
            message=None,
            requester=proposal.requester,
            message_key=proposal.message_key,
            thread_id=scope.thread_id,
            interrupt_id=Interrupt.from_ns(None, ns=scope.task_key).id,
            answers=0,
            requested_at=unit.now,
            expires_at=None if rule.seconds is None else unit.now + int(rule.seconds * 1_000_000),
            decided_at=None,
            used_at=None,
        )
        approval_rows.insert(connection, approval)
        unit.record(
            AuditKind.APPROVAL,
            proposal.requester,
            {
                "approvalId": approval.approval_id,
                "digest": approval.digest,
                "shown": shown,
                "policies": [*verdict.rulings],
            },
            tool=proposal.tool,
        )
        unit.flush()
        scope.emit({"type": "interlock.approval", "schemaVersion": 1, **payload(self.engine, approval)})
        return approval

    def _digest(self, verdict: Admission, shown: JsonObject, state: str, revision: int) -> str:
        rule = verdict.approval
        strict = rule is not None and rule.strict
        return binding(self.engine.definition, verdict, state=state, shown=shown, revision=revision if strict else None)

    def _expired(
        self, connection: Connection, commands: Commands, proposal: Proposal, approval: ApprovalRequest
    ) -> Outcome | None:
        now = self.engine.store.now(connection)
        if approval.expires_at is None or now < approval.expires_at:
            return None
        expired = replace(approval, status=ApprovalStatus.EXPIRED, decided_at=now)
        approval_rows.update(connection, approval, expired)
        return commands.refuse(connection, proposal, _turned_down(expired, self.edge))

    def _reopened(self, connection: Connection, approval: ApprovalRequest, scope: Scope) -> ApprovalRequest:
        # A new turn of the conversation asks again under another interrupt.
        interrupt_id = Interrupt.from_ns(None, ns=scope.task_key).id
        if approval.interrupt_id == interrupt_id:
            return approval
        reopened = replace(approval, interrupt_id=interrupt_id)
        approval_rows.update(connection, approval, reopened)
        return reopened


def _turned_down(approval: ApprovalRequest, edge: Edge) -> Denial:
    tool, said = edge.tool.wire_name, approval.message
    if approval.status is ApprovalStatus.EXPIRED:
        return Denial(
            ErrorCode.APPROVAL_EXPIRED,
            f"Nobody decided on {tool} in time. Nothing was done.",
            {"approvalId": approval.approval_id},
        )
    if approval.status is ApprovalStatus.RESPONDED:
        return Denial(
            ErrorCode.APPROVAL_REJECTED,
            f"{tool} was not done. The person who was asked answers: {said}",
            {"approvalId": approval.approval_id, "decision": "respond", "message": said},
        )
    because = f": {said}" if said else ""
    return Denial(
        ErrorCode.APPROVAL_REJECTED,
        f"The person who was asked said no to {tool}{because}. Nothing was done; do not propose the same again unless asked to.",
        {"approvalId": approval.approval_id, "decision": "reject", "message": said},
    )


def payload(engine: Engine, approval: ApprovalRequest, problem: str | None = None) -> JsonObject:
    """What an approver is shown, in a form that today's user interfaces draw as it is.

    The keys are doubled, because Agent Chat UI, Agent Inbox and deep-agents-ui each read other ones.
    """
    contract = engine.definition.contracts[approval.tool]
    decisions = ["approve", *(["edit"] if approval.rule.edit is not False else []), "reject", "respond"]
    description = contract.description
    if approval.shown.get("preview") is not None:
        description += f"\n\nWhat it would change: {approval.shown['preview']}"
    return {
        "type": "confirmation" if approval.rule.confirmation else "approval",
        "schemaVersion": 1,
        "approvalId": approval.approval_id,
        "workflowId": approval.workflow_id,
        "workflow": approval.workflow,
        "state": approval.state,
        "tool": approval.tool,
        "toolVersion": approval.tool_version,
        "arguments": approval.arguments,
        "preview": approval.shown.get("preview"),
        "requestedBy": approval.requester.id,
        "reasons": approval.shown.get("reasons", []),
        "rule": approval.rule.to_json(),
        "requestedAt": approval.requested_at,
        "expiresAt": approval.expires_at,
        "next": {"approve": approval.shown.get("target"), "reject": approval.state},
        "problem": problem,
        "action_requests": [
            {
                "name": approval.tool,
                "action": approval.tool,
                "args": approval.arguments,
                "arguments": approval.arguments,
                "description": description,
            }
        ],
        "review_configs": [
            {
                "action_name": approval.tool,
                "actionName": approval.tool,
                "allowed_decisions": [*decisions],
                "allowedDecisions": [*decisions],
            }
        ],
    }


__all__ = ["ApprovalNode", "payload"]
