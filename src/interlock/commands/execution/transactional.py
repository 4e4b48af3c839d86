"""Executes transactional commands: gate, ledger, body, transition, audit and events in one transaction."""

from typing import Any

from langgraph.errors import GraphBubbleUp, GraphInterrupt
from sqlalchemy.engine import Connection

from ...checkpointing.store import LedgerStatus
from ...rules.proposals import Proposal
from ...tools.contracts import ToolContract
from ...tools.errors import ConflictError, Refused, StoreError
from ...tools.sinks import hiding
from ..running.engine import logger
from ..running.operations import Attempt, Steps, Transact
from .attempts import Broken, Outcome, admitted
from .audit_payloads import error_body, secrets_of
from .shared import Execution


class Transactional:
    """Executes transactional commands on one instance."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def carry_out(self, contract: ToolContract, proposal: Proposal) -> Steps[Outcome | Broken]:
        """Judge the proposal, run the tool's body and record the outcome, in one transaction."""
        done: Outcome | Broken = yield Transact(
            contract,
            lambda connection, sessions: self._execution.begin(connection, proposal, sessions),
            lambda _connection, attempt, output: self._finish(attempt, proposal, output),
            lambda connection, attempt, error: self._failed(connection, attempt, proposal, error),
        )
        return done

    def _finish(self, attempt: Attempt, proposal: Proposal, output: Any) -> Outcome:
        ready = admitted(attempt)
        return self._execution.outcomes.transition(ready.unit, ready, proposal, output)

    def _failed(self, connection: Connection, attempt: Attempt, proposal: Proposal, error: Exception) -> Outcome:
        # A tool that interrupts the graph inside the transaction is refused: after the answer, its outside effects would be repeated.
        if isinstance(error, (GraphBubbleUp, ConflictError, StoreError)) and not isinstance(error, GraphInterrupt):
            raise error
        unit, entry, _ = self._execution.unit_for(connection, proposal)
        if (
            entry is not None
            and entry.status in {LedgerStatus.COMPLETED, LedgerStatus.FAILED}
            and entry.result is not None
        ):
            # Everything was rolled back, because another transaction came first.
            return self._execution.replayed(unit, entry)
        if not isinstance(error, Refused):
            logger.error(
                "the tool %s failed in %s; if it means to say no, with a reason for the model, it raises interlock.Refused(reason)",
                attempt.contract.name,
                unit.instance.workflow_id,
                exc_info=error,
                extra=hiding(secrets_of(attempt.contract, proposal.arguments)),
            )
        return self._execution.outcomes.refused(
            unit, admitted(attempt), proposal, error_body(attempt.contract, error), error
        )
