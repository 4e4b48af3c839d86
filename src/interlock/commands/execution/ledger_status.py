"""What the ledger already has under a key, and what that means for the command that comes with it."""

from enum import Enum

from ...checkpointing.store import LedgerEntry, LedgerStatus, Unit, leases
from ...rules.proposals import Proposal
from ...tools.canonical import digest
from ...tools.contracts import ToolContract
from ...tools.errors import ConflictError, IdempotencyError, InProgress, InvalidArguments, OutcomeUnknown
from .attempts import unresolved


class EntryState(Enum):
    """What is under a key."""

    NOTHING = "nothing"
    """It may be carried out: it never was, or a person found that it did not happen."""
    STORED = "stored"
    """It was carried out, or said no; its result is there."""
    BROKEN_OFF = "broken off"
    """An attempt began, and nobody is at it any more."""
    UNKNOWN = "unknown"
    """A person has to resolve it."""


def entry_state(unit: Unit, entry: LedgerEntry | None, contract: ToolContract, proposal: Proposal) -> EntryState:
    """What the ledger's entry means for the proposal.

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
    """Whether somebody is still at an attempt: its lease has time left, and its process is not known to be gone."""
    until = unit.instance.lease_until
    if until is None or until <= unit.now or unit.instance.lease_owner != entry.owner:
        return False
    return leases.standing(entry.owner) is not leases.Standing.GONE


def busy(unit: Unit, entry: LedgerEntry) -> ConflictError | OutcomeUnknown:
    """The error for a command that comes while another one's effect is in progress, or of unknown outcome."""
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
    # Another release began it: what it called these arguments is what its fingerprint says.
    before = {
        "tool": entry.tool,
        "version": entry.tool_version,
        "arguments": contract.without_supplied(bound.canonical),
    }
    return entry.fingerprint == digest(before)
