"""What is overdue or settled, taken up from outside the graphs: deadlines kept, and threads let continue."""

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
from .resuming import AT_ONCE, AnyGraph, Failure, going_on, kind_of

BATCH = 100
"""How many of a kind are read at once."""
Ids = tuple[str, str]
"""Of an approval and its instance."""
T = TypeVar("T")


@dataclass
class Tick:
    """What one tick did."""

    lapsed: list[Lapsed] = field(default_factory=list)
    """What followed the deadlines of approvals."""
    ended: list[str] = field(default_factory=list)
    """The instances whose waits ended."""
    resumed: list[str] = field(default_factory=list)
    """The instances whose graphs continued."""
    failed: list[Failure] = field(default_factory=list)
    """What could not be taken up, each with its error and when it is tried again. The others continued all the same."""
    carried_out: list[str] = field(default_factory=list)
    """The proposals from outside the graph that had been granted, and were carried out or came to nothing."""
    cancelled: list[str] = field(default_factory=list)
    """The instances whose cancel came to its end."""
    reminded: list[str] = field(default_factory=list)
    """The approvals of which those who are asked were reminded."""


class Ticking:
    """Keeps the deadlines of one compiled workflow, and resumes its thread."""

    _graph: CompiledWorkflow
    _engine: Engine

    def tick(self, *, resume: bool = True, root: AnyGraph | None = None) -> Tick:
        """Take up what is overdue or settled: requests expire, are escalated or another edge is taken, what was granted is carried out, waits
        end, and graphs continue.

        A graph continues from a wait that ended, an approval that was decided or expired, and an attempt that was resolved; a decision is
        left for five seconds to whoever took it. It may run in as many processes as one likes, and beside the graph: each of these
        happens once. Threads continue side by side, and one that fails holds up no other; it is tried again by a later tick, after pauses
        that grow to five minutes.

        Args:
            resume: Whether to resume the graph that are at what is settled: by this call, or by one before that was killed.
            root: The graph that the workflow runs inside of, if it does; let continue in its place.

        Returns:
            What this call did, and in `failed` what it could not.

        Raises:
            StoreUnavailable: The database cannot be reached.
            StoreHeld: A backup was restored, and nobody has said yet that work may continue.
        """
        return run(self._engine.store, self._tick(resume, root))

    async def atick(self, *, resume: bool = True, root: AnyGraph | None = None) -> Tick:
        """As `tick`; to be awaited by an application now and then."""
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
        """Take up everything that is found, side by side, until nothing else is; each once."""
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
        except Exception as error:  # a reminder holds up no deadline; the next tick tries again
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
        if isinstance(stood, ErrorResult) and stood.error.retryable:  # a limit that will pass: it is granted still
            raise ConflictError(stood.error.message, code=stood.error.code, details=stood.error.details)

    def _tried(self, kind: Kind, ids: Ids, steps: Steps[T]) -> Steps[T | Failure]:
        """Do it, and where it fails give the failure, which is written down so that it is tried again after a pause."""
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
        """Run the thread of an instance on, from where it waits: after a decision that was taken outside the graph.

        Args:
            which: The workflow id, or the config that its thread runs with.
            by: Who is shown the output; without one it is the application. The run itself continues as those who proposed.

        Returns:
            The output of the run.

        Raises:
            RunError: There is no such instance for the tenant of `by`.
            PrincipalError: It serves somebody else than `by`.
            InputError: The instance has no thread of its own: it was made without one, or its graph is part of another one.
        """
        return run(self._engine.store, self._resume(which, by))

    async def aresume(self, which: Which, *, by: Principal | None = None) -> dict[str, Any]:
        """As `resume`."""
        return await arun(self._engine.store, self._resume(which, by))

    def follow(self, approval_id: str) -> dict[str, Any]:
        """Let what was decided happen: the thread continues, or what was proposed from outside the graph is carried out.

        Args:
            approval_id: Of an approval that was decided.

        Returns:
            The output of the run; or, of a proposal from outside the graph, what it came to, as on the wire.

        Raises:
            InputError: There is no such approval, or its instance has no thread of its own (see `why_not_follow`).
        """
        return run(self._engine.store, self._follow(approval_id))

    async def afollow(self, approval_id: str) -> dict[str, Any]:
        """As `follow`."""
        return await arun(self._engine.store, self._follow(approval_id))

    def _follow(self, approval_id: str) -> Steps[dict[str, Any]]:
        approval: ApprovalRequest = yield Look(lambda: self._engine.store.approval(approval_id))
        if approval.is_at_the_door:
            stood = yield from standing(self._engine, approval_id, None)
            return dict(stood.to_json())
        return (yield from self._resume(approval.workflow_id, None))

    def why_not_follow(self, approval_id: str) -> str | None:
        """Why nothing can follow a decision on an approval from here, or None: to be asked before the decision is taken.

        Args:
            approval_id: Which one; of one that is not there the decision says so.
        """
        with self._engine.store.read() as connection:
            approval = approval_rows.load_by_id(connection, approval_id)
            if approval is None or approval.is_at_the_door:
                return None
            instance = instance_rows.load(connection, approval.workflow_id)
        return None if instance is None else _why_no_thread(instance)

    async def awhy_not_follow(self, approval_id: str) -> str | None:
        """As `why_not_follow`."""
        return await self._engine.store.database.arun(lambda: self.why_not_follow(approval_id))

    def check_thread(self, which: Which, *, by: Principal | None = None) -> None:
        """See that `resume` can run the thread of an instance on, before something is settled that it is to follow.

        Raises:
            RunError: There is no such instance for the tenant of `by`.
            PrincipalError: It serves somebody else than `by`.
            InputError: The instance has no thread of its own.
        """
        self._thread_of(which, by)

    async def acheck_thread(self, which: Which, *, by: Principal | None = None) -> None:
        """As `check_thread`."""
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
        return workflow_id, going_on(configurable, instance)


def _why_no_thread(instance: Instance) -> str | None:
    """Why an instance has no thread that can be run on from here."""
    if instance.checkpoint_ns:
        return f"The workflow {instance.workflow_id} has no separate thread to resume: it runs inside another graph. Resume that graph."
    if instance.thread_id is None:
        return f"The workflow {instance.workflow_id} has no thread to resume: it was created without one."
    return None


__all__ = ["Tick", "Ticking"]
