"""Resumes graphs from settled stops: an ended wait, a decided or expired approval, a resolved attempt.

The settlement is committed in SQL first; the resume only makes the graph see it. A later tick repeats a resume that failed or that a
killed process did not make. So a stop is deleted only after its thread was seen to have continued.

A claim in SQL lets only one of several ticks resume a stop. Threads are resumed in parallel; a failed one is retried after others, with
growing pauses.
"""

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from sqlalchemy.engine import Connection

from ..checkpointing.store import Instance, leases
from ..checkpointing.store import instances as instance_rows
from ..checkpointing.store import waits as wait_rows
from ..checkpointing.store.settled import claims, stops
from ..checkpointing.store.settled.stops import LEFT_ALONE, Kind, Stop
from ..commands.running.engine import logger
from ..commands.running.operations import Either, SideBySide, Steps, in_store
from ..commands.running.principals import ACTOR
from ..commands.running.scope import workflow_id_of
from ..nodes.execution import OUTCOME_UNKNOWN
from ..tools.errors import ConflictError, InterlockError, StoreUnavailable
from ..tools.principal import RuntimeActor
from ..tools.storable import type_name
from .compiled import CompiledWorkflow, HasEngine

AnyGraph = CompiledStateGraph[Any, Any, Any, Any]

ABANDONED_AFTER = 300.0
"""A resumed run without a new checkpoint for so long counts as abandoned by a dead process, and a tick resumes it."""
BATCH = 1_000
"""The maximum number of stops of each kind per tick."""
AT_ONCE = 8
"""The maximum number of threads that one tick resumes concurrently."""
_LOOK_AGAIN = 5.0
"""Seconds until the next check of a thread that another process runs."""


@dataclass(frozen=True)
class Failure:
    """Something that is settled or overdue, but could not be resumed. A later tick retries."""

    kind: str
    """`wait`, `approval`, `attempt`, or `deadline`."""
    id: str
    """The id of the wait or the approval; for an attempt, its idempotency key."""
    workflow_id: str
    error: Exception
    retry_at: int | None
    """The time of the next retry, in microseconds since 1970 UTC; None for the next tick."""


@dataclass
class Resumed:
    """The result of resuming graphs."""

    workflow_ids: list[str] = field(default_factory=list)
    """The instances whose graphs continued."""
    failed: list[Failure] = field(default_factory=list)
    """The graphs that could not be resumed."""

    @classmethod
    def of(cls, parts: Iterable["Resumed"]) -> "Resumed":
        """Merge several results; each instance occurs once."""
        whole = cls()
        for part in parts:
            whole.workflow_ids += part.workflow_ids
            whole.failed += part.failed
        whole.workflow_ids = list(dict.fromkeys(whole.workflow_ids))
        return whole


class _ThreadStatus(Enum):
    WAITS = "waits"
    RUNS = "runs"
    LEFT = "left"
    ELSEWHERE = "elsewhere"


class Resumer:
    """Resumes the graphs of one workflow.

    Args:
        graph: The compiled workflow; or a middleware's stand-in for one.
        root: The graph that contains it, if it is a subgraph; resumed in its place.
        abandoned_after: How long a resumed run may be without a new checkpoint before it counts as abandoned.
    """

    def __init__(
        self, graph: CompiledWorkflow | HasEngine, root: AnyGraph | None, *, abandoned_after: float | None = None
    ) -> None:
        self._engine = graph.engine
        # A middleware has no graph of its own: its threads are those of the agent.
        self._own: AnyGraph | None = graph if isinstance(graph, CompiledStateGraph) else root
        self._root = root
        self._abandoned_after = ABANDONED_AFTER if abandoned_after is None else abandoned_after

    def all(self) -> Steps[Resumed]:
        """Resume every graph that is not known to have resumed, and whose attempt is due."""
        found: list[Stop] = yield from in_store(self._pending, write=False)
        return (yield from self.resume(found))

    def ended(self, wait_ids: Iterable[str]) -> Steps[Resumed]:
        """Resume the graphs of these ended waits."""
        ids = [*wait_ids]
        if not ids:
            return Resumed()
        found: list[Stop] = yield from in_store(lambda connection: _of_waits(connection, ids), write=False)
        return (yield from self.resume(found))

    def resume(self, found: list[Stop]) -> Steps[Resumed]:
        """Resume the graphs of these stops. A failure is logged, and left to a later tick."""
        if not found or self._own is None:
            return Resumed()
        threads: list[list[_Due]] = yield from in_store(lambda connection: self._by_thread(connection, found))
        with self._owner(bool(threads)) as owner:
            parts = yield SideBySide([_body(self, due, owner) for due in threads], AT_ONCE)
        return Resumed.of(parts)

    @contextlib.contextmanager
    def _owner(self, wanted: bool) -> Iterator[str]:
        """An owner of claims, which are renewed while this runs."""

        def renewed() -> bool:
            with self._engine.store.write() as connection:
                claims.renew(connection, owner, now=self._engine.store.now(connection))
            return True

        with leases.held() as owner:
            if not wanted:
                yield owner
                return
            with leases.kept(renewed, seconds=claims.HELD_SECONDS):
                yield owner

    def _pending(self, connection: Connection) -> list[Stop]:
        if self._own is None:
            return []
        now = self._engine.store.now(connection)
        found = stops.pending(
            connection,
            workflow=self._engine.definition.name,
            now=now,
            decided_before=now - int(LEFT_ALONE * 1_000_000),
            # Without `root`, embedded graphs resume when the outer graph runs again.
            inside=self._root is not None,
            limit=BATCH,
        )
        return [stop for stop in found if not claims.is_held(stop.owner, stop.held_until, now)]

    def _by_thread(self, connection: Connection, found: list[Stop]) -> list[list["_Due"]]:
        """The stops grouped by thread, so that a thread is never resumed twice concurrently."""
        threads: dict[tuple[str, bool], list[_Due]] = {}
        for stop in found:
            instance = instance_rows.load(connection, stop.workflow_id)
            if instance is None or instance.thread_id is None:
                stops.mark(connection, stop)  # there is no graph to resume
                continue
            inside = bool(instance.checkpoint_ns)
            runner = self._root if inside else self._own
            if runner is not None:
                due = _Due(stop, runner, self._config(instance))
                threads.setdefault((instance.thread_id, runner is self._root), []).append(due)
        return [*threads.values()]

    def _config(self, instance: Instance) -> RunnableConfig:
        configurable: dict[str, Any] = {"thread_id": instance.thread_id}
        if not instance.checkpoint_ns:
            derived = workflow_id_of(configurable, self._engine.definition.name)
            if derived != instance.workflow_id:
                configurable["workflow_id"] = instance.workflow_id
        return resume_config(configurable, instance)

    def thread(self, due: list["_Due"], owner: str) -> Steps[Resumed]:
        """Resume one thread from its stops, one after another, because the first run may serve all of them."""
        done = Resumed()
        for one in due:
            claimed = yield from in_store(lambda connection, one=one: self._claimed(connection, one.stop, owner))  # type: ignore[misc]
            if claimed is None:
                continue  # it has continued, or another process is resuming it
            standing, error = yield from self._resume_stop(one, failed_before=claimed.attempts > 0)
            if error is None and standing in {_ThreadStatus.WAITS, _ThreadStatus.LEFT}:
                done.workflow_ids.append(one.stop.workflow_id)
            failure = yield from in_store(
                lambda connection, one=one, standing=standing, error=error: self._settle(  # type: ignore[misc]
                    connection, one.stop, owner, standing, error
                )
            )
            if failure is not None:
                done.failed.append(failure)
        return done

    def _resume_stop(self, due: "_Due", *, failed_before: bool) -> Steps[tuple[_ThreadStatus, Exception | None]]:
        runner, config = due.runner, due.config
        standing = _ThreadStatus.RUNS
        try:
            state = yield Either(lambda: runner.get_state(config), lambda: runner.aget_state(config))
            standing = self._thread_status(state, due.stop, failed_before=failed_before)
            if standing in {_ThreadStatus.WAITS, _ThreadStatus.LEFT}:
                yield Either(lambda: runner.invoke(None, config), lambda: runner.ainvoke(None, config))
        except Exception as error:
            _log(due.stop, error)
            return standing, error
        return standing, None

    def _claimed(self, connection: Connection, stop: Stop, owner: str) -> claims.Resumption | None:
        if not stops.is_pending(connection, stop):
            return None
        name, now = self._engine.definition.name, self._engine.store.now(connection)
        return claims.claim(connection, stop, workflow=name, owner=owner, now=now)

    def _settle(
        self, connection: Connection, stop: Stop, owner: str, standing: _ThreadStatus, error: Exception | None
    ) -> Failure | None:
        """Delete the claim of a stop, or release it."""
        now = self._engine.store.now(connection)
        if isinstance(error, ConflictError):
            claims.put_back(connection, stop, owner=owner, at=now)
        elif error is not None:
            name = self._engine.definition.name
            at = claims.failed(connection, stop, workflow=name, error=kind_of(error), now=now)
            return Failure(stop.kind.value, stop.id, stop.workflow_id, error, at)
        elif standing is _ThreadStatus.RUNS:
            claims.put_back(connection, stop, owner=owner, at=now + int(_LOOK_AGAIN * 1_000_000))
        else:
            stops.mark(connection, stop)
        return None

    def _thread_status(self, state: Any, stop: Stop, *, failed_before: bool) -> _ThreadStatus:
        """The position of a thread relative to a stop."""
        shown = [interrupt.value for interrupt in state.interrupts]
        if any(isinstance(value, Mapping) and _shows(value, stop) for value in shown):
            return _ThreadStatus.WAITS
        # `next` omits a task that has ended before its step.
        if shown or not state.tasks:
            return _ThreadStatus.ELSEWHERE
        if failed_before:  # the failed run was ours, and no other process has the stop
            return _ThreadStatus.LEFT
        # A running graph reads the row itself. The run of a dead process looks the same, and never ends.
        if state.created_at is None:  # a saver without timestamps
            return _ThreadStatus.RUNS
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(state.created_at)
        return _ThreadStatus.LEFT if age.total_seconds() >= self._abandoned_after else _ThreadStatus.RUNS


@dataclass(frozen=True)
class _Due:
    """A stop, and how to resume its thread."""

    stop: Stop
    runner: AnyGraph
    config: RunnableConfig


def _body(resumer: Resumer, due: list[_Due], owner: str) -> Any:
    return lambda: resumer.thread(due, owner)


def _of_waits(connection: Connection, wait_ids: list[str]) -> list[Stop]:
    found = (wait_rows.load(connection, one) for one in wait_ids)
    return [Stop(Kind.WAIT, wait.workflow_id, wait.wait_id) for wait in found if wait is not None]


def _shows(value: Mapping[str, Any], stop: Stop) -> bool:
    """Whether an interrupt belongs to a stop."""
    match stop.kind:
        case Kind.WAIT:
            return value.get("waitId") == stop.id
        case Kind.APPROVAL:
            return value.get("approvalId") == stop.id
        case _:
            return value.get("type") == OUTCOME_UNKNOWN and value.get("key") == stop.id


def resume_config(configurable: Mapping[str, Any], instance: Instance) -> RunnableConfig:
    """The config with which the library resumes a thread as itself, without the right to decide anything.

    Proposals keep the principal of their turn. The mark is in the config because the context of a parent graph may have a class that
    only the application can create.
    """
    return {"configurable": {**configurable, ACTOR: RuntimeActor.clock(instance.tenant)}}


def kind_of(error: Exception) -> str:
    """The stored form of a failure: its type, and the code of an Interlock error; its text goes only to the log."""
    return f"{type(error).__name__} ({error.code})" if isinstance(error, InterlockError) else type_name(error)


def _log(stop: Stop, error: Exception) -> None:
    if isinstance(error, ConflictError):
        logger.info("someone else runs the thread of %s: %s", stop.workflow_id, error)
        return
    if isinstance(error, StoreUnavailable):
        logger.warning("%s", error.message)
        return
    logger.error(
        "the %s %s of %s is settled, but its graph could not resume; a later tick tries again",
        stop.kind.value,
        stop.id,
        stop.workflow_id,
        exc_info=error,
    )


__all__ = [
    "ABANDONED_AFTER",
    "BATCH",
    "AnyGraph",
    "Failure",
    "Resumed",
    "Resumer",
    "kind_of",
    "resume_config",
]
