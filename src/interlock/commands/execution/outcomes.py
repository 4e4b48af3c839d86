"""Records the outcomes of commands, and makes the answers: executed, denied, refused, or unknown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ...checkpointing.store import ApprovalRequest, AuditKind, LedgerEntry, LedgerStatus, Unit
from ...checkpointing.store import audit as audit_rows
from ...rules.denials import Denial, rule_broken
from ...rules.proposals import Proposal
from ...tools.canonical import JsonObject
from ...tools.codes import ErrorCode
from ...tools.contracts import ToolContract
from ...tools.errors import RuleError
from ...tools.ids import AuditRef, WorkflowId, derive, mint
from ...tools.kinds import Effect, ToolKind
from ...tools.principal import Principal
from ...tools.redaction import redact
from ...tools.results import CommandResult, ErrorBody
from ...tools.storable import storable, storable_text, type_name
from ..approvals.binding import use
from ..origins.capturing import keep_output
from ..running import needed
from ..running.engine import Engine, logger
from ..running.scope import Scope
from ..waits.settling import arrive
from .attempts import Admitted, Broken, Outcome, error_result
from .audit_payloads import facts_of, masked, said_by
from .left_behind import left_behind


class Outcomes:
    """Records the outcomes of proposals on one instance, and makes their answers.

    Args:
        engine: The workflow and its store.
        scope: The instance and the principal.
        node: The execution node of the graph; None for a command from outside the graph.
    """

    def __init__(self, engine: Engine, scope: Scope, node: str | None) -> None:
        self.engine = engine
        self.scope = scope
        self.node = node

    def ungated(self, unit: Unit, by: Principal, used: Sequence[Mapping[str, Any]]) -> None:
        """Record tools that a model's provider ran itself."""
        for one in used:
            payload = {"tool": one["tool"], "id": one["id"], "input": one["input"], "state": unit.instance.state}
            unit.record(
                AuditKind.UNGATED, by, cast("JsonObject", storable(payload)), tool=storable_text(one["tool"])[:64]
            )
        unit.flush()

    def deny(self, unit: Unit, proposal: Proposal, denial: Denial) -> Outcome:
        """Record a denial and answer with it."""
        return self._denied(
            unit, proposal.requester, denial, self._recorded_call(unit, proposal), tool=self._tool(proposal)
        )

    def held(self, unit: Unit, proposal: Proposal, denial: Denial, approval: ApprovalRequest) -> Outcome:
        """Answer a granted proposal with a temporary denial; recorded only once, because it is retried."""
        about = (approval.approval_id, denial.code.value, denial.policy)
        audit_ref = AuditRef(derive("audit", "held", *about))
        known = audit_rows.exists(unit.connection, unit.instance.workflow_id, audit_ref)
        said = None if known else self._recorded_call(unit, proposal)
        result = self._record(
            unit,
            proposal.requester,
            denial,
            said,
            tool=self._tool(proposal),
            allowed=self.engine.offered_for(unit, proposal.requester),
            audit_ref=audit_ref,
        )
        return Outcome(result, unit.flush())

    def undecided(self, unit: Unit, requester: Principal, denial: Denial) -> Outcome:
        """Record and answer that there is no proposal, because the proposer failed."""
        return self._denied(unit, requester, denial, {"key": None}, tool=None)

    def withheld(self, unit: Unit, requester: Principal, broken: Mapping[str, RuleError]) -> None:
        """Record the tools that are not offered because their rule failed, once per position of the instance."""
        for tool, error in broken.items():
            place = (unit.instance.workflow_id, unit.instance.revision, error.rule)
            audit_ref = AuditRef(derive("audit", "withheld", *place))
            if audit_rows.exists(unit.connection, unit.instance.workflow_id, audit_ref):
                continue
            denial = rule_broken(error, self.engine.definition.wire_names.to_wire(tool))
            said = {"code": denial.code.value, "message": denial.message, "details": dict(denial.details)}
            payload = {"key": None, "state": unit.instance.state, "node": self.node, "error": said}
            unit.record(AuditKind.DENIAL, requester, payload, tool=tool, code=denial.code.value, audit_ref=audit_ref)
        unit.flush()

    def deny_all(self, unit: Unit, proposals: Sequence[Proposal], denial: Denial) -> list[Outcome]:
        """Record and answer one denial for each of several proposals, in one flush."""
        if not proposals:
            return []
        requester = proposals[0].requester
        allowed = self.engine.offered_for(unit, requester)
        results = []
        for proposal in proposals:
            results.append(
                self._record(
                    unit,
                    requester,
                    denial,
                    self._recorded_call(unit, proposal),
                    tool=self._tool(proposal),
                    allowed=allowed,
                )
            )
        unit.answer(results[-1])
        instance = unit.flush()
        return [Outcome(result, instance) for result in results]

    def _recorded_call(self, unit: Unit, proposal: Proposal) -> JsonObject:
        return {"key": proposal.key, "arguments": said_by(self.engine.definition, unit, proposal)}

    def _tool(self, proposal: Proposal) -> str:
        return storable_text(proposal.tool)[:64]

    def _denied(
        self, unit: Unit, requester: Principal, denial: Denial, said: JsonObject, *, tool: str | None
    ) -> Outcome:
        allowed = self.engine.offered_for(unit, requester)
        result = self._record(unit, requester, denial, said, tool=tool, allowed=allowed)
        unit.answer(result)
        return Outcome(result, unit.flush())

    def _record(
        self,
        unit: Unit,
        requester: Principal,
        denial: Denial,
        said: JsonObject | None,
        *,
        tool: str | None,
        allowed: tuple[str, ...],
        audit_ref: AuditRef | None = None,
    ) -> JsonObject:
        """Record a denial, if it has to be recorded, and make its answer."""
        audit_ref = audit_ref or AuditRef(mint("audit"))
        body = ErrorBody(
            code=denial.code,
            message=storable_text(denial.message),
            retryable=denial.retryable,
            details=cast("JsonObject", storable(dict(denial.details))),
        )
        body = masked(unit, body, self.engine.definition.sensitive)
        if said is not None:
            error = body.model_dump(mode="json", by_alias=True)
            payload = {**said, "state": unit.instance.state, "node": self.node, "error": error}
            unit.record(AuditKind.DENIAL, requester, payload, tool=tool, code=denial.code.value, audit_ref=audit_ref)
        return error_result(unit.instance, body, allowed=allowed, audit_ref=audit_ref).to_json()

    def refused(
        self,
        unit: Unit,
        ready: Admitted,
        proposal: Proposal,
        body: ErrorBody,
        error: Exception | None = None,
    ) -> Outcome:
        """Record and answer that a command was refused, permanently under this key."""
        contract = ready.contract
        facts = facts_of(unit, proposal, ready.admission, self.node)
        unit.secrets.learn_from(unit.instance.data, self.engine.definition.sensitive)
        body = masked(unit, body, contract.sensitive)
        result = self._error(unit, proposal.requester, body, ready.context.audit_ref)
        unit.record(
            AuditKind.REFUSAL,
            proposal.requester,
            {
                **facts,
                "error": body.model_dump(mode="json", by_alias=True),
                "exception": None if error is None else type_name(error),
            },
            tool=contract.name,
            code=body.code.value,
            audit_ref=ready.context.audit_ref,
        )
        if contract.kind is not ToolKind.READ:
            self.enter(unit, ready, proposal, LedgerStatus.FAILED, result)
        if ready.approval is not None:
            use(unit, ready.approval)
        unit.answer(result)
        return Outcome(result, unit.flush(), head=unit.instance.head_checkpoint)

    def unknown(self, unit: Unit, entry: LedgerEntry, requester: Principal, problem: str) -> Broken:
        """Record that the outcome of an attempt is unknown. Its former owner is refused from now on."""
        after = replace(entry, status=LedgerStatus.UNKNOWN, owner=None)
        unit.record(
            AuditKind.UNKNOWN,
            requester,
            {"key": entry.idempotency_key, "attempt": entry.attempt, "arguments": entry.arguments, "problem": problem},
            tool=entry.tool,
            code=ErrorCode.OUTCOME_UNKNOWN.value,
        )
        needed.broke_off(self.engine, unit, after, requester)
        unit.enter(entry, after)
        unit.set(lease_owner=None, lease_until=None, lease_epoch=unit.instance.lease_epoch + 1)
        unit.flush()
        return Broken(after)

    def _error(self, unit: Unit, requester: Principal, body: ErrorBody, audit_ref: AuditRef) -> JsonObject:
        allowed = self.engine.offered_for(unit, requester)
        return error_result(unit.instance, body, allowed=allowed, audit_ref=audit_ref).to_json()

    def transition(
        self, unit: Unit, ready: Admitted, proposal: Proposal, output: Any, *, happened: bool = False
    ) -> Outcome:
        """Write all consequences of an executed command.

        Args:
            unit: The instance.
            ready: The attempt.
            proposal: The executed proposal.
            output: The return value of the tool.
            happened: Whether its effect is outside the database, and so has happened whatever its results: results that cannot be
                stored are then left out, and the answer says so.

        Raises:
            InvalidOutput: The results of the tool cannot be stored; nothing may be committed.
        """
        contract, context, edge = ready.contract, ready.context, ready.admission.edge
        left = left_behind(self.engine.definition, unit, ready, proposal, output)
        if not happened:
            left = left.sound(contract)
        before = unit.instance
        unit.move(
            state=edge.target,
            data=left.data,
            finished=self.engine.definition.state(edge.target).is_final,
        )
        if contract.kind is not ToolKind.READ:
            unit.completing = (contract.name, _on_record(ready))
        allowed = self.engine.offered_for(unit, proposal.requester)
        result = (
            self._happened(unit, contract, left.problems, allowed, context.audit_ref)
            if left.problems
            else CommandResult(
                workflow_id=WorkflowId(before.workflow_id),
                previous_state=before.state,
                current_state=edge.target,
                revision=unit.instance.revision,
                next_allowed_tools=allowed,
                audit_ref=context.audit_ref,
                output=left.output,
            ).to_json()
        )
        unit.record(
            AuditKind.TRANSITION,
            proposal.requester,
            {
                **facts_of(unit, proposal, ready.admission, self.node),
                "previousState": before.state,
                "currentState": edge.target,
                "nextAllowedTools": [*allowed],
                "output": unit.hide(left.output, contract.sensitive),
                "data": unit.hide(unit.instance.data, contract.sensitive | self.engine.definition.sensitive),
                "approvalId": None if ready.approval is None else ready.approval.approval_id,
                "attempt": context.attempt,
                **({"problems": [*left.problems]} if left.problems else {}),
            },
            tool=contract.name,
            code=ErrorCode.INVALID_OUTPUT.value if left.problems else None,
            audit_ref=context.audit_ref,
        )
        keep_output(unit, self.engine.definition, ready, left.output)
        if contract.kind is not ToolKind.READ:
            self.enter(unit, ready, proposal, LedgerStatus.COMPLETED, result)
        if ready.approval is not None:
            use(unit, ready.approval)
        for event in left.events:
            unit.emit(event, proposal.requester)
        unit.answer(result)
        if self.scope.root_checkpoint is not None:
            unit.set(head_checkpoint=self.scope.root_checkpoint)
        unit.flush()
        return Outcome(result, arrive(self.engine, unit), head=self.scope.root_checkpoint)

    def _happened(
        self,
        unit: Unit,
        contract: ToolContract,
        problems: Sequence[str],
        allowed: tuple[str, ...],
        audit_ref: AuditRef,
    ) -> JsonObject:
        """The answer to a command with an effect outside the database whose results cannot be stored."""
        body = ErrorBody(
            code=ErrorCode.INVALID_OUTPUT,
            message=f"{contract.wire_name} was executed, and the workflow moved on; but part of what it left behind cannot be stored: "
            f"{'; '.join(problems)}. Do not call it again for the same purpose.",
            details={"happened": True, "problems": [{"field": "", "problem": problem} for problem in problems]},
        )
        logger.error(
            "%s in %s was executed and left behind what cannot be stored: %s",
            contract.name,
            unit.instance.workflow_id,
            "; ".join(problems),
        )
        return error_result(unit.instance, body, allowed=allowed, audit_ref=audit_ref).to_json()

    def enter(
        self, unit: Unit, ready: Admitted, proposal: Proposal, status: LedgerStatus, result: JsonObject | None
    ) -> LedgerEntry:
        """Write the state of the command into the ledger, with the unit's next `flush`."""
        done = status not in {LedgerStatus.STARTED, LedgerStatus.UNKNOWN}
        inside = ready.contract.effect is Effect.TRANSACTIONAL
        entry = LedgerEntry(
            workflow_id=unit.instance.workflow_id,
            idempotency_key=proposal.key,
            tenant=unit.instance.tenant,
            fingerprint=ready.admission.fingerprint,
            tool=ready.contract.name,
            tool_version=ready.contract.version,
            status=status,
            attempt=ready.context.attempt,
            principal_id=proposal.requester.id,
            requester=None if inside else proposal.requester,
            owner=None if done else unit.instance.lease_owner,
            arguments=_on_record(ready),
            result=result,
            audit_ref=ready.context.audit_ref,
            started_at=ready.unit.now if ready.entry is None else ready.entry.started_at,
            finished_at=unit.now if done else None,
        )
        unit.enter(ready.entry, entry)
        return entry


def _on_record(ready: Admitted) -> JsonObject:
    """The arguments for the ledger, with sensitive values masked."""
    return cast("JsonObject", redact(ready.admission.canonical, ready.contract.sensitive))
