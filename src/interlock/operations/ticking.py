"""Enforces deadlines and resumes threads of settled stops, from outside the graphs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalRequest, Instance, approval_listing
from ..checkpointing.store import approvals as approval_rows
from ..checkpointing.store import instances as instance_rows
from ..checkpointing.store.settled import cancellations, claims, stops
from ..checkpointing.store.settled.stops import Kind, Stop
from ..commands.approvals.deadlines import Lapsed, lapse_one
from ..commands.approvals.handing_on import remind_one
from ..commands.cancelling.cancel import take_up
from ..commands.proposals.proposing import standing
from ..commands.running.access import looked_at
from ..commands.running.driver import arun, run
from ..commands.running.engine import Engine, logger
from ..commands.running.operations import Either, Look, SideBySide, Steps, in_store
from ..commands.running.scope import workflow_id_of
from ..tools.errors import ConflictError, InputError, OutcomeUnknown, StoreUnavailable
from ..tools.principal import Principal
from ..tools.results import ErrorResult
from .compiled import CompiledWorkflow, Which
from .deliveries import Deliveries
from .resuming import AT_ONCE, AnyGraph, Failure, kind_of, resume_config

BATCH = 100
"""The batch size per kind."""
Ids = tuple[str, str]
"""The ids of an approval and its instance."""
T = TypeVar("T")


@dataclass
class Tick:
    """The results of one tick."""

    lapsed: list[Lapsed] = field(default_factory=list)
    """The effects of the deadlines of approvals."""
    ended: list[str] = field(default_factory=list)
    """The instances whose waits ended."""
    resumed: list[str] = field(default_factory=list)
    """The instances whose graphs continued."""
    failed: list[Failure] = field(default_factory=list)
    """The failures, with their errors and times of retry. All other work was done."""
    carried_out: list[str] = field(default_factory=list)
    """The granted proposals from outside the graph that were executed, or that turned out to be void or denied."""
    cancelled: list[str] = field(default_factory=list)
    """The instances whose cancel was completed."""
    reminded: list[str] = field(default_factory=list)
    """The approvals whose deciders were reminded."""


class Ticking:
    """Enforces the deadlines of one compiled workflow, and resumes its threads."""

    _graph: CompiledWorkflow
    _engine: Engine

    def tick(self, *, resume: bool = True, root: AnyGraph | None = None) -> Tick:
        """Process what is due: requests expire, escalate or take another edge; approved calls are executed; waits end; and graphs are
        resumed.

        A graph is resumed after its wait has ended, its approval was decided or expired, or its attempt was resolved; after a decision, the
        tick leaves five seconds to the process that took it. Ticks may run in any number of processes at once, also while graphs run: each
        of these things happens once. Threads are resumed in parallel. A thread that fails does not delay others; a later tick tries it
        again, after pauses that grow to five minutes.

        Args:
            resume: Whether to resume the graphs whose wait, approval or attempt was settled, by this call or by an earlier one that was
                killed.
            root: The graph that contains the workflow, if the workflow is a subgraph; it is resumed in place of the workflow.

        Returns:
            The results of this call; `failed` contains what could not be done.

        Raises:
            StoreUnavailable: The database cannot be reached.
            StoreHeld: A backup was restored, and nobody has confirmed yet that work may continue.
        """
        return run(self._engine.store, self._tick(resume, root))

    async def atick(self, *, resume: bool = True, root: AnyGraph | None = None) -> Tick:
        """Asynchronous form of `tick`, for an application that awaits it at intervals."""
        return await arun(self._engine.store, self._tick(resume, root))

    def _tick(self, resume: bool, root: AnyGraph | None) -> Steps[Tick]:
        yield Look(self._engine.store.refuse_held)
        done = Tick()
        for one in (yield from self._each(self._overdue, self._lapse)):
            match one:
                case Lapsed():
                    done.lapsed.append(one)
                case Failure():
                    done.failed.append(one)
        for one in (yield from self._each(self._unanswered, self._remind)):
            match one:
                case str():
                    done.reminded.append(one)
                case Failure():
                    done.failed.append(one)
        for one in (yield from self._each(self._granted, self._carry_out)):
            match one:
                case str():
                    done.carried_out.append(one)
                case Failure():
                    done.failed.append(one)
        for one in (yield from self._each(self._to_cancel, self._cancel)):
            match one:
                case str():
                    done.cancelled.append(one)
                case Failure():
                    done.failed.append(one)
        waits = yield from Deliveries(self._graph, root).ticking(resume=resume)
        done.ended, done.resumed = waits.ended, waits.resumed
        done.failed += waits.failed
        return done

    def _each(
        self, find: Callable[[Connection, int], list[Ids]], take_up: Callable[[Ids], Steps[Any]]
    ) -> Steps[list[Any]]:
        """Process everything that is found, in parallel, until nothing new is found; each item once."""
        done: list[Any] = []
        seen: set[Ids] = set()
        while True:
            found: list[Ids] = yield from in_store(lambda connection: find(connection, BATCH + len(seen)), write=False)
            new = [ids for ids in found if ids not in seen]
            if not new:
                return done
            seen.update(new)
            done += yield SideBySide([partial(take_up, ids) for ids in new], AT_ONCE)

    def _overdue(self, connection: Connection, limit: int) -> list[Ids]:
        name, now = self._engine.definition.name, self._engine.store.now(connection)
        return approval_listing.due(connection, workflow=name, now=now, limit=limit)

    def _unanswered(self, connection: Connection, limit: int) -> list[Ids]:
        name, now = self._engine.definition.name, self._engine.store.now(connection)
        return approval_listing.reminders(connection, workflow=name, now=now, limit=limit)

    def _remind(self, ids: Ids) -> Steps[str | Failure | None]:
        try:
            done = yield from remind_one(self._engine, *ids)
        except StoreUnavailable:
            raise
        except Exception as error:  # a reminder must not delay deadlines; the next tick retries
            logger.exception("nobody could be reminded of the approval %s", ids[0])
            return Failure("reminder", *ids, error, None)
        return ids[0] if done else None

    def _granted(self, connection: Connection, limit: int) -> list[Ids]:
        name, now = self._engine.definition.name, self._engine.store.now(connection)
        return approval_listing.granted(connection, workflow=name, now=now, limit=limit)

    def _to_cancel(self, connection: Connection, limit: int) -> list[Ids]:
        definition, now = self._engine.definition, self._engine.store.now(connection)
        if definition.cancelling is None:
            return []
        return cancellations.to_take_up(connection, workflow=definition.name, now=now, limit=limit)

    def _cancel(self, ids: Ids) -> Steps[str | Failure | None]:
        done = yield from self._tried(Kind.CANCEL, ids, take_up(self._engine, ids[1]))
        if isinstance(done, Failure):
            return done
        return ids[1] if done else None

    def _lapse(self, ids: Ids) -> Steps[Lapsed | Failure | None]:
        done = yield from self._tried(Kind.DEADLINE, ids, lapse_one(self._engine, *ids))
        return done

    def _carry_out(self, ids: Ids) -> Steps[str | Failure]:
        failure = yield from self._tried(Kind.PROPOSAL, ids, self._carried_out(ids[0]))
        return failure if isinstance(failure, Failure) else ids[0]

    def _carried_out(self, proposal_id: str) -> Steps[None]:
        stood = yield from standing(self._engine, proposal_id, None)
        if isinstance(stood, ErrorResult) and stood.error.retryable:  # a temporary limit: the approval stays granted
            raise ConflictError(stood.error.message, code=stood.error.code, details=stood.error.details)

    def _tried(self, kind: Kind, ids: Ids, steps: Steps[T]) -> Steps[T | Failure]:
        """Execute the work; a failure is recorded for a later retry, and returned."""
        approval_id, workflow_id = ids
        stop = Stop(kind, workflow_id, approval_id)
        try:
            return (yield from steps)
        except (ConflictError, OutcomeUnknown) as error:
            logger.info("the %s of %s is left for the next tick: %s", kind.value, approval_id, error)
            return Failure(kind.value, approval_id, workflow_id, error, None)
        except StoreUnavailable:
            raise
        except Exception as error:
            logger.exception("the %s of %s could not be taken up; a later tick tries again", kind.value, approval_id)
            failure = error
        at = yield from in_store(lambda connection: self._failed(connection, stop, failure))
        return Failure(kind.value, approval_id, workflow_id, failure, at)

    def _failed(self, connection: Connection, stop: Stop, error: Exception) -> int:
        name, now = self._engine.definition.name, self._engine.store.now(connection)
        return claims.failed(connection, stop, workflow=name, error=kind_of(error), now=now)

    def resume(self, which: Which, *, by: Principal | None = None) -> dict[str, Any]:
        """Resume the thread of an instance, for example after a decision that was taken outside the graph.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who receives the output. Without one, the application itself does. The run acts for the proposers, not for
                `by`.

        Returns:
            The output of the run.

        Raises:
            RunError: The tenant of `by` has no such instance.
            PrincipalError: The instance serves somebody other than `by`.
            InputError: The instance has no thread of its own: it was started without one, or its graph is a subgraph.
        """
        return run(self._engine.store, self._resume(which, by))

    async def aresume(self, which: Which, *, by: Principal | None = None) -> dict[str, Any]:
        """Asynchronous form of `resume`, with the same arguments, result and errors."""
        return await arun(self._engine.store, self._resume(which, by))

    def follow(self, approval_id: str) -> dict[str, Any]:
        """Execute what a decision allows: resume the thread, or execute the call that was proposed from outside the graph.

        Args:
            approval_id: The ID of an approval that was decided.

        Returns:
            The output of the run; or, for a proposal from outside the graph, its result as on the wire.

        Raises:
            InputError: There is no such approval, or its instance has no thread of its own (see `why_not_follow`).
        """
        return run(self._engine.store, self._follow(approval_id))

    async def afollow(self, approval_id: str) -> dict[str, Any]:
        """Asynchronous form of `follow`, with the same arguments, result and errors."""
        return await arun(self._engine.store, self._follow(approval_id))

    def _follow(self, approval_id: str) -> Steps[dict[str, Any]]:
        approval: ApprovalRequest = yield Look(lambda: self._engine.store.approval(approval_id))
        if approval.is_at_the_door:
            stood = yield from standing(self._engine, approval_id, None)
            return dict(stood.to_json())
        return (yield from self._resume(approval.workflow_id, None))

    def why_not_follow(self, approval_id: str) -> str | None:
        """Return why `follow` could not execute a decision on an approval, or None if it could. Ask before you take the decision.

        Args:
            approval_id: The ID of the approval. For an unknown ID the result is None; the decision itself then raises.
        """
        with self._engine.store.read() as connection:
            approval = approval_rows.load_by_id(connection, approval_id)
            if approval is None or approval.is_at_the_door:
                return None
            instance = instance_rows.load(connection, approval.workflow_id)
        return None if instance is None else _why_no_thread(instance)

    async def awhy_not_follow(self, approval_id: str) -> str | None:
        """Asynchronous form of `why_not_follow`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.why_not_follow(approval_id))

    def check_thread(self, which: Which, *, by: Principal | None = None) -> None:
        """Check that `resume` can resume the thread of an instance, before you settle something that it should follow.

        Raises:
            RunError: The tenant of `by` has no such instance.
            PrincipalError: The instance serves somebody other than `by`.
            InputError: The instance has no thread of its own.
        """
        self._thread_of(which, by)

    async def acheck_thread(self, which: Which, *, by: Principal | None = None) -> None:
        """Asynchronous form of `check_thread`, with the same arguments, result and errors."""
        await self._engine.store.database.arun(lambda: self.check_thread(which, by=by))

    def _resume(self, which: Which, by: Principal | None) -> Steps[dict[str, Any]]:
        workflow_id, config = yield Either(
            lambda: self._thread_of(which, by),
            lambda: self._engine.store.database.arun(lambda: self._thread_of(which, by)),
        )
        output = yield Either(lambda: self._graph.invoke(None, config), lambda: self._graph.ainvoke(None, config))
        yield from in_store(lambda connection: stops.mark_all(connection, workflow_id))
        return dict(output)

    def _thread_of(self, which: Which, by: Principal | None) -> tuple[str, RunnableConfig]:
        name = self._engine.definition.name
        workflow_id = which if isinstance(which, str) else workflow_id_of(which.get("configurable", {}), name)
        if by is not None:
            looked_at(self._engine, {"workflow_id": workflow_id}, by)
        instance = self._engine.store.get(workflow_id)
        if (reason := _why_no_thread(instance)) is not None:
            raise InputError(f"{reason} Nothing was done.", code="no_thread")
        configurable: dict[str, Any] = {"thread_id": instance.thread_id}
        if workflow_id_of(configurable, name) != workflow_id:
            configurable["workflow_id"] = workflow_id
        return workflow_id, resume_config(configurable, instance)


def _why_no_thread(instance: Instance) -> str | None:
    """Why an instance has no thread that can be resumed here."""
    if instance.checkpoint_ns:
        return f"The workflow {instance.workflow_id} has no separate thread to resume: it runs inside another graph. Resume that graph."
    if instance.thread_id is None:
        return f"The workflow {instance.workflow_id} has no thread to resume: it was created without one."
    return None


__all__ = ["Tick", "Ticking"]
