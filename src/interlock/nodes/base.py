"""What every node of a workflow is: a Runnable whose body is one generator, driven synchronously or asynchronously."""

import abc
import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.types import Command
from sqlalchemy.engine import Connection

from ..checkpointing.fault_points import FaultPoint, reach
from ..checkpointing.store import AuditKind, Instance, WorkflowStore
from ..tools.canonical import JsonObject, canonical_json
from ..tools.errors import RunError, StaleCheckpoint
from ..tools.principal import Principal
from ..tracing.watch import watching
from .definition import Definition, Edge, GuardView, offered_edges
from .driver import arun, run
from .operations import InStore, Steps
from .proposals import Proposal
from .scope import Scope, scope_of

logger = logging.getLogger("interlock")


@dataclass(frozen=True)
class Engine:
    """What the nodes of one compiled workflow share."""

    definition: Definition
    store: WorkflowStore

    def view(self, instance: Instance, principal: Principal) -> GuardView:
        """What guards look at, with a fresh copy of the data."""
        return GuardView(
            instance.workflow_id,
            instance.state,
            self.definition.parse_data(instance.data),
            principal,
            instance.revision,
        )

    def offered(self, view: GuardView) -> tuple[str, ...]:
        """Next allowed tools, by canonical name."""
        if self.definition.state(view.state).is_final:
            return ()
        edges = offered_edges(
            self.definition.by_source[view.state], view, policies=self.definition.policies, mode=self.definition.mode
        )
        return tuple(edge.tool.name for edge in edges)

    def offered_for(self, instance: Instance, principal: Principal) -> tuple[str, ...]:
        """Next allowed tools of an instance, by canonical name."""
        return self.offered(self.view(instance, principal))

    def may_ask(self, edge: Edge) -> bool:
        """Whether a proposal of this edge may need a person: by its own rule, or because a policy could ask for one."""
        return edge.approval is not None or any(
            policy.may_require_approval(edge.tool) for policy in self.definition.policies
        )

    def owned(self, instance: Instance | None, principal: Principal, workflow_id: str) -> Instance:
        """The instance, provided that it is there and is the principal's tenant's.

        Raises:
            RunError: It is not there, or it belongs to another tenant.
        """
        if instance is None or instance.tenant != principal.tenant:
            raise RunError(
                f"There is no workflow instance {workflow_id} for the tenant {principal.tenant!r}. Nothing was done; check the "
                "thread, the database and the principal of the run.",
                code="unknown_instance",
            )
        return instance

    def channels(self, instance: Instance, principal: Principal) -> dict[str, Any]:
        """What the graph's output shows of the workflow row."""
        return {
            "workflow_id": instance.workflow_id,
            "state": instance.state,
            "revision": instance.revision,
            "data": instance.data,
            "next_allowed_tools": list(self.offered_for(instance, principal)),
        }

    def for_model(self, result: JsonObject) -> str:
        """A result as the model reads it: with the names that the model calls tools by."""
        names = self.definition.wire_names
        allowed = result.get("nextAllowedTools")
        shown = dict(result)
        if isinstance(allowed, list):
            shown["nextAllowedTools"] = [names.to_wire(str(name)) for name in allowed]
        return canonical_json(shown)

    def answer(self, proposal: Proposal, result: JsonObject) -> ToolMessage:
        """The answer to a proposal in the conversation."""
        return ToolMessage(
            content=self.for_model(result),
            tool_call_id=proposal.call_id,
            name=self.definition.wire_names.get(proposal.tool, proposal.tool),
            status="success" if result.get("ok") else "error",
        )


class WorkflowNode(Runnable[Any, Any], abc.ABC):
    """A node of a compiled workflow.

    Args:
        engine: Shared by all nodes of the graph.
        name: The node's name in the graph.
        destinations: The nodes that it may go on to; anything else is a defect of Interlock and refused.
    """

    def __init__(self, engine: Engine, name: str, destinations: Mapping[str, str]) -> None:
        self.engine = engine
        self.name = name
        self.node = name
        self.destinations = dict(destinations)

    @abc.abstractmethod
    def steps(self, value: Any, scope: Scope) -> Steps[Any]:
        """The node's body."""

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
        """The node's body, traced, and with a record of an attempt to go on from behind the instance."""
        with watching(scope.config, value, lambda: self._facts(value, scope)) as watch:
            try:
                command = yield from self.steps(value, scope)
            except StaleCheckpoint as error:
                stale = error
                yield InStore(lambda connection: self._record_stale(connection, value, scope, stale))
                raise
            if watch is not None:
                watch.came_of(command)
            return command

    def _record_stale(self, connection: Connection, value: Any, scope: Scope, error: StaleCheckpoint) -> None:
        """Write down an attempt to go on from behind the instance: what raised has been rolled back."""
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
        """What a trace is told of a run of this node, before it has done anything."""
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
        # The drawing shows `destinations`, so going anywhere else would make the picture a lie.
        gotos: Any = command.goto if isinstance(command, Command) else ()
        for goto in gotos if isinstance(gotos, (list, tuple)) else [gotos]:
            node = goto if isinstance(goto, str) else goto.node
            if node not in self.destinations and node not in self.engine.definition.states:
                raise RunError(
                    f"the node {self.name} went to {node!r}, which is not among its edges", code="internal_error"
                )
        return command
