"""Interprets the ledger entry of a key for a command with this key."""

from enum import Enum

from ...checkpointing.store import LedgerEntry, LedgerStatus, Unit, leases
from ...rules.proposals import Proposal
from ...tools.canonical import digest
from ...tools.contracts import ToolContract
from ...tools.errors import ConflictError, IdempotencyError, InProgress, InvalidArguments, OutcomeUnknown
from .attempts import unresolved


class EntryState(Enum):
    """The state of a key."""

    NOTHING = "nothing"
    """It may be executed: it never was, or a person found that it did not happen."""
    STORED = "stored"
    """It was executed or refused; its result is stored."""
    BROKEN_OFF = "broken off"
    """An attempt was started, and no process is executing it any more."""
    UNKNOWN = "unknown"
    """A person has to resolve it."""


def entry_state(unit: Unit, entry: LedgerEntry | None, contract: ToolContract, proposal: Proposal) -> EntryState:
    """Determine the state of a proposal's key.

    Raises:
        IdempotencyError: The key was used for something else.
        InProgress: The same command is running elsewhere.
    """
    if entry is None:
        return EntryState.NOTHING
    if not _same(entry, contract, proposal):
        raise IdempotencyError(
            f"The idempotency key {proposal.key} was used for {entry.tool} with other arguments. Nothing was done; "
            "use a new key for another command.",
            details={"workflowId": entry.workflow_id, "tool": entry.tool, "auditRef": entry.audit_ref},
        )
    match entry.status:
        case LedgerStatus.UNKNOWN:
            return EntryState.UNKNOWN
        case LedgerStatus.STARTED:
            if is_running(unit, entry):
                raise _in_progress(entry, "The same command is still running elsewhere")
            return EntryState.BROKEN_OFF
        case LedgerStatus.COMPLETED | LedgerStatus.FAILED | LedgerStatus.DRY_RUN:
            return EntryState.NOTHING if entry.result is None else EntryState.STORED


def is_running(unit: Unit, entry: LedgerEntry) -> bool:
    """Whether an attempt is still running: its lease is valid, and its process is not known to be gone."""
    until = unit.instance.lease_until
    if until is None or until <= unit.now or unit.instance.lease_owner != entry.owner:
        return False
    return leases.standing(entry.owner) is not leases.Standing.GONE


def busy(unit: Unit, entry: LedgerEntry) -> ConflictError | OutcomeUnknown:
    """The error for a command while the effect of another one is in progress, or its outcome unknown."""
    if entry.status is LedgerStatus.STARTED and is_running(unit, entry):
        return _in_progress(entry, "Another command of the workflow has an effect in progress outside the database")
    return unresolved(entry)


def _in_progress(entry: LedgerEntry, what: str) -> InProgress:
    return InProgress(
        f"{what}: {entry.tool} in {entry.workflow_id}, attempt {entry.attempt}. Nothing was done; try again when it has ended, to get the stored "
        "result, or when its lease has expired.",
        details={"workflowId": entry.workflow_id, "running": entry.idempotency_key, "tool": entry.tool},
    )


def _same(entry: LedgerEntry, contract: ToolContract, proposal: Proposal) -> bool:
    if entry.tool != proposal.tool:
        return False
    try:
        bound = contract.bind_again(proposal.arguments, entry.arguments)
    except InvalidArguments:
        return False
    if entry.tool_version == contract.version:
        return entry.fingerprint == bound.fingerprint
    # Another release started it, with another fingerprint of the same arguments.
    before = {
        "tool": entry.tool,
        "version": entry.tool_version,
        "arguments": contract.without_supplied(bound.canonical),
    }
    return entry.fingerprint == digest(before)
