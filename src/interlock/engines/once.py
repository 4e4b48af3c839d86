"""The interface between Interlock and an engine: a job is one call.

An engine stores jobs, runs one per thread at a time, and calls `RunOnce` for each. The result (`Done`, `Again`, `Person`) is all that
it needs. A repeated call (the process died, the engine was not sure) resumes the first one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from sqlalchemy.engine import Connection

from ..checkpointing.store import instances as instance_rows
from ..commands.running.driver import arun, run
from ..commands.running.engine import logger
from ..commands.running.operations import Either, Steps, in_store
from ..commands.running.principals import ACTOR
from ..commands.running.scope import workflow_id_of
from ..nodes.execution import OUTCOME_UNKNOWN
from ..operations.compiled import CompiledWorkflow
from ..operations.resuming import AnyGraph
from ..tools.errors import InputError, InterlockError, ResumeError, RunError
from ..tools.principal import RuntimeActor
from ..tools.storable import described
from . import inputs
from .jobs import Job, JobKind
from .outcomes import ATTEMPTS, ROLLING, Again, Done, Outcome, Person, outcome_of, pause


class RunOnce:
    """Runs jobs: `await run_once(job)`, or `run_once.sync(job)`.

    Args:
        graphs: The compiled workflows of this process.
        roots: For a workflow that runs inside another graph, that graph, by the workflow's name.
        attempts: The maximum number of attempts of a job with permanent failures, before a person is needed.
        forgets: Whether to delete inputs once they are taken; False if the engine deletes them at the end of the job.
    """

    def __init__(
        self,
        graphs: Iterable[CompiledWorkflow],
        *,
        roots: Mapping[str, AnyGraph] | None = None,
        attempts: int = ATTEMPTS,
        forgets: bool = True,
    ) -> None:
        self.graphs = {graph.engine.definition.name: graph for graph in graphs}
        self._roots = dict(roots or {})
        self._attempts = attempts
        self._forgets = forgets

    async def __call__(self, job: Job, *, attempt: int = 0) -> Outcome:
        """Run a job once.

        Args:
            job: The job.
            attempt: The number of earlier failures.

        Returns:
            The outcome. Only exceptions that end the process or cancel the task propagate.
        """
        graph = self.graphs.get(job.workflow)
        if graph is None:
            return _unknown(job, attempt)
        try:
            return await arun(graph.engine.store, self._steps(graph, job, attempt))
        except Exception as error:
            return self._failed(job, error, attempt)

    def sync(self, job: Job, *, attempt: int = 0) -> Outcome:
        """Run a job without an event loop; otherwise the same as `await run_once(job)`."""
        graph = self.graphs.get(job.workflow)
        if graph is None:
            return _unknown(job, attempt)
        try:
            return run(graph.engine.store, self._steps(graph, job, attempt))
        except Exception as error:
            return self._failed(job, error, attempt)

    def _steps(self, graph: CompiledWorkflow, job: Job, attempt: int) -> Steps[Outcome]:
        runner = self._runner(graph, job)
        given = None
        if job.input_id is not None:
            input_id = job.input_id
            given = yield from in_store(lambda connection: inputs.load(connection, input_id), write=False)
            if given is None and not (yield from in_store(lambda connection: _exists(connection, job), write=False)):
                return Done("the input was erased")
        try:
            output = yield from _run(runner, job, given)
        except ResumeError:
            if given is None or attempt == 0:
                raise
            # An earlier attempt passed the answer, and failed after LangGraph had stored it.
            output = yield from _run(runner, job, None)
        if given is not None and self._forgets:
            yield from in_store(lambda connection: inputs.delete(connection, input_id))
        return _outcome_of_run(output)

    def _runner(self, graph: CompiledWorkflow, job: Job) -> Any:
        if not job.inside:
            return graph
        root = self._roots.get(job.workflow)
        if root is None:
            raise InputError(
                f"The workflow {job.workflow} of the thread {job.thread_id} runs inside another graph, which was not passed to this process. Nothing was "
                "run; pass it: Runs(..., roots={name: graph}), or `interlock work --root`.",
                code="no_root",
            )
        return root

    def _failed(self, job: Job, error: Exception, attempt: int) -> Outcome:
        if isinstance(error, RunError) and error.code == "unknown_instance" and job.kind is JobKind.WAKE:
            return Done("the instance was deleted")
        outcome = outcome_of(error, attempt=attempt, attempts=self._attempts)
        match outcome:
            case Again(after):
                text = error.message if isinstance(error, InterlockError) else described(error)
                logger.warning(
                    "the run of %s on the thread %s is tried again in %.1f s: %s",
                    job.workflow,
                    job.thread_id,
                    after,
                    text,
                )
            case Person():
                logger.error(
                    "the run of %s on the thread %s needs a person", job.workflow, job.thread_id, exc_info=error
                )
        return outcome


def _run(runner: Any, job: Job, given: inputs.Given | None) -> Steps[Any]:
    config = _config(job, given)
    if given is None:
        return (yield Either(lambda: runner.invoke(None, config), lambda: runner.ainvoke(None, config)))
    value = given.value if job.kind is JobKind.START else Command(resume=given.value)
    by = given.principal
    return (
        yield Either(
            lambda: runner.invoke(value, config, context=by), lambda: runner.ainvoke(value, config, context=by)
        )
    )


def _exists(connection: Connection, job: Job) -> bool:
    """Whether the instance exists: if so, an earlier attempt took a missing input; otherwise the input was erased."""
    workflow_id = job.workflow_id or workflow_id_of({"thread_id": job.thread_id}, job.workflow)
    return instance_rows.load(connection, workflow_id) is not None


def _config(job: Job, given: inputs.Given | None) -> RunnableConfig:
    configurable: dict[str, Any] = {"thread_id": job.thread_id}
    if job.workflow_id is not None and not job.inside:
        configurable["workflow_id"] = job.workflow_id
    if given is None:
        # Run as the library itself, which may decide nothing: proposals keep the principal of their turn.
        configurable[ACTOR] = RuntimeActor.clock(job.tenant)
    elif job.kind is JobKind.START:
        configurable["input_key"] = job.key
    return {"configurable": configurable}


def _outcome_of_run(output: Any) -> Outcome:
    shown = output.get("__interrupt__", ()) if isinstance(output, Mapping) else ()
    for interrupt in shown:
        if isinstance(interrupt.value, Mapping) and interrupt.value.get("type") == OUTCOME_UNKNOWN:
            return Person("OutcomeUnknown", unknown=True)
    return Done("waits" if shown else "")


def _unknown(job: Job, attempt: int) -> Outcome:
    """The outcome for an unknown workflow: during a rollout, a process of another release may know it."""
    logger.warning("no workflow %s is known here; the run on the thread %s is left", job.workflow, job.thread_id)
    waited = sum(pause(number, longest=60.0) for number in range(attempt))
    return Again(pause(attempt, longest=60.0), "unknown workflow") if waited < ROLLING else Person("unknown workflow")


__all__ = ["RunOnce"]
