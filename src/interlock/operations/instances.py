"""Operations on the instances of a compiled workflow from outside the graph: their state, their audit trail, and their threads."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

from ..checkpointing.store import AuditKind, AuditRecord, Instance
from ..checkpointing.store import audit as audit_rows
from ..checkpointing.store.trail import COMES_UNDER, claims_kept
from ..commands.execution.resolution import Found, FoundName, Resolution, resolve
from ..commands.running.access import looked_at, record_denial
from ..commands.running.driver import arun, run
from ..commands.running.operations import Steps
from ..pictures.card import ApprovalCard
from ..pictures.picture import Picture, picture_of_instance
from ..pictures.timeline import Timeline, timeline_of
from ..tools.canonical import JsonObject
from ..tools.errors import PrincipalError
from ..tools.events import Event
from ..tools.ids import mint
from ..tools.principal import Principal
from ..tools.results import InstanceSnapshot
from .approval_desk import ApprovalDesk
from .budgets import Budgets
from .compiled import Config, Which
from .explaining import Explaining
from .refusals import checked
from .reports import Reports
from .ticking import Ticking
from .time_travel import fork, head, rejoin

_MOVES_DRAWN = 1000
"""A picture marks the states that an instance left in its last moves; this is the maximum number of moves."""


@checked
class Instances(Budgets, ApprovalDesk, Ticking, Explaining, Reports):
    """The instances of one compiled workflow."""

    def get(self, which: Which, *, by: Principal | None = None) -> Instance:
        """Return the row of an instance.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who looks. Without one, the application itself looks.

        Raises:
            InputError: There is none.
            RunError: The tenant of `by` has no such instance.
            PrincipalError: The instance serves somebody other than `by`.
        """
        workflow_id = self.id_of(which)
        return self._engine.store.get(workflow_id) if by is None else self._looked_at(which, by)

    async def aget(self, which: Which, *, by: Principal | None = None) -> Instance:
        """Asynchronous form of `get`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.get(which, by=by))

    def snapshot(
        self, which: Which, *, principal: Principal | None = None, by: Principal | None = None
    ) -> InstanceSnapshot:
        """Return the current state of an instance.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            principal: The principal whose next allowed tools are listed; by default `by`, or the principal who started the instance.
            by: The principal who looks; by default `principal`. Without either, the application itself looks.

        Raises:
            RunError: The tenant of the principal who looks has no such instance.
            PrincipalError: The instance serves somebody else.
        """
        by = by or principal
        instance = self.get(which, by=by)
        principal = principal or by
        return self._snapshot_of(instance, principal or instance.started_by)

    async def asnapshot(
        self, which: Which, *, principal: Principal | None = None, by: Principal | None = None
    ) -> InstanceSnapshot:
        """Asynchronous form of `snapshot`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.snapshot(which, principal=principal, by=by))

    def picture(self, which: Which, *, principal: Principal | None = None, by: Principal | None = None) -> Picture:
        """Return the workflow as a picture with the instance's current state highlighted. Arguments and errors are those of `snapshot`."""
        by = by or principal
        instance = self.get(which, by=by)
        principal = principal or by
        with self._engine.store.read() as connection:
            moves = audit_rows.latest(connection, instance.workflow_id, [AuditKind.TRANSITION], limit=_MOVES_DRAWN)
        return picture_of_instance(self._engine, instance, moves, principal or instance.started_by)

    async def apicture(
        self, which: Which, *, principal: Principal | None = None, by: Principal | None = None
    ) -> Picture:
        """Asynchronous form of `picture`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.picture(which, principal=principal, by=by))

    def card(self, approval_id: str, *, by: Principal, resume: bool = True) -> ApprovalCard:
        """Return an approval as a card for a notebook: with buttons if the notebook has widgets, and always with methods to decide.

        Args:
            approval_id: The ID of the approval.
            by: The principal who decides.
            resume: Whether the thread is resumed after a decision.

        Raises:
            InputError: There is no such approval, or it belongs to another tenant.
            PrincipalError: The approval asks somebody else.
        """
        self.approval(approval_id, by=by)
        return ApprovalCard(self, approval_id, by, resume=resume)

    async def acard(self, approval_id: str, *, by: Principal, resume: bool = True) -> ApprovalCard:
        """Asynchronous form of `card`, with the same arguments, result and errors."""
        await self.aapproval(approval_id, by=by)
        return ApprovalCard(self, approval_id, by, resume=resume)

    def timeline(self, which: Which, *, by: Principal | None = None) -> Timeline:
        """Return what happened to an instance, in order: a figure in a notebook, and rows for pandas.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who looks. Without one, the application itself looks.
        """
        workflow_id = self.id_of(which)
        return timeline_of(self.get(which, by=by).workflow, workflow_id, self.audit(which))

    async def atimeline(self, which: Which, *, by: Principal | None = None) -> Timeline:
        """Asynchronous form of `timeline`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.timeline(which, by=by))

    def audit(
        self, which: Which, *, by: Principal | None = None, after: int = 0, limit: int | None = None
    ) -> list[AuditRecord]:
        """Return the audit trail of an instance, oldest record first.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who looks. Without one, the application itself looks.
            after: Return only records with a higher number than this.
            limit: The largest number of records; by default all of them.
        """
        if by is not None:
            self._looked_at(which, by)
        return self._engine.store.audit(self.id_of(which), after=after, limit=limit)

    async def aaudit(
        self, which: Which, *, by: Principal | None = None, after: int = 0, limit: int | None = None
    ) -> list[AuditRecord]:
        """Asynchronous form of `audit`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.audit(which, by=by, after=after, limit=limit))

    def claims(self, which: Which, *, by: Principal | None = None) -> tuple[str, ...]:
        """Return the claims that were proved for the definition that the instance runs, as recorded.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who looks. Without one, the application itself looks.

        Returns:
            Each claim as a sentence, with its assumptions; empty if nothing was claimed or the record was erased.
        """
        if by is not None:
            self._looked_at(which, by)
        with self._engine.store.read() as connection:
            return claims_kept(audit_rows.latest(connection, self.id_of(which), COMES_UNDER, limit=1))

    async def aclaims(self, which: Which, *, by: Principal | None = None) -> tuple[str, ...]:
        """Asynchronous form of `claims`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.claims(which, by=by))

    def resolve(
        self,
        which: Which,
        found: Found | FoundName,
        *,
        by: Principal,
        key: str | None = None,
        output: Any = None,
        data: Mapping[str, Any] | None = None,
        events: Iterable[Event] = (),
        note: str | None = None,
        attempt: int | None = None,
    ) -> JsonObject | None:
        """Record the outcome of an interrupted attempt whose outcome is unknown. The graph uses it when it is resumed.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            found: `"happened"` (the effect took place, and the call counts as carried out with this output), `"retry"` (it did not, and the
                call is tried again) or `"failed"` (it did not, and the call is not tried again).
            by: The principal who says so: somebody of the tenant other than the person served, unless they have a role that may run the
                instance.
            key: The idempotency key of the command; by default that of the attempt for which the instance waits.
            output: What the tool would have returned: as a Python value, or as JSON data with the names on the wire.
            data: The complete workflow data as the tool would have left it; by default unchanged.
            events: The events that the tool would have emitted.
            note: How the principal knows. It is recorded; for a failed call, the proposer sees it as well.
            attempt: The number of the attempt, to refuse the resolution if a later attempt was made.

        Returns:
            The command result, or the error of a failed call, as on the wire; None if the call is tried again.

        Raises:
            PrincipalError: `by` is the person served, or nobody in particular.
            InputError: No attempt has an unknown outcome, or `output` or `data` do not fit.
            ConflictError: The attempt is running, was resolved already, or was tried again since.
        """
        resolution = Resolution(Found(found), output, data, tuple(events), note, attempt)
        workflow_id = self.id_of(which)
        try:
            with self._engine.store.write_and_know() as connection:
                outcome = resolve(self._engine, connection, workflow_id, key, resolution, by=by)
                self._engine.store.note_due(connection, workflow_id, f"attempt/{mint('due')}")
        except PrincipalError as error:
            record_denial(self._engine, workflow_id, error, by=by)
            raise
        return None if outcome is None else outcome.result

    async def aresolve(
        self,
        which: Which,
        found: Found | FoundName,
        *,
        by: Principal,
        key: str | None = None,
        output: Any = None,
        data: Mapping[str, Any] | None = None,
        events: Iterable[Event] = (),
        note: str | None = None,
        attempt: int | None = None,
    ) -> JsonObject | None:
        """Asynchronous form of `resolve`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(
            lambda: self.resolve(
                which, found, by=by, key=key, output=output, data=data, events=events, note=note, attempt=attempt
            )
        )

    def _looked_at(self, which: Which, by: Principal) -> Instance:
        """The instance, for somebody who may see it.

        Raises:
            RunError: There is none for their tenant.
            PrincipalError: It serves somebody else; that is recorded.
        """
        configurable = {"workflow_id": which} if isinstance(which, str) else which.get("configurable", {})
        return looked_at(self._engine, configurable, by)

    def head(self, config: Config, *, by: Principal | None = None) -> RunnableConfig:
        """Return the config with which a thread that has branches continues: that of the newest checkpoint after the workflow's last
        command.

        Args:
            config: The thread.
            by: The principal who looks. Without one, the application itself looks.

        Raises:
            InputError: The thread no longer has such a checkpoint.
        """
        return run(self._engine.store, head(self._graph, config, by=by))

    async def ahead(self, config: Config, *, by: Principal | None = None) -> RunnableConfig:
        """Asynchronous form of `head`, with the same arguments, result and errors."""
        return await arun(self._engine.store, head(self._graph, config, by=by))

    def rejoin(self, config: Config, *, principal: Principal | None = None) -> RunnableConfig:
        """Let a thread continue with its instance after its checkpoints were lost (deleted, in memory, or an older backup).

        The state of the instance does not change. Of the conversation, only what the thread still has is available. The audit trail records
        this.

        Args:
            config: The config of the thread, with the `workflow_id` of the instance if it ran in another thread.
            principal: The principal who asks for this. Without one, the application itself does.

        Returns:
            The config to continue with.

        Raises:
            RunError: The principal's tenant has no such instance.
            ConflictError: Nothing was lost: the checkpoint of the last command exists.
        """
        return run(self._engine.store, rejoin(self._graph, config, principal=principal))

    async def arejoin(self, config: Config, *, principal: Principal | None = None) -> RunnableConfig:
        """Asynchronous form of `rejoin`, with the same arguments, result and errors."""
        return await arun(self._engine.store, rejoin(self._graph, config, principal=principal))

    def fork(
        self, config: Config, *, thread_id: str | None = None, principal: Principal | None = None
    ) -> RunnableConfig:
        """Start a new instance from a checkpoint of another one: time travel that repeats no command.

        The new instance has the state and the data of that checkpoint and a copy of the conversation, without proposals that waited there.
        Effects outside the database are not undone.

        Args:
            config: The config of the thread, with the `checkpoint_id` of the checkpoint; by default the newest one.
            thread_id: The ID of the new thread; by default a generated one.
            principal: The principal who asks for this. Without one, the application itself does. The new instance serves the same person as
                the other one.

        Returns:
            The config of the new thread; `graph.invoke(None, config)` continues with it.

        Raises:
            InputError: There is no such checkpoint.
            ConflictError: The new thread exists already.
        """
        return run(self._engine.store, self._fork(config, thread_id, principal))

    async def afork(
        self, config: Config, *, thread_id: str | None = None, principal: Principal | None = None
    ) -> RunnableConfig:
        """Asynchronous form of `fork`, with the same arguments, result and errors."""
        return await arun(self._engine.store, self._fork(config, thread_id, principal))

    def _fork(self, config: Config, thread_id: str | None, principal: Principal | None) -> Steps[RunnableConfig]:
        return fork(self._graph, config, thread_id=thread_id or mint("thread"), principal=principal)
