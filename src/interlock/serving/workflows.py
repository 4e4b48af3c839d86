"""The workflows that one service serves, and which of them an instance or an approval belongs to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig

from ..checkpointing.store import Instance, WorkflowStore
from ..commands.approvals.decisions import unknown_approval
from ..commands.running.engine import unknown_instance
from ..graphs import WorkflowGraph
from ..operations.instances import Instances
from ..tools.errors import InputError
from .identity import Caller


@dataclass(frozen=True)
class Found:
    """An instance, and the workflow that it is one of."""

    graph: WorkflowGraph
    instance: Instance

    @property
    def instances(self) -> Instances:
        """What acts on it."""
        return self.graph.instances

    def config(self, checkpoint_id: str | None = None) -> RunnableConfig:
        """The config of its thread.

        Raises:
            InputError: It has no thread of its own.
        """
        if self.instance.thread_id is None or self.instance.checkpoint_ns:
            raise InputError(
                f"The instance {self.instance.workflow_id} has no separate thread, so there is no "
                "checkpoint to start from. Nothing was done.",
                code="no_thread",
            )
        configurable = {"thread_id": self.instance.thread_id, "workflow_id": self.instance.workflow_id}
        if checkpoint_id is not None:
            configurable["checkpoint_id"] = checkpoint_id
        return {"configurable": configurable}


class Workflows:
    """Compiled workflows by name.

    Args:
        graphs: The compiled workflows; one of each name.

    Raises:
        InputError: There are none, or two of one name.
    """

    def __init__(self, graphs: Iterable[WorkflowGraph]) -> None:
        self._graphs: dict[str, WorkflowGraph] = {}
        for graph in graphs:
            if not isinstance(graph, WorkflowGraph):
                raise InputError(
                    f"{graph!r} is not a compiled workflow. Nothing is served; compile it first, service(workflow.compile(checkpointer), ...).",
                    code="settings",
                )
            name = graph.engine.definition.name
            if name in self._graphs:
                raise InputError(
                    f"Two workflows are named {name!r}, so a request could not say which one it means. Nothing is served; give one of "
                    "each name. A new version of a workflow takes the place of the older one.",
                    code="settings",
                )
            self._graphs[name] = graph
        if not self._graphs:
            raise InputError("There is no workflow to serve. Pass at least one compiled workflow.", code="settings")

    def __iter__(self) -> Iterator[WorkflowGraph]:
        return iter(self._graphs.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all."""
        return tuple(self._graphs)

    @property
    def stores(self) -> tuple[WorkflowStore, ...]:
        """Where their instances are kept, each database once."""
        return tuple({_place(graph.engine.store): graph.engine.store for graph in self}.values())

    @property
    def by_name(self) -> Mapping[str, WorkflowGraph]:
        """The workflows by their names."""
        return self._graphs

    def named(self, name: str) -> WorkflowGraph:
        """The workflow of a name.

        Raises:
            InputError: None is served under it.
        """
        if (graph := self._graphs.get(name)) is None:
            raise InputError(
                f"No workflow is served under the name {name!r}. There are: {', '.join(self._graphs)}.",
                code="unknown_workflow",
            )
        return graph

    def named_or_first(self, name: str | None) -> WorkflowGraph:
        """The workflow of a name, or the first one that is served if no name is given.

        Raises:
            InputError: None is served under it.
        """
        return self.named(name or self.names[0])

    def of_instance(self, workflow_id: str, caller: Caller) -> Found:
        """The workflow of an instance, and its row; whom it serves is checked by whatever is done with it.

        Raises:
            RunError: There is no such instance for the caller's tenant, or of no workflow that is served here.
        """
        for store in self.stores:
            instance = store.find(workflow_id)
            if instance is None or instance.tenant != caller.principal.tenant:
                continue
            graph = self._graphs.get(instance.workflow)
            if graph is not None and _place(graph.engine.store) == _place(store):
                return Found(graph, instance)
        raise unknown_instance(workflow_id, caller.principal)

    def of_approval(self, approval_id: str, caller: Caller) -> WorkflowGraph:
        """The workflow that an approval belongs to.

        Raises:
            InputError: There is no such approval for the caller's tenant.
        """
        for graph in self:
            try:
                found = graph.engine.store.approval(approval_id)
            except InputError:
                continue
            if found.workflow == graph.engine.definition.name and found.tenant == caller.principal.tenant:
                return graph
        raise unknown_approval(approval_id)


def _place(store: WorkflowStore) -> str:
    """What two stores of one database have in common: several workflows may each have been compiled with its URL."""
    url = store.database.engine.url
    return url.render_as_string(hide_password=False) if store.is_durable and url.database else str(id(store))


__all__ = ["Found", "Workflows"]
