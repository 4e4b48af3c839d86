"""`Runs`: runs of workflows as durable jobs on PostgreSQL, enqueued in the transaction that makes them due."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import URL, Connection

from ..checkpointing import Capacity, SQLCheckpointer
from ..checkpointing.due import Due
from ..checkpointing.encryption import Encryption
from ..checkpointing.identifiers import named
from ..checkpointing.store import Instance
from ..commands.running.access import access, looked_at, record_denial
from ..commands.running.engine import unknown_instance
from ..commands.running.scope import workflow_id_of
from ..operations.compiled import CompiledWorkflow, Which
from ..operations.resuming import AnyGraph
from ..tools.errors import InputError
from ..tools.ids import derive, mint
from ..tools.principal import Principal
from . import inputs
from .jobs import Job, JobKind
from .once import RunOnce
from .outcomes import ATTEMPTS
from .queue import enqueuing, listing, schema
from .queue.listing import QueuedRun, RunStatus


@dataclass(frozen=True)
class Enqueued:
    """The result of enqueuing a run."""

    number: int
    """The number of the run in the queue."""
    thread_id: str
    is_new: bool
    """Whether the run is new; False if a run with this key existed already."""


class Runs:
    """Runs of workflows as durable jobs: one at a time per thread, and at most `per_tenant` at a time per tenant.

    Once it is created, each decision, event, deadline and resolution that this process records for these workflows enqueues the run
    that it makes due, in the same transaction. `interlock work` (or `work`) executes the runs.

    Args:
        workflows: The workflows, compiled or not. Compiled ones must have their instances in this database.
        url: The URL of a PostgreSQL database.
        per_tenant: The maximum number of concurrent runs per tenant; it must be the same in every process. By default the stored
            number, or 8.
        roots: For a workflow that runs inside another graph, that graph, by the workflow's name.
        attempts: The maximum number of attempts of a run with permanent failures, before it needs a person.
        encryption: The encryption keys for workflows that are compiled here.
        capacity: The maximum number of connections and threads of this process, for workflows that are compiled here.

    Raises:
        InputError: The database is not PostgreSQL, or a compiled workflow uses another database.
        StoreError: The database cannot be reached, or Procrastinate is not installed.
    """

    def __init__(
        self,
        workflows: Iterable[Any],
        url: str | URL,
        *,
        per_tenant: int | None = None,
        roots: Mapping[str, AnyGraph] | None = None,
        attempts: int = ATTEMPTS,
        encryption: Encryption | None = None,
        capacity: Capacity | None = None,
    ) -> None:
        self._saver = SQLCheckpointer(url, encryption=encryption, capacity=capacity)
        self.database = self._saver.database
        try:
            schema.refuse_others(self.database, "A queue of runs")
            self.graphs: list[CompiledWorkflow] = [self._compiled(one) for one in workflows]
        except BaseException:
            self._saver.close()
            raise
        self.run_once = RunOnce(self.graphs, roots=roots, attempts=attempts, forgets=False)
        self._asked, self._per_tenant = per_tenant, 0
        self._guard = threading.Lock()
        for graph in self.graphs:
            graph.engine.store.when_due = self.when_due

    def setup(self) -> None:
        """Create the tables of the store and of the queue. Safe to repeat, also by several processes at once."""
        with self._guard:
            if self._per_tenant:
                return
            for store in {id(graph.engine.store): graph.engine.store for graph in self.graphs}.values():
                store.setup()
            self._per_tenant = schema.setup(self.database, per_tenant=self._asked)

    @property
    def per_tenant(self) -> int:
        """The maximum number of concurrent runs per tenant."""
        self.setup()
        return self._per_tenant

    def start(
        self,
        workflow: str,
        given: Any,
        *,
        principal: Principal,
        key: str,
        thread_id: str | None = None,
        workflow_id: str | None = None,
        connection: Connection | None = None,
    ) -> Enqueued:
        """Enqueue a run with an input: the first run of a thread, or a later turn.

        Args:
            workflow: The workflow's name.
            given: The input of the graph.
            principal: The principal of the turn.
            key: The caller's idempotency key. Repeated calls with the same key, workflow and tenant enqueue one run.
            thread_id: The thread; by default one that is derived from the key.
            workflow_id: The instance, if its id cannot be derived from the thread.
            connection: A transaction of the application on the same database: the run exists once it commits.

        Raises:
            InputError: There is no such workflow, or the input cannot be stored.
            RunError: The thread belongs to another tenant.
            PrincipalError: The instance serves somebody else.
        """
        graph = self._graph(workflow)
        key = derive("run", "start", workflow, principal.tenant, named("key", key, 128))
        thread = derive("thread", key) if thread_id is None else named("thread_id", thread_id, 255)
        configurable = {"thread_id": thread} | ({} if workflow_id is None else {"workflow_id": workflow_id})
        found = access(graph.engine, configurable, principal)
        if found.is_foreign:
            raise unknown_instance(found.workflow_id, principal)
        if found.refused is not None:
            record_denial(graph.engine, found.workflow_id, found.refused, by=principal)
            raise found.refused
        job = Job(JobKind.START, workflow, principal.tenant, thread, key, workflow_id)
        return self._enqueued(graph, job, inputs.dumped_input(given), principal, connection)

    async def astart(self, workflow: str, given: Any, **how: Any) -> Enqueued:
        """As `start`, with the same arguments but `connection`."""
        return await self.database.arun(lambda: self.start(workflow, given, **how))

    def resume(
        self,
        workflow: str,
        which: Which,
        answer: Any,
        *,
        by: Principal,
        key: str,
        connection: Connection | None = None,
    ) -> Enqueued:
        """Enqueue a run that answers what a thread waits for.

        Args:
            workflow: The workflow's name.
            which: The instance: its workflow ID, or the config of its thread.
            answer: The value of `Command(resume=...)`.
            by: The principal who answers; the run checks whether the answer counts.
            key: As in `start`.
            connection: As in `start`.

        Raises:
            RunError: The tenant of `by` has no such instance.
            PrincipalError: The instance serves somebody else.
            InputError: The instance has no thread, or the answer cannot be stored.
        """
        graph = self._graph(workflow)
        instance = self._instance(graph, which, by)
        key = derive("run", "resume", workflow, by.tenant, named("key", key, 128))
        return self._enqueued(graph, self._job(JobKind.RESUME, graph, instance, key), answer, by, connection)

    async def aresume(self, workflow: str, which: Which, answer: Any, *, by: Principal, key: str) -> Enqueued:
        """Asynchronous form of `resume`, with the same arguments, result and errors."""
        return await self.database.arun(lambda: self.resume(workflow, which, answer, by=by, key=key))

    def wake(
        self,
        workflow: str,
        which: Which,
        *,
        by: Principal | None = None,
        key: str | None = None,
        connection: Connection | None = None,
    ) -> Enqueued:
        """Enqueue a run that resumes a thread after what it waited for was settled.

        Args:
            workflow: The workflow's name.
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who requests it; None for the application.
            key: As in `start`; by default each call enqueues another run.
            connection: As in `start`.
        """
        graph = self._graph(workflow)
        instance = self._instance(graph, which, by)
        asked = mint("wake") if key is None else named("key", key, 128)
        key = derive("run", "wake", workflow, instance.tenant, asked)
        return self._enqueued(graph, self._job(JobKind.WAKE, graph, instance, key), None, None, connection)

    async def awake(
        self, workflow: str, which: Which, *, by: Principal | None = None, key: str | None = None
    ) -> Enqueued:
        """Asynchronous form of `wake`, with the same arguments, result and errors."""
        return await self.database.arun(lambda: self.wake(workflow, which, by=by, key=key))

    def when_due(self, connection: Connection, due: Due) -> None:
        """Enqueue the run that an event, a decision or a deadline made due, in its transaction; at most once per cause."""
        key = derive("run", "due", due.workflow, due.tenant, due.cause)
        job = Job(
            JobKind.WAKE,
            due.workflow,
            due.tenant,
            due.thread_id,
            key,
            self._own_id(due.workflow, due.thread_id, due.workflow_id),
            inside=due.inside,
        )
        enqueuing.enqueue(connection, job, per_tenant=self.per_tenant)
        if due.cause.startswith("attempt/"):
            enqueuing.resolved(connection, due.thread_id)

    # Operations for people

    def list(
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tenant: str | None = "default",
        limit: int = 50,
        after: int | None = None,
    ) -> list[QueuedRun]:
        """Return a page of runs, newest first. It checks no permissions: the application chooses the tenant.

        Args:
            status: Only runs with this status; `person` for the dead-letter list.
            workflow: Only runs of this workflow.
            tenant: Only runs of this tenant; None for all tenants.
            limit: The maximum number of runs, from 1 to 1000.
            after: Only runs that are older than the one with this number.
        """
        if not 1 <= limit <= 1000:
            raise InputError(f"A page of {limit} runs was asked for. Give a limit from 1 to 1000.")
        wanted = None if status is None else RunStatus(status)
        self.setup()
        with self.database.read() as connection:
            return listing.page(connection, status=wanted, workflow=workflow, tenant=tenant, limit=limit, after=after)

    def retry(self, number: int, *, tenant: str | None = None) -> QueuedRun:
        """Make a run due immediately that failed, waits for a retry or was cancelled.

        Args:
            number: The number of the run.
            tenant: The tenant to which it must belong; None for any.

        Raises:
            InputError: The tenant has no such run.
            ConflictError: It is running or finished.
        """
        with self._run_of(number, tenant) as connection:
            return listing.retry(connection, number, per_tenant=self.per_tenant)

    def cancel(self, number: int, *, tenant: str | None = None) -> QueuedRun:
        """Remove a run from the queue; its instance is unchanged.

        Args:
            number: The number of the run.
            tenant: As in `retry`.

        Raises:
            InputError: The tenant has no such run.
            ConflictError: It is running or finished.
        """
        with self._run_of(number, tenant) as connection:
            return listing.cancel(connection, number)

    async def alist(
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tenant: str | None = "default",
        limit: int = 50,
        after: int | None = None,
    ) -> Sequence[QueuedRun]:
        """Asynchronous form of `list`, with the same arguments, result and errors."""
        return await self.database.arun(
            lambda: self.list(status=status, workflow=workflow, tenant=tenant, limit=limit, after=after)
        )

    async def aretry(self, number: int, *, tenant: str | None = None) -> QueuedRun:
        """Asynchronous form of `retry`, with the same arguments, result and errors."""
        return await self.database.arun(lambda: self.retry(number, tenant=tenant))

    async def acancel(self, number: int, *, tenant: str | None = None) -> QueuedRun:
        """Asynchronous form of `cancel`, with the same arguments, result and errors."""
        return await self.database.arun(lambda: self.cancel(number, tenant=tenant))

    def close(self) -> None:
        """Close the database connections of this object; workflows that were passed compiled keep theirs."""
        for graph in self.graphs:
            if graph.engine.store.when_due == self.when_due:
                graph.engine.store.when_due = None
        self._saver.close()

    def _run_of(self, number: int, tenant: str | None) -> Any:
        self.setup()
        if tenant is not None:
            with self.database.read() as connection:
                if listing.load(connection, number).job.tenant != tenant:
                    raise InputError(
                        f"There is no run {number} in the queue. Nothing was done; `interlock runs list` shows those that there are.",
                        code="unknown_run",
                    )
        return self.database.write()

    def _enqueued(
        self,
        graph: CompiledWorkflow,
        job: Job,
        value: Any,
        principal: Principal | None,
        connection: Connection | None,
    ) -> Enqueued:
        per_tenant, store = self.per_tenant, graph.engine.store
        if principal is not None:
            job = Job(**{**job.__dict__, "input_id": derive("input", job.key)})
        with store.joined(connection) as joined:
            number = enqueuing.enqueue(joined, job, per_tenant=per_tenant)
            if number is None:
                found = enqueuing.find(joined, job.key)
                assert found is not None  # noqa: S101 -- its key was in the way
                return Enqueued(found[0], found[1].thread_id, is_new=False)
            if principal is not None and job.input_id is not None:
                inputs.insert(
                    joined,
                    job.input_id,
                    thread_id=job.thread_id,
                    value=value,
                    principal=principal,
                    now=store.now(joined),
                )
        return Enqueued(number, job.thread_id, is_new=True)

    def _job(self, kind: JobKind, graph: CompiledWorkflow, instance: Instance, key: str) -> Job:
        if instance.thread_id is None:
            raise InputError(
                f"The workflow {instance.workflow_id} has no thread, so it has no runs. Nothing was enqueued; propose "
                "calls on it from outside (`instances.propose`).",
                code="no_thread",
            )
        return Job(
            kind,
            graph.engine.definition.name,
            instance.tenant,
            instance.thread_id,
            key,
            self._own_id(instance.workflow, instance.thread_id, instance.workflow_id),
            inside=bool(instance.checkpoint_ns),
        )

    def _own_id(self, workflow: str, thread_id: str, workflow_id: str) -> str | None:
        """The id of an instance, if it cannot be derived from its thread."""
        return None if workflow_id_of({"thread_id": thread_id}, workflow) == workflow_id else workflow_id

    def _instance(self, graph: CompiledWorkflow, which: Which, by: Principal | None) -> Instance:
        configurable = {"workflow_id": which} if isinstance(which, str) else which.get("configurable", {})
        if by is not None:
            return looked_at(graph.engine, configurable, by)
        return graph.engine.store.get(workflow_id_of(configurable, graph.engine.definition.name))

    def _graph(self, workflow: str) -> CompiledWorkflow:
        graph = self.run_once.graphs.get(workflow)
        if graph is None:
            raise InputError(
                f"These runs know no workflow {workflow!r}; they know {', '.join(self.run_once.graphs)}. Nothing was enqueued.",
                code="unknown_workflow",
            )
        return graph

    def _compiled(self, given: Any) -> CompiledWorkflow:
        graph: CompiledWorkflow = given if hasattr(given, "engine") else given.compile(self._saver)
        database = graph.engine.store.database
        schema.refuse_others(database, f"To run {graph.engine.definition.name} from a queue")
        ours, theirs = (place(one.engine.url) for one in (self.database, database))
        if ours != theirs:
            raise InputError(
                f"The workflow {graph.engine.definition.name} keeps its instances in another database than the queue. Nothing was done: a run is "
                "enqueued in the transaction that makes it due, so both have to be in one.",
                code="other_database",
            )
        return graph


def place(url: URL) -> tuple[object, ...]:
    """The database that a URL names."""
    return url.host or "127.0.0.1", url.port or 5432, url.database


__all__ = ["Enqueued", "QueuedRun", "RunStatus", "Runs", "place"]
