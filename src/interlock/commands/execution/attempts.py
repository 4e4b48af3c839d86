"""What a command is while it is carried out, and what came of it."""

from dataclasses import dataclass
from typing import Any

from ...checkpointing.store import ApprovalRequest, Instance, LedgerEntry, Unit
from ...rules.gate import Admission
from ...tools.canonical import JsonObject
from ...tools.errors import OutcomeUnknown
from ..running.operations import Attempt


@dataclass(frozen=True)
class Outcome:
    """What became of a proposal."""

    result: JsonObject
    """A command result, a read result or an error, as on the wire."""
    instance: Instance
    replayed: bool = False
    head: str | None = None
    """The checkpoint of the instance's last command, where this line of history follows it: what the graph is to remember."""
    artifact: Any = None
    """What the tool gave the application beside its output, in this very run."""

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return bool(self.result.get("ok"))


@dataclass(frozen=True)
class Broken:
    """An earlier attempt was interrupted, and nobody knows whether its effect happened."""

    entry: LedgerEntry
    advice: str | None = None
    """What anyone who is asked should know beside that, where it was interrupted just now."""


@dataclass
class Admitted(Attempt):
    """A proposal that passed the gate, ready to run or running."""

    unit: Unit
    admission: Admission
    approval: ApprovalRequest | None
    entry: LedgerEntry | None
    """What the ledger has of it so far."""
    epoch: int = 0
    """The lease's epoch, for an effect outside the database."""


def admitted(attempt: Attempt) -> Admitted:
    """The attempt as it was made by the gate."""
    if not isinstance(attempt, Admitted):
        raise TypeError("the attempt was not made here")
    return attempt


def unresolved(entry: LedgerEntry) -> OutcomeUnknown:
    """The error for a command that nobody can continue with before a person has resolved it."""
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
