"""The nodes that carry out one call of an agent, which know afterwards whether whoever resumed the agent has decided on it."""

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
    """Asks about a call of an agent, which its state may hold again, and otherwise than it was asked about."""

    answered = False

    def __init__(self, engine: Engine, edge: Edge, destinations: Mapping[str, str], instance: Instance) -> None:
        super().__init__(engine, edge, destinations)
        self._instance = instance
        self.requester: Principal | None = None
        """Who proposed what an answer was about, by the request on record."""

    def check_answerable(self, waiting: ApprovalRequest) -> None:
        """Refuse to wait in an agent that could never continue."""
        check_answerable(waiting)

    looks_first = False  # what a request is about is recognised first

    def recognised(self, proposal: Proposal, approval: ApprovalRequest, scope: Scope) -> Proposal:
        """See `as_asked`. What is on record was stored when it was made, and is believed; a claim that is not stays one."""
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
    """Carries one call of an agent out."""

    answered = False

    def _take(self, answer: Any, entry: LedgerEntry, scope: Scope) -> Steps[str | None]:
        problem = yield from super()._take(answer, entry, scope)
        self.answered = self.answered or problem is None
        return problem


__all__ = ["AgentsApprovalNode", "AgentsExecutionNode"]
