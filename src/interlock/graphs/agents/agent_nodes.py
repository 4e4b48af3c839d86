"""The nodes that execute one call of an agent, and that record a decision by the principal who resumed the agent."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...checkpointing.store import ApprovalRequest, Instance, LedgerEntry
from ...commands.running.engine import Engine
from ...commands.running.operations import Steps
from ...commands.running.scope import Scope
from ...nodes.approval import ApprovalNode, interrupt_id_of
from ...nodes.execution import ExecutionNode
from ...rules.definition import Edge
from ...rules.proposals import PROPOSAL, Proposal
from ...tools.principal import Principal
from ..checks.hosts import check_answerable
from .messages import as_asked


class AgentsApprovalNode(ApprovalNode):
    """Requests approval of an agent's call, which the agent's state may repeat in a changed form."""

    answered = False

    def __init__(self, engine: Engine, edge: Edge, destinations: Mapping[str, str], instance: Instance) -> None:
        super().__init__(engine, edge, destinations)
        self._instance = instance
        self.requester: Principal | None = None
        """The requester of the answered request, from its record."""

    def check_answerable(self, waiting: ApprovalRequest) -> None:
        """Refuse to wait in an agent that could never continue."""
        check_answerable(waiting)

    looks_first = False  # first identify the request of this call

    def recognised(self, proposal: Proposal, approval: ApprovalRequest, scope: Scope) -> Proposal:
        """See `as_asked`. A recorded request is trusted, because it was stored when it was made; an unrecorded claim stays a claim."""
        instance = self._instance
        found = as_asked(proposal, approval, self.edge.tool, interrupt_id_of(scope))
        is_known = instance.seal.fits(proposal.mark, PROPOSAL, instance.workflow_id, proposal.signed())
        is_on_record = found.key == approval.idempotency_key and found.arguments == approval.arguments
        if is_known or (is_on_record and found.tool == approval.tool):
            return self.engine.sealed(instance, replace(found, mark=None))
        return proposal

    def _take(self, answer: Any, waiting: ApprovalRequest, scope: Scope, **how: Any) -> Steps[str | None]:
        problem = yield from super()._take(answer, waiting, scope, **how)
        self.answered = self.answered or problem is None
        self.requester = waiting.requester
        return problem


class AgentsExecutionNode(ExecutionNode):
    """Executes one call of an agent."""

    answered = False

    def _take(self, answer: Any, entry: LedgerEntry, scope: Scope) -> Steps[str | None]:
        problem = yield from super()._take(answer, entry, scope)
        self.answered = self.answered or problem is None
        return problem


__all__ = ["AgentsApprovalNode", "AgentsExecutionNode"]
