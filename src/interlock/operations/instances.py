"""The instances of a compiled workflow, from outside the graph: their state, their record, and acting on them."""

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
from .reports import Reports
from .ticking import Ticking
from .time_travel import fork, head, rejoin

_MOVES_DRAWN = 1000
"""A picture says which states an instance left: of a longer way, in its last moves."""


class Instances(Budgets, ApprovalDesk, Ticking, Explaining, Reports):
    """The instances of one compiled workflow."""

    def get(self, which: Which, *, by: Principal | None = None) -> Instance:
        """The row of an instance.

        Args:
            which: The instance.
            by: Who looks; without one it is the application.

        Raises:
            InputError: There is none.
            RunError: There is none for the tenant of `by`.
            PrincipalError: It serves somebody else than `by`.
        """
        workflow_id = self.id_of(which)
        return self._engine.store.get(workflow_id) if by is None else self._looked_at(which, by)

    async def aget(self, which: Which, *, by: Principal | None = None) -> Instance:
        """As `get`."""
        return await self._engine.store.database.arun(lambda: self.get(which, by=by))

    def snapshot(
        self, which: Which, *, principal: Principal | None = None, by: Principal | None = None
    ) -> InstanceSnapshot:
        """Where an instance stands.

        Args:
            which: The instance.
            principal: For whom: the next allowed tools are theirs. By default who looks, or who started it.
            by: Who looks; by default the principal, and without one it is the application.

        Raises:
            RunError: There is no such instance for the tenant of who looks.
            PrincipalError: It serves somebody else.
        """
        by = by or principal
        instance = self.get(which, by=by)
        principal = principal or by
        return self._snapshot_of(instance, principal or instance.started_by)

    async def asnapshot(
        self, which: Which, *, principal: Principal | None = None, by: Principal | None = None
    ) -> InstanceSnapshot:
        """As `snapshot`."""
        return await self._engine.store.database.arun(lambda: self.snapshot(which, principal=principal, by=by))

    def picture(self, which: Which, *, principal: Principal | None = None, by: Principal | None = None) -> Picture:
        """The workflow with this instance's state lit; the arguments are those of `snapshot`."""
        by = by or principal
        instance = self.get(which, by=by)
        principal = principal or by
        with self._engine.store.read() as connection:
            moves = audit_rows.latest(connection, instance.workflow_id, [AuditKind.TRANSITION], limit=_MOVES_DRAWN)
        return picture_of_instance(self._engine, instance, moves, principal or instance.started_by)

    async def apicture(
        self, which: Which, *, principal: Principal | None = None, by: Principal | None = None
    ) -> Picture:
        """As `picture`."""
        return await self._engine.store.database.arun(lambda: self.picture(which, principal=principal, by=by))

    def card(self, approval_id: str, *, by: Principal, resume: bool = True) -> ApprovalCard:
        """An approval as a card for a notebook: with buttons where there are widgets, and functions to call everywhere.

        Args:
            approval_id: Which one.
            by: Who decides.
            resume: Whether the thread runs on after a decision.

        Raises:
            InputError: There is no such approval, or it is another tenant's.
            PrincipalError: It asks somebody else.
        """
        self.approval(approval_id, by=by)
        return ApprovalCard(self, approval_id, by, resume=resume)

    async def acard(self, approval_id: str, *, by: Principal, resume: bool = True) -> ApprovalCard:
        """As `card`."""
        await self.aapproval(approval_id, by=by)
        return ApprovalCard(self, approval_id, by, resume=resume)

    def timeline(self, which: Which, *, by: Principal | None = None) -> Timeline:
        """What happened to an instance, in order: a figure in a notebook, and rows for pandas.

        Args:
            which: The instance.
            by: Who looks; without one it is the application.
        """
        workflow_id = self.id_of(which)
        return timeline_of(self.get(which, by=by).workflow, workflow_id, self.audit(which))

    async def atimeline(self, which: Which, *, by: Principal | None = None) -> Timeline:
        """As `timeline`."""
        return await self._engine.store.database.arun(lambda: self.timeline(which, by=by))

    def audit(
        self, which: Which, *, by: Principal | None = None, after: int = 0, limit: int | None = None
    ) -> list[AuditRecord]:
        """The audit trail of an instance, oldest first.

        Args:
            which: The instance.
            by: Who looks; without one it is the application.
            after: The number of the last record that is known already.
            limit: How many at most; all of them without one.
        """
        if by is not None:
            self._looked_at(which, by)
        return self._engine.store.audit(self.id_of(which), after=after, limit=limit)

    async def aaudit(
        self, which: Which, *, by: Principal | None = None, after: int = 0, limit: int | None = None
    ) -> list[AuditRecord]:
        """As `audit`."""
        return await self._engine.store.database.arun(lambda: self.audit(which, by=by, after=after, limit=limit))

    def claims(self, which: Which, *, by: Principal | None = None) -> tuple[str, ...]:
        """The claims that the instance's running version was proved to keep, as its record says.

        Args:
            which: The instance.
            by: Who looks; without one it is the application.

        Returns:
            Each claim as a sentence with what it assumes; none where nothing was claimed, or where the record was erased.
        """
        if by is not None:
            self._looked_at(which, by)
        with self._engine.store.read() as connection:
            return claims_kept(audit_rows.latest(connection, self.id_of(which), COMES_UNDER, limit=1))

    async def aclaims(self, which: Which, *, by: Principal | None = None) -> tuple[str, ...]:
        """As `claims`."""
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
        """Say what became of an interrupted attempt and whose outcome is unknown. The graph finds it when it continues.

        Args:
            which: The instance.
            found: `"happened"` (it counts as carried out, with this output), `"retry"` (it did not, and is to be tried again) or
                `"failed"` (it did not, and is not to be tried again).
            by: Who says so: somebody of the tenant other than the person served, unless they have a role that runs it.
            key: The command's idempotency key; by default the one that the instance waits for.
            output: What the tool would have returned: as Python has it, or with the names on the wire.
            data: The workflow's data as the tool would have left it, whole; by default it changed nothing.
            events: What the tool would have emitted.
            note: How they know; it is in the record, and where it failed, its proposer is told.
            attempt: Which attempt they speak of, when it must not be a later one.

        Returns:
            The command result, or the error where it failed, as on the wire; None when it is to be tried again.

        Raises:
            PrincipalError: It serves them, or who they are is not known.
            InputError: Nothing waits to be resolved, or output or data do not fit.
            ConflictError: It is running, was resolved already, or was tried again since.
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
        """As `resolve`."""
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
        """The config to continue with, where a thread has branches: the newest checkpoint that follows the workflow's last command.

        Args:
            config: The thread.
            by: Who looks; without one it is the application.

        Raises:
            InputError: The thread has no such checkpoint any more.
        """
        return run(self._engine.store, head(self._graph, config, by=by))

    async def ahead(self, config: Config, *, by: Principal | None = None) -> RunnableConfig:
        """As `head`."""
        return await arun(self._engine.store, head(self._graph, config, by=by))

    def rejoin(self, config: Config, *, principal: Principal | None = None) -> RunnableConfig:
        """Let a thread whose checkpoints were lost (deleted, in memory, an older backup) continue with its instance.

        The instance stays where its row says; of the conversation only what the thread still has is known. It is written down.

        Args:
            config: The thread, and the `workflow_id` of the instance where another thread had it.
            principal: Who asks for it; without one it is the application.

        Returns:
            The config to continue with.

        Raises:
            RunError: There is no such instance for the principal's tenant.
            ConflictError: Nothing is lost: the checkpoint of the last command is there.
        """
        return run(self._engine.store, rejoin(self._graph, config, principal=principal))

    async def arejoin(self, config: Config, *, principal: Principal | None = None) -> RunnableConfig:
        """As `rejoin`."""
        return await arun(self._engine.store, rejoin(self._graph, config, principal=principal))

    def fork(
        self, config: Config, *, thread_id: str | None = None, principal: Principal | None = None
    ) -> RunnableConfig:
        """Begin its own instance from a checkpoint of another one: time travel that repeats no business.

        State and data are as the graph saw them at that checkpoint, and the conversation is copied; proposals that waited there
        are not. What was done outside the database stays done.

        Args:
            config: The thread, and the checkpoint with its `checkpoint_id` (the newest one without).
            thread_id: A new thread for it; by default one is named.
            principal: Who asks for it; without one it is the application. The new instance serves whom the other one serves.

        Returns:
            The config of the new thread; `graph.invoke(None, config)` continues with it.

        Raises:
            InputError: There is no such checkpoint.
            ConflictError: The new thread is in use.
        """
        return run(self._engine.store, self._fork(config, thread_id, principal))

    async def afork(
        self, config: Config, *, thread_id: str | None = None, principal: Principal | None = None
    ) -> RunnableConfig:
        """As `fork`."""
        return await arun(self._engine.store, self._fork(config, thread_id, principal))

    def _fork(self, config: Config, thread_id: str | None, principal: Principal | None) -> Steps[RunnableConfig]:
        return fork(self._graph, config, thread_id=thread_id or mint("thread"), principal=principal)
