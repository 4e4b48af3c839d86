"""The base class of workflow nodes: a Runnable whose body is one generator, driven synchronously or asynchronously."""

import abc
import asyncio
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.types import Command
from sqlalchemy.engine import Connection

from ..checkpointing.fault_points import FaultPoint, reach
from ..checkpointing.store import AuditKind
from ..commands.running.driver import arun, run
from ..commands.running.engine import Engine
from ..commands.running.operations import InStore, Steps
from ..commands.running.scope import Scope, scope_of
from ..tools.errors import RunError, StaleCheckpoint
from ..tracing.watch import is_watched, watching


class WorkflowNode(Runnable[Any, Any], abc.ABC):
    """A node of a compiled workflow.

    Args:
        engine: The engine that all nodes of the graph share.
        name: The node's name in the graph.
        destinations: The nodes that may follow; any other target is refused as a bug in Interlock.
    """

    def __init__(self, engine: Engine, name: str, destinations: Mapping[str, str]) -> None:
        self.engine = engine
        self.name = name
        self.node = name
        self.destinations = dict(destinations)

    @abc.abstractmethod
    def steps(self, value: Any, scope: Scope) -> Steps[Any]:
        """The body of the node."""

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:  # noqa: A002
        """Run the node synchronously."""
        scope = scope_of(config or {}, self.engine.definition.name)
        reach(FaultPoint.BEFORE_NODE)
        done = self._checked(run(self.engine.store, self.watched(input, scope)))
        reach(FaultPoint.AFTER_NODE)
        return done

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:  # noqa: A002
        """Run the node asynchronously."""
        scope = scope_of(config or {}, self.engine.definition.name, asyncio.get_running_loop())
        reach(FaultPoint.BEFORE_NODE)
        done = self._checked(await arun(self.engine.store, self.watched(input, scope)))
        reach(FaultPoint.AFTER_NODE)
        return done

    def watched(self, value: Any, scope: Scope) -> Steps[Any]:
        """Run the node's body with tracing, and record an attempt to continue from a stale checkpoint."""
        if not is_watched(scope.config):
            return (yield from self._recorded(value, scope))
        with watching(scope.config, value, lambda: self._facts(value, scope)) as watch:
            command = yield from self._recorded(value, scope)
            if watch is not None:
                watch.record_result(command)
            return command

    def _recorded(self, value: Any, scope: Scope) -> Steps[Any]:
        try:
            return (yield from self.steps(value, scope))
        except StaleCheckpoint as error:
            stale = error
            yield InStore(lambda connection: self._record_stale(connection, value, scope, stale))
            raise

    def _record_stale(self, connection: Connection, value: Any, scope: Scope, error: StaleCheckpoint) -> None:
        """Record an attempt to continue from a stale checkpoint, in a new transaction: the one that raised was rolled back."""
        unit = self.engine.store.unit(connection, scope.workflow_id)
        if unit is None or unit.instance.tenant != scope.principal.tenant:
            return
        proposal = value.get("proposal") if isinstance(value, Mapping) else None
        payload = {
            "key": None if proposal is None else proposal["key"],
            "state": unit.instance.state,
            "node": self.name,
            "checkpoint": scope.root_checkpoint,
            "error": {"code": error.code, "message": error.message},
        }
        tool = None if proposal is None else proposal["tool"][:64]
        unit.record(AuditKind.DENIAL, scope.principal, payload, tool=tool, code=error.code)
        unit.flush()

    def _facts(self, value: Any, scope: Scope) -> dict[str, Any]:
        """The trace metadata of this run that is known before it starts."""
        definition = self.engine.definition
        facts: dict[str, Any] = {
            "workflow": definition.name,
            "workflow_version": definition.version,
            "workflow_id": scope.workflow_id,
            "thread_id": scope.thread_id,
        }
        proposal = value.get("proposal") if isinstance(value, Mapping) else None
        if proposal is not None:
            contract = definition.contracts.get(proposal["tool"])
            facts |= {
                "tool": proposal["tool"],
                "tool_version": None if contract is None else contract.version,
                "tool_kind": None if contract is None else contract.kind.value,
                "idempotency_key": proposal["key"],
                "state_before": proposal["state"],
            }
        return facts

    def _checked(self, command: Any) -> Any:
        # The drawing shows only `destinations`, so any other target would contradict it.
        gotos: Any = command.goto if isinstance(command, Command) else ()
        for goto in gotos if isinstance(gotos, (list, tuple)) else [gotos]:
            node = goto if isinstance(goto, str) else goto.node
            if node not in self.destinations and node not in self.engine.definition.states:
                raise RunError(
                    f"the node {self.name} went to {node!r}, which is not among its edges", code="internal_error"
                )
        return command
