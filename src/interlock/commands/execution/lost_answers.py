"""Looks up the outcome of a command after an unanswered COMMIT, in the ledger under the key of the call.

The lookup locks the instance's row, and so waits for a transaction that the server has not ended yet. So its result is final.
"""

from dataclasses import replace
from typing import Protocol

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, LedgerEntry, LedgerStatus, Unit
from ...rules.proposals import Proposal
from ...tools.contracts.retry import RetryPolicy
from ...tools.errors import CommitUnknown, StoreUnavailable
from ..running.backoff import Backoff
from ..running.operations import InStore, Pause, Steps
from ..running.scope import Scope
from .attempts import Broken, Outcome

LOOKING = RetryPolicy(attempts=4, initial=0.1, maximum=2.0)
"""The number of lookups while the database is unreachable."""


class Execution(Protocol):
    """The executor of a proposal on one instance."""

    scope: Scope

    def unit_for(
        self, connection: Connection, proposal: Proposal
    ) -> tuple[Unit, LedgerEntry | None, ApprovalRequest | None]:
        """The locked instance, with the ledger entry of the proposal's key."""

    def replayed(self, unit: Unit, entry: LedgerEntry | None) -> Outcome:
        """The stored result of a command."""


def looked_up(execution: Execution, proposal: Proposal, lost: CommitUnknown) -> Steps[Outcome | Broken]:
    """The ledger entry of a proposal after an unanswered COMMIT.

    Raises:
        CommitUnknown: The database could not be queried.
        StoreUnavailable: The transaction was rolled back.
    """
    found = yield from look(execution, proposal, lost)
    if found is None:
        key, workflow_id = proposal.key, execution.scope.workflow_id
        raise StoreUnavailable(
            f"The connection broke while {proposal.tool} was being committed in {workflow_id}, and the ledger has nothing under its key {key}: "
            "the command was not executed. Run it again under that key.",
            details={"workflowId": workflow_id, "idempotencyKey": key},
        ) from lost
    return found


def look(execution: Execution, proposal: Proposal, lost: CommitUnknown) -> Steps[Outcome | Broken | None]:
    """As `looked_up`; None if the transaction was rolled back, or the command was announced and not settled.

    Raises:
        CommitUnknown: The database could not be queried.
    """
    backoff = Backoff(LOOKING)
    while True:
        try:
            found: Outcome | Broken | None = yield InStore(lambda connection: _stored(execution, connection, proposal))
        except StoreUnavailable as error:
            pause = backoff.after(error)
            if pause is None:
                raise unknown(execution, proposal, lost) from error
            yield Pause(pause)
        else:
            return found


def unknown(execution: Execution, proposal: Proposal, lost: CommitUnknown) -> CommitUnknown:
    """The error for a command whose outcome is unknown."""
    key, workflow_id = proposal.key, execution.scope.workflow_id
    return CommitUnknown(
        f"The connection broke while {proposal.tool} was being committed in {workflow_id}, and the database could not be queried since: it is "
        f"unknown whether the command was executed. Its idempotency key is {key}: the same call under that key returns the stored "
        f"result, or is executed then. ({lost.message})",
        details={"workflowId": workflow_id, "idempotencyKey": key, "tool": proposal.tool},
    )


def _stored(execution: Execution, connection: Connection, proposal: Proposal) -> Outcome | Broken | None:
    unit, entry, _ = execution.unit_for(connection, proposal)
    if entry is None:
        return None
    if entry.status is LedgerStatus.UNKNOWN:
        return Broken(entry)
    if entry.status is LedgerStatus.STARTED or entry.result is None:
        return None
    # This call itself executed it, so it is not a replay.
    outcome = execution.replayed(unit, entry)
    return replace(outcome, result=entry.result, replayed=False)


__all__ = ["look", "looked_up", "unknown"]
