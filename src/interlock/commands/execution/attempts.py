"""An attempt of a command, its outcome, and the answer to a proposal that was not executed."""

from dataclasses import dataclass
from typing import Any

from ...checkpointing.store import ApprovalRequest, Instance, LedgerEntry, Unit
from ...rules.gate import Admission
from ...tools.canonical import JsonObject
from ...tools.errors import OutcomeUnknown
from ...tools.ids import AuditRef, WorkflowId
from ...tools.results import ErrorBody, ErrorResult
from ..running.operations import Attempt


@dataclass(frozen=True)
class Outcome:
    """The outcome of a proposal."""

    result: JsonObject
    """A command result, a read result or an error, as on the wire."""
    instance: Instance
    replayed: bool = False
    head: str | None = None
    """The checkpoint of the instance's last command, if this line of history follows it; the graph stores it."""
    artifact: Any = None
    """The tool's artifact for the application, in the run that executed it."""

    @property
    def ok(self) -> bool:
        """Whether it was executed."""
        return bool(self.result.get("ok"))


@dataclass(frozen=True)
class Broken:
    """An earlier attempt was interrupted, and the outcome of its effect is unknown."""

    entry: LedgerEntry
    advice: str | None = None
    """Further advice for the person who resolves it, if it was interrupted just now."""


@dataclass
class Admitted(Attempt):
    """A proposal that passed the gate, ready to run or running."""

    unit: Unit
    admission: Admission
    approval: ApprovalRequest | None
    entry: LedgerEntry | None
    """Its ledger entry so far."""
    epoch: int = 0
    """The lease's epoch, for an effect outside the database."""


def admitted(attempt: Attempt) -> Admitted:
    """Make the attempt of an admission."""
    if not isinstance(attempt, Admitted):
        raise TypeError("the attempt was not made here")
    return attempt


def error_result(instance: Instance, body: ErrorBody, *, allowed: tuple[str, ...], audit_ref: AuditRef) -> ErrorResult:
    """The answer to a proposal that was not executed, with the state of the instance.

    Args:
        instance: The instance, read in this transaction or since.
        body: The error.
        allowed: The tools that the proposer may call next.
        audit_ref: The record of the error.
    """
    return ErrorResult(
        workflow_id=WorkflowId(instance.workflow_id),
        current_state=instance.state,
        revision=instance.revision,
        next_allowed_tools=allowed,
        audit_ref=audit_ref,
        error=body,
    )


def unresolved(entry: LedgerEntry) -> OutcomeUnknown:
    """The error for a command that a person has to resolve first."""
    return OutcomeUnknown(
        f"An attempt of {entry.tool} in the workflow {entry.workflow_id} was interrupted, and it is unknown whether its effect happened. "
        "The workflow waits. Find out, then resolve it (instances.resolve, or `interlock resolve`): it happened with this result, or it "
        "did not, try again.",
        details={
            "workflowId": entry.workflow_id,
            "key": entry.idempotency_key,
            "tool": entry.tool,
            "attempt": entry.attempt,
        },
    )
