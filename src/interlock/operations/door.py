"""The door: starting and proposing from outside the graph, by any program, model or person; without a thread, and without a model of ours."""

from collections.abc import Mapping
from typing import Any

from ..checkpointing.store import Instance
from ..commands.approvals.payload import payload
from ..commands.origins.capturing import is_kept, keep_words
from ..commands.proposals.calls import Call
from ..commands.proposals.proposing import Stood, propose, standing
from ..commands.proposals.starting import Start, start
from ..commands.proposals.withdrawing import withdraw
from ..commands.running.access import looked_at
from ..commands.running.driver import arun, run
from ..commands.running.operations import InStore, Look, Steps
from ..commands.running.scope import WORKFLOW_ID, workflow_id_of
from ..commands.waits.settling import open_wait
from ..tools.canonical import JsonObject
from ..tools.contracts import ToolContract
from ..tools.ids import TraceId, WorkflowId
from ..tools.principal import Principal
from ..tools.results import InstanceSnapshot, Result
from .compiled import CompiledWorkflow, Which


class Door:
    """Proposing on the instances of one compiled workflow from outside its graph."""

    def __init__(self, graph: CompiledWorkflow) -> None:
        self._graph = graph
        self._engine = graph.engine

    def id_of(self, which: Which) -> str:
        """The workflow id that a config stands for."""
        if isinstance(which, str):
            return which
        return workflow_id_of(which.get("configurable", {}), self._engine.definition.name)

    def start(
        self,
        *,
        principal: Principal,
        data: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        served: str | Principal | None = None,
    ) -> InstanceSnapshot:
        """Start an instance without a thread. With a `workflow_id` it is safe to repeat: the instance is made once.

        Args:
            principal: Who starts it. They must be somebody who may run it.
            data: Its data, which is to fit the workflow's model.
            workflow_id: An id of the caller's own, of at most 64 characters, that does not begin with `wf_`; by default one is made.
            served: Whom it serves, of the same tenant: an id, or their `Principal`; by default who starts it.

        Returns:
            Its state, with the next allowed tools of `principal`.

        Raises:
            InvalidInput: The data does not fit.
            InputError: The id cannot be stored, or is of the form of those that the library makes.
            PrincipalError: They may not run what serves that person, or the person is of another tenant.
            RunError: The id is another tenant's.
            ConflictError: The id is of an instance that somebody else started, or that was started with something else.
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
        """As `start`."""
        store = self._engine.store
        instance = await arun(store, start(self._engine, Start(principal, data, workflow_id, served)))
        return await store.database.arun(lambda: self._snapshot_of(instance, principal))

    def heard(self, which: Which, text: str, *, principal: Principal) -> bool:
        """Note what the person served said in a conversation that is not this graph's, so that `TrustedOrigins` finds it.

        For programs that propose at the door on behalf of somebody whom they talk to. What a model made of it is not what they said.

        Args:
            which: The instance.
            text: What they said, in their own words; only hashes of it are kept.
            principal: Who said it. It counts where the instance serves them.

        Returns:
            Whether it is kept: not in a workflow without the policy, nor of nobody in particular.

        Raises:
            RunError: There is no such instance for the principal's tenant.
            PrincipalError: It serves somebody else, and they may not run it.
        """
        return run(self._engine.store, self._heard(which, text, principal))

    async def aheard(self, which: Which, text: str, *, principal: Principal) -> bool:
        """As `heard`."""
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
    ) -> Stood:
        """Propose one call: it is judged by the same gate as a model's, and carried out, denied, or asked about.

        A command takes `key` or `revision`. With either, the same call may be made again when its answer was lost, and does nothing twice.
        A key that comes from the revision asks again, after a rejection, an expiry or a withdrawal, only at another revision.

        Args:
            which: The instance.
            tool: One of its next allowed tools: the contract, its canonical name, or the name that models call it by.
            arguments: As on the wire.
            principal: Who proposes. The instance must serve them, or its workflow let them run it.
            key: An id of the caller's own for this call, of at most 128 characters.
            revision: The revision that the caller decided by: the call is carried out at no other.

        Returns:
            `Answered` (a `CommandResult`, a `ReadResult` or an `ErrorResult`), or `Pending` where a person must decide first.

        Raises:
            RunError: There is no such instance for the principal's tenant.
            PrincipalError: It serves somebody else.
            InputError: A command has neither key nor revision (`key_required`), or the key cannot be stored.
            ConflictError: The instance is not at that revision any more, or somebody else moves it; the details say its state.
            IdempotencyError: The key was used for another call.
            OutcomeUnknown: An attempt broke off in mid-effect.
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
    ) -> Stood:
        """As `propose`."""
        call = self._call(which, tool, arguments, principal=principal, key=key, revision=revision)
        return await arun(self._engine.store, propose(self._engine, call))

    def proposal(self, proposal_id: str, *, by: Principal | None = None) -> Stood:
        """Where a proposal stands that a person was asked about; carried out, once, when it was granted since.

        Args:
            proposal_id: As `Pending` gave it.
            by: Who looks: somebody who may propose on the instance; without one it is the application. It runs as who proposed it.

        Returns:
            `Pending` while it waits, and else what came of it: the same each time.

        Raises:
            InputError: There is no such proposal for the tenant of `by`.
            PrincipalError: The instance serves somebody else.
            ConflictError: It is being carried out elsewhere, or it was proposed in a thread, whose graph carries it out.
            OutcomeUnknown: Carrying it out broke off in mid-effect.
        """
        return run(self._engine.store, standing(self._engine, proposal_id, by))

    async def aproposal(self, proposal_id: str, *, by: Principal | None = None) -> Stood:
        """As `proposal`."""
        return await arun(self._engine.store, standing(self._engine, proposal_id, by))

    def withdraw(self, proposal_id: str, *, by: Principal) -> Result:
        """Withdraw a proposal before it is carried out. Withdrawing it again changes nothing.

        Args:
            proposal_id: As `Pending` gave it, or of an approval that a graph waits for.
            by: Who withdraws it: its proposer, or the person served.

        Returns:
            The error result `approval_withdrawn`, which the proposal is answered with from now on.

        Raises:
            InputError: There is no such proposal for the tenant of `by`.
            PrincipalError: They may not.
            ConflictError: It was carried out, turned down or void before, or is being carried out.
        """
        return run(self._engine.store, withdraw(self._engine, proposal_id, by))

    async def awithdraw(self, proposal_id: str, *, by: Principal) -> Result:
        """As `withdraw`."""
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
        """As `propose`, for a call that asks nobody: one that needs a person's decision is denied with `approval_required`.

        Args:
            which: The instance, which must have been started.
            tool: One of its next allowed tools.
            arguments: As on the wire.
            principal: Who proposes it; nobody in particular by default.
            idempotency_key: As `key` of `propose`; a command needs none here, and is then not safe to repeat.
            revision: The revision that the caller decided by; by default the one at the time of the call.

        Returns:
            The command result, read result or error, as on the wire.

        Raises:
            RunError: There is no such instance for the principal's tenant.
            PrincipalError: It serves somebody else.
            InputError: The key is empty, too long, or one that some database would take for another.
            ConflictError: Somebody else was first.
            OutcomeUnknown: An attempt broke off in mid-effect.
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
        """As `execute`."""
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
        name = tool.name if isinstance(tool, ToolContract) else tool
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
