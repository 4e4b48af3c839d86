"""Executes one proposal in the way that its contract requires; the entry point of this folder.

A proposal passes the gate, the ledger, the tool's body, the transition and the record. `transactional` uses one transaction for
all of it; `outside` uses one before the effect and one after it; `reads` uses a read-only connection. `shared` has their common base.
"""

from ...rules.proposals import Proposal
from ...tools.kinds import Effect, ToolKind
from ..running.operations import InStore, Startable, Steps
from .attempts import Broken, Outcome, unresolved
from .outside import Outside
from .reads import Reads
from .shared import Execution, stale
from .transactional import Transactional


class Commands(Execution):
    """Executes proposals on one instance."""

    def carry_out(self, proposal: Proposal) -> Steps[Outcome | Broken]:
        """Judge the proposal and, if it is admitted, run its tool.

        Raises:
            ConflictError: Another caller was first, or is executing it.
            IdempotencyError: Its key was used for something else.
            OutcomeUnknown: A person has to resolve another command of the instance first.
            StaleCheckpoint: This run continues from a checkpoint before the instance's last command.
        """
        return (yield from self.recording(proposal, self._carry_out(proposal)))

    def _carry_out(self, proposal: Proposal) -> Steps[Outcome | Broken]:
        contract = self.engine.definition.contracts.get(proposal.tool)
        if contract is None:
            refused: Outcome = yield InStore(lambda connection: self.refuse(connection, proposal))
            return refused
        yield Startable(contract)
        if contract.kind is ToolKind.READ:
            return (yield from Reads(self).carry_out(proposal))
        if contract.effect is Effect.TRANSACTIONAL:
            return (yield from Transactional(self).carry_out(contract, proposal))
        return (yield from Outside(self).carry_out(contract, proposal))


__all__ = ["Broken", "Commands", "Outcome", "stale", "unresolved"]
