"""Executes reads on a read-only connection, and records them afterwards.

A read that moves the workflow (such as identifying a customer) makes its transition only if the instance did not move meanwhile.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from langgraph.errors import GraphBubbleUp
from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, AuditKind
from ...checkpointing.store import approvals as approval_rows
from ...rules.denials import Denial, moved_while_reading
from ...rules.gate import Admission
from ...rules.proposals import Proposal
from ...tools.contracts.retry import RetryPolicy
from ...tools.errors import ConflictError, InvalidOutput, NotADatabase, Refused, StoreError, StoreUnavailable
from ...tools.ids import WorkflowId
from ...tools.results import ReadResult
from ...tools.sinks import hiding
from ..approvals.binding import decided_on, use, with_approval
from ..origins.capturing import keep_output
from ..running.backoff import Backoff
from ..running.engine import logger
from ..running.operations import Attempt, Body, InStore, Pause, Steps
from ..running.sessions import Later
from .attempts import Admitted, Outcome, admitted
from .audit_payloads import error_body, facts_of, secrets_of
from .left_behind import data_after, output_of
from .shared import Execution, of_somebody_else


class Reads:
    """Executes reads on one instance."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._engine = execution.engine

    def carry_out(self, proposal: Proposal) -> Steps[Outcome]:
        """Judge the read, run it, and record its answer."""
        done: Outcome
        ready = yield InStore(lambda connection: self._judge(connection, proposal), write=False)
        if isinstance(ready, Denial):
            denial = ready
            done = yield InStore(lambda connection: self._execution.refuse(connection, proposal, denial))
            return done
        backoff = Backoff(ready.contract.retry or RetryPolicy(attempts=1))
        failure: Exception
        while True:
            try:
                output = yield Body(ready)
            except (GraphBubbleUp, ConflictError, StoreUnavailable, NotADatabase):
                raise
            except StoreError as error:
                # An error of the read's own statement. If it tried to write, a retry would fail in the same way.
                failure, pause = error, None
            except Exception as error:
                failure, pause = error, (None if isinstance(error, Refused) else backoff.after(error))
            else:
                done = yield InStore(partial(self._answer, attempt=ready, proposal=proposal, output=output))
                return replace(done, artifact=ready.context.artifact)
            if pause is None:
                done = yield InStore(partial(self._failed, ready=ready, proposal=proposal, error=failure))
                return done
            yield Pause(pause)
            ready = self._next_attempt(ready, proposal, failure)

    def _next_attempt(self, ready: Admitted, proposal: Proposal, problem: Exception) -> Admitted:
        """The next attempt. A read has no effects, so only the last attempt is recorded."""
        logger.warning(
            "attempt %d of %s in %s failed, and is made again",
            ready.context.attempt,
            ready.contract.name,
            self._execution.scope.workflow_id,
            exc_info=problem,
            extra=hiding(secrets_of(ready.contract, ready.admission.canonical)),
        )
        later = Later()
        context = self._execution.context(ready.unit, ready.contract, proposal, ready.context.attempt + 1, later)
        return replace(ready, arguments=ready.admission.arguments, context=context, sessions=later)

    def _judge(self, connection: Connection, proposal: Proposal) -> Admitted | Denial:
        execution = self._execution
        unit = execution.looked_at(connection)
        execution.check_line(unit)
        execution.check_revision(unit, proposal)
        approval: ApprovalRequest | None = None
        verdict = execution.judge_now(unit, proposal)
        if isinstance(verdict, Admission) and verdict.approval is not None:
            approval = approval_rows.load(connection, unit.instance.workflow_id, proposal.key)
            if (foreign := of_somebody_else(proposal, None, approval)) is not None:
                return foreign
            proposal = proposal.changed(is_claim=False)
            decided = decided_on(proposal, approval, verdict.edge.tool)
            if decided.arguments != proposal.arguments:
                verdict = execution.judge_now(unit, decided)
            if isinstance(verdict, Admission):
                verdict = with_approval(
                    self._engine.definition, unit, verdict, decided, approval, preview=execution.preview, settle=False
                )
        if isinstance(verdict, Denial):
            return verdict
        later = Later()
        context = execution.context(unit, verdict.edge.tool, proposal, 1, later)
        return Admitted(verdict.edge.tool, verdict.arguments, context, later, unit, verdict, approval, None)

    def _answer(self, connection: Connection, attempt: Attempt, proposal: Proposal, output: Any) -> Outcome:
        execution, ready = self._execution, admitted(attempt)
        contract = ready.contract
        unit = execution.unit(connection)
        try:
            shown = output_of(self._engine.definition, contract, output)
            data = data_after(self._engine.definition, unit, ready)
        except InvalidOutput as error:
            return self._failed(connection, ready, proposal, error)
        if ready.admission.edge.moves or data != ready.unit.instance.data:
            if unit.instance.revision != ready.context.revision:
                return execution.outcomes.deny(unit, proposal, moved_while_reading(contract.wire_name))
            execution.check_idle(unit, proposal)
            return execution.outcomes.transition(unit, ready, proposal, output)
        if ready.approval is not None:
            use(unit, ready.approval)
        keep_output(unit, self._engine.definition, ready, shown)
        result = ReadResult(
            workflow_id=WorkflowId(unit.instance.workflow_id),
            current_state=unit.instance.state,
            revision=unit.instance.revision,
            next_allowed_tools=self._engine.offered_for(unit, proposal.requester),
            audit_ref=ready.context.audit_ref,
            output=shown,
        ).to_json()
        unit.record(
            AuditKind.READ,
            proposal.requester,
            {
                **facts_of(unit, proposal, ready.admission, execution.node),
                **({"attempt": ready.context.attempt} if ready.context.attempt > 1 else {}),
                "output": unit.hide(shown, contract.sensitive),
            },
            tool=contract.name,
            audit_ref=ready.context.audit_ref,
        )
        return Outcome(result, unit.flush())

    def _failed(self, connection: Connection, ready: Admitted, proposal: Proposal, error: Exception) -> Outcome:
        execution = self._execution
        unit = execution.unit(connection)
        if not isinstance(error, Refused):
            logger.error(
                "the tool %s failed in %s; if it means to say no, with a reason for the model, it raises interlock.Refused(reason)",
                ready.contract.name,
                unit.instance.workflow_id,
                exc_info=error,
                extra=hiding(secrets_of(ready.contract, ready.admission.canonical)),
            )
        return execution.outcomes.refused(unit, ready, proposal, error_body(ready.contract, error), error)
