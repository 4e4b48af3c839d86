"""The instances of a compiled workflow, from outside the graph: where they stand, their record, and acting on them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalRequest, AuditRecord, Instance
from ..checkpointing.store import approvals as approval_rows
from ..nodes.approval import payload
from ..nodes.commands import Broken, Commands, Outcome, unresolved
from ..nodes.decisions import Declined, decide
from ..nodes.driver import Steps, arun, run
from ..nodes.proposals import Proposal
from ..nodes.scope import outside_scope, workflow_id_of
from ..nodes.settling import open_wait
from ..tools.approvals import Decision
from ..tools.canonical import JsonObject
from ..tools.contracts import ToolContract
from ..tools.errors import InputError
from ..tools.ids import TraceId, WorkflowId, mint
from ..tools.principal import Principal
from ..tools.results import InstanceSnapshot

if TYPE_CHECKING:
    from .compiled import WorkflowGraph

Which = str | RunnableConfig
"""An instance: its workflow id, or the config that its thread runs with."""


class Instances:
    """The instances of one compiled workflow."""

    def __init__(self, graph: "WorkflowGraph") -> None:
        self._engine = graph.engine

    def id_of(self, which: Which) -> str:
        """The workflow id that a config stands for."""
        if isinstance(which, str):
            return which
        return workflow_id_of(which.get("configurable", {}), self._engine.definition.name)

    def get(self, which: Which) -> Instance:
        """The row of an instance.

        Raises:
            InputError: There is none.
        """
        return self._engine.store.get(self.id_of(which))

    def snapshot(self, which: Which, *, principal: Principal | None = None) -> InstanceSnapshot:
        """Where an instance stands, for a principal (by default the one who started it)."""
        instance = self.get(which)
        return InstanceSnapshot(
            workflow_id=WorkflowId(instance.workflow_id),
            workflow=instance.workflow,
            version=instance.workflow_version,
            state=instance.state,
            revision=instance.revision,
            data=instance.data,
            next_allowed_tools=self._engine.offered_for(instance, principal or instance.started_by),
            pending_approvals=tuple(
                payload(self._engine, approval)
                for approval in self._engine.store.pending_approvals(instance.workflow_id)
            ),
            waits=open_wait(self._engine, instance),
            tenant=instance.tenant,
            trace_id=TraceId(instance.trace_id),
        )

    def audit(self, which: Which) -> list[AuditRecord]:
        """The audit trail of an instance, oldest first."""
        return self._engine.store.audit(self.id_of(which))

    def execute(
        self,
        which: Which,
        tool: str | ToolContract,
        arguments: Mapping[str, Any],
        *,
        principal: Principal | None = None,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Carry out one tool on an instance without a model: the same gate, ledger, transaction and record.

        Args:
            which: The instance, which must have been started.
            tool: One of its next allowed tools.
            arguments: As on the wire.
            principal: Who asks; nobody in particular by default.
            idempotency_key: The caller's own: the same key and arguments give the stored result again.

        Returns:
            The command result, read result or error, as on the wire.

        Raises:
            ConflictError: Somebody else was first.
            OutcomeUnknown: An attempt broke off in mid-effect.
        """
        by = principal or Principal.ANONYMOUS
        return run(self._engine.store, self._execute(which, tool, arguments, by, idempotency_key)).result

    async def aexecute(
        self,
        which: Which,
        tool: str | ToolContract,
        arguments: Mapping[str, Any],
        *,
        principal: Principal | None = None,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """As `execute`."""
        by = principal or Principal.ANONYMOUS
        return (await arun(self._engine.store, self._execute(which, tool, arguments, by, idempotency_key))).result

    def _execute(
        self, which: Which, tool: str | ToolContract, arguments: Mapping[str, Any], by: Principal, key: str | None
    ) -> Steps[Outcome]:
        workflow_id = self.id_of(which)
        instance = self._engine.owned(self._engine.store.find(workflow_id), by, workflow_id)
        name = tool.name if isinstance(tool, ToolContract) else tool
        proposal = Proposal(
            key=key or mint("key"),
            message_key=mint("msg"),
            tool=name,
            arguments=dict(arguments),
            call_id="",
            requester=by,
            offered=True,
            state=instance.state,
            revision=instance.revision,
        )
        # From outside there is no checkpoint to be behind: what counts is the row alone.
        commands = Commands(self._engine, outside_scope(workflow_id, by), node=None, head=instance.head_checkpoint)
        outcome = yield from commands.carry_out(proposal)
        if isinstance(outcome, Broken):
            raise unresolved(outcome.entry)
        return outcome

    def decide(self, approval_id: str, decision: Decision, *, by: Principal) -> ApprovalRequest:
        """Take a decision on an approval, without the graph; it finds it when it goes on (`graph.invoke(None, config)`).

        Raises:
            PrincipalError: They may not.
            ConflictError: It was decided already, or its time is over.
        """
        with self._engine.store.write() as connection:
            taken = self._decide(connection, approval_id, decision, by)
        if isinstance(taken, Declined):
            raise taken.error
        return taken

    def _decide(
        self, connection: Connection, approval_id: str, decision: Decision, by: Principal
    ) -> ApprovalRequest | Declined:
        approval = approval_rows.load_by_id(connection, approval_id)
        if approval is None:
            raise InputError(f"There is no approval {approval_id}. Nothing was decided.", code="unknown_approval")
        scope = outside_scope(approval.workflow_id, by)
        return decide(self._engine, connection, approval_id, decision, by=by, scope=scope)
