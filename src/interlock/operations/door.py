"""Starts instances and proposes calls from outside the graph, by any program, model or person, without a thread."""

from collections.abc import Mapping
from typing import Any

from ..checkpointing.identifiers import named
from ..checkpointing.store import Instance
from ..commands.approvals.payload import payload
from ..commands.origins.capturing import is_kept, keep_words
from ..commands.proposals.calls import Call
from ..commands.proposals.proposing import ProposalStatus, propose, standing
from ..commands.proposals.starting import Start, start
from ..commands.proposals.withdrawing import withdraw
from ..commands.running.access import looked_at
from ..commands.running.driver import arun, run
from ..commands.running.operations import InStore, Look, Steps
from ..commands.running.scope import WORKFLOW_ID, workflow_id_of
from ..commands.waits.settling import open_wait
from ..tools.canonical import JsonObject
from ..tools.contracts import ToolContract
from ..tools.errors import InputError
from ..tools.ids import TraceId, WorkflowId
from ..tools.principal import Principal
from ..tools.results import InstanceSnapshot, Result
from .compiled import CompiledWorkflow, Which


class Door:
    """Operations to start and propose on the instances of one compiled workflow from outside its graph."""

    def __init__(self, graph: CompiledWorkflow) -> None:
        self._graph = graph
        self._engine = graph.engine

    def id_of(self, which: Which) -> str:
        """Return the workflow ID for a config."""
        if isinstance(which, str):
            return named("workflow_id", which, 64)
        configurable = which.get("configurable", {}) if isinstance(which, Mapping) else None
        if not isinstance(configurable, Mapping):
            raise InputError(
                f"{which!r:.200} names no instance. Nothing was done; pass its workflow id, or the config of its thread.",
                code="invalid_id",
            )
        return workflow_id_of(configurable, self._engine.definition.name)

    def start(
        self,
        *,
        principal: Principal,
        data: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        served: str | Principal | None = None,
    ) -> InstanceSnapshot:
        """Start an instance without a thread. With a `workflow_id`, the call is safe to repeat: the instance is created once.

        Args:
            principal: The principal who starts it, and who must be allowed to run it.
            data: The initial data, as fields of the workflow's data model.
            workflow_id: An ID that the caller chooses, of at most 64 characters, and not beginning with `wf_`. By default one is generated.
            served: The person whom it serves, of the same tenant: an ID or a `Principal`. By default the principal who starts it.

        Returns:
            The instance's state, with the next allowed tools of `principal`.

        Raises:
            InvalidInput: The data does not fit.
            InputError: The ID cannot be stored, or begins with `wf_`.
            PrincipalError: `principal` may not run an instance for that person, or the person belongs to another tenant.
            RunError: The ID is in use by another tenant.
            ConflictError: An instance with this ID was started by somebody else or with other data.
        """
        instance = run(self._engine.store, start(self._engine, Start(principal, data, workflow_id, served)))
        return self._snapshot_of(instance, principal)

    async def astart(
        self,
        *,
        principal: Principal,
        data: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        served: str | Principal | None = None,
    ) -> InstanceSnapshot:
        """Asynchronous form of `start`, with the same arguments, result and errors."""
        store = self._engine.store
        instance = await arun(store, start(self._engine, Start(principal, data, workflow_id, served)))
        return await store.database.arun(lambda: self._snapshot_of(instance, principal))

    def heard(self, which: Which, text: str, *, principal: Principal) -> bool:
        """Record what the person served said in a conversation outside this graph, so that `TrustedOrigins` finds it.

        For programs that talk to a person and propose calls on their behalf with `propose`. Pass the person's own words, not a model's
        summary.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            text: What the person said, in their own words. Only hashes of it are stored.
            principal: The person who said it. It counts only if the instance serves them.

        Returns:
            Whether it was recorded. It is not recorded in a workflow without that policy, or for an anonymous principal.

        Raises:
            RunError: The principal's tenant has no such instance.
            PrincipalError: The instance serves somebody else, and `principal` may not run it.
        """
        return run(self._engine.store, self._heard(which, text, principal))

    async def aheard(self, which: Which, text: str, *, principal: Principal) -> bool:
        """Asynchronous form of `heard`, with the same arguments, result and errors."""
        return await arun(self._engine.store, self._heard(which, text, principal))

    def _heard(self, which: Which, text: str, principal: Principal) -> Steps[bool]:
        configurable = {WORKFLOW_ID: self.id_of(which)}
        yield Look(lambda: looked_at(self._engine, configurable, principal))
        if not text.strip() or not is_kept(self._engine.definition, principal):
            return False
        yield InStore(lambda connection: keep_words(self._engine, connection, self.id_of(which), principal, [text]))
        return True

    def propose(
        self,
        which: Which,
        tool: str | ToolContract,
        arguments: Mapping[str, Any],
        *,
        principal: Principal,
        key: str | None = None,
        revision: int | None = None,
    ) -> ProposalStatus:
        """Propose one call from outside the graph. The same gate judges it as a model's call: it is executed, denied, or waits for a
        decision.

        A command needs `key` or `revision`. With either, the caller may repeat the call after a lost answer, and nothing is done twice.
        With a revision alone, a call that was rejected, expired or withdrawn can be proposed again only at another revision.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            tool: One of the instance's next allowed tools: the contract, its canonical name, or its wire name.
            arguments: As on the wire.
            principal: The proposer. The instance must serve them, or the workflow must allow them to run it.
            key: An ID that the caller chooses for this call, of at most 128 characters.
            revision: The revision on which the caller based the call. At any other revision it is not executed.

        Returns:
            `Answered` (a `CommandResult`, a `ReadResult` or an `ErrorResult`); or `Pending` if a person must decide first.

        Raises:
            RunError: The principal's tenant has no such instance.
            PrincipalError: The instance serves somebody else.
            InputError: A command has neither a key nor a revision (`key_required`), or the key cannot be stored.
            ConflictError: The instance is no longer at that revision, or somebody else is changing it. The details have its state.
            IdempotencyError: The key was used for another call.
            OutcomeUnknown: An attempt was interrupted during its effect.
        """
        return run(
            self._engine.store,
            propose(self._engine, self._call(which, tool, arguments, principal=principal, key=key, revision=revision)),
        )

    async def apropose(
        self,
        which: Which,
        tool: str | ToolContract,
        arguments: Mapping[str, Any],
        *,
        principal: Principal,
        key: str | None = None,
        revision: int | None = None,
    ) -> ProposalStatus:
        """Asynchronous form of `propose`, with the same arguments, result and errors."""
        call = self._call(which, tool, arguments, principal=principal, key=key, revision=revision)
        return await arun(self._engine.store, propose(self._engine, call))

    def proposal(self, proposal_id: str, *, by: Principal | None = None) -> ProposalStatus:
        """Return the status of a proposal that needed a person's decision. If it was approved meanwhile, it is executed now, once.

        Args:
            proposal_id: The id in `Pending`.
            by: The principal who looks: somebody who may propose on the instance. Without one, the application itself looks. The call runs
                as its proposer.

        Returns:
            `Pending` while it waits; afterwards its result, the same each time.

        Raises:
            InputError: There is no such proposal for the tenant of `by`.
            PrincipalError: The instance serves somebody else.
            ConflictError: It is being executed elsewhere, or it was proposed in a thread, whose graph executes it.
            OutcomeUnknown: It was interrupted during its effect.
        """
        return run(self._engine.store, standing(self._engine, proposal_id, by))

    async def aproposal(self, proposal_id: str, *, by: Principal | None = None) -> ProposalStatus:
        """Asynchronous form of `proposal`, with the same arguments, result and errors."""
        return await arun(self._engine.store, standing(self._engine, proposal_id, by))

    def withdraw(self, proposal_id: str, *, by: Principal) -> Result:
        """Withdraw a proposal before it is executed. Withdrawing it again changes nothing.

        Args:
            proposal_id: The id in `Pending`, or of an approval that a graph waits for.
            by: The principal who withdraws it: the proposer, or the person served.

        Returns:
            The error result `approval_withdrawn`, which is the answer to the proposal from now on.

        Raises:
            InputError: There is no such proposal for the tenant of `by`.
            PrincipalError: `by` is not allowed to.
            ConflictError: It was executed, rejected or voided before, or is being executed.
        """
        return run(self._engine.store, withdraw(self._engine, proposal_id, by))

    async def awithdraw(self, proposal_id: str, *, by: Principal) -> Result:
        """Asynchronous form of `withdraw`, with the same arguments, result and errors."""
        return await arun(self._engine.store, withdraw(self._engine, proposal_id, by))

    def execute(
        self,
        which: Which,
        tool: str | ToolContract,
        arguments: Mapping[str, Any],
        *,
        principal: Principal | None = None,
        idempotency_key: str | None = None,
        revision: int | None = None,
    ) -> JsonObject:
        """Propose one call from outside the graph that must not wait: a call that needs a person's decision is denied with
        `approval_required`.

        Args:
            which: The instance, which must have been started: its workflow ID, or the config of its thread.
            tool: One of its next allowed tools.
            arguments: As on the wire.
            principal: The proposer; by default an anonymous principal.
            idempotency_key: As `key` of `propose`. A command may go without one here, but is then not safe to repeat.
            revision: The revision on which the caller based the call; by default the current one.

        Returns:
            The command result, read result or error, as on the wire.

        Raises:
            RunError: The principal's tenant has no such instance.
            PrincipalError: The instance serves somebody else.
            InputError: The key is empty, too long, or a database could confuse it with another one.
            ConflictError: Another caller was first.
            OutcomeUnknown: An attempt was interrupted during its effect.
        """
        call = self._execution(which, tool, arguments, principal=principal, key=idempotency_key, revision=revision)
        return run(self._engine.store, propose(self._engine, call)).to_json()

    async def aexecute(
        self,
        which: Which,
        tool: str | ToolContract,
        arguments: Mapping[str, Any],
        *,
        principal: Principal | None = None,
        idempotency_key: str | None = None,
        revision: int | None = None,
    ) -> JsonObject:
        """Asynchronous form of `execute`, with the same arguments, result and errors."""
        call = self._execution(which, tool, arguments, principal=principal, key=idempotency_key, revision=revision)
        return (await arun(self._engine.store, propose(self._engine, call))).to_json()

    def _call(
        self,
        which: Which,
        tool: str | ToolContract,
        arguments: Mapping[str, Any],
        *,
        principal: Principal,
        key: str | None,
        revision: int | None,
        asks: bool = True,
    ) -> Call:
        name: object = tool.name if isinstance(tool, ToolContract) else tool
        if not isinstance(name, str):
            raise InputError(
                f"tool is of the type {type(name).__name__}. Nothing was proposed; pass the name of a tool, or its contract: what @read, "
                "@command or @event made of the function.",
                code="invalid_request",
            )
        return Call(self.id_of(which), name, arguments, principal, key, revision, asks)

    def _execution(
        self,
        which: Which,
        tool: str | ToolContract,
        arguments: Mapping[str, Any],
        *,
        principal: Principal | None,
        key: str | None,
        revision: int | None,
    ) -> Call:
        by = principal or Principal.ANONYMOUS
        return self._call(which, tool, arguments, principal=by, key=key, revision=revision, asks=False)

    def _snapshot_of(self, instance: Instance, principal: Principal) -> InstanceSnapshot:
        return InstanceSnapshot(
            workflow_id=WorkflowId(instance.workflow_id),
            workflow=instance.workflow,
            version=instance.workflow_version,
            state=instance.state,
            revision=instance.revision,
            data=instance.data,
            next_allowed_tools=self._engine.offered_for(instance, principal),
            pending_approvals=tuple(
                payload(self._engine, approval)
                for approval in self._engine.store.pending_approvals(instance.workflow_id)
            ),
            waits=open_wait(self._engine, instance),
            tenant=instance.tenant,
            trace_id=TraceId(instance.trace_id),
        )


__all__ = ["Door", "Which"]
