"""The workflows of one service, with look-ups of the workflow of an instance or an approval."""

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
    """An instance and its workflow."""

    graph: WorkflowGraph
    instance: Instance

    @property
    def instances(self) -> Instances:
        """The operations on the workflow's instances."""
        return self.graph.instances

    def config(self, checkpoint_id: str | None = None) -> RunnableConfig:
        """The config of its thread.

        Raises:
            InputError: It has no separate thread.
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
        graphs: The compiled workflows, with different names.

    Raises:
        InputError: There are none, or two have the same name.
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
        """The names of the workflows."""
        return tuple(self._graphs)

    @property
    def stores(self) -> tuple[WorkflowStore, ...]:
        """The stores of the workflows, each database once."""
        return tuple({_place(graph.engine.store): graph.engine.store for graph in self}.values())

    @property
    def by_name(self) -> Mapping[str, WorkflowGraph]:
        """The workflows by name."""
        return self._graphs

    def named(self, name: str) -> WorkflowGraph:
        """The workflow with a name.

        Raises:
            InputError: No served workflow has this name.
        """
        if (graph := self._graphs.get(name)) is None:
            raise InputError(
                f"No workflow is served under the name {name!r}. There are: {', '.join(self._graphs)}.",
                code="unknown_workflow",
            )
        return graph

    def named_or_first(self, name: str | None) -> WorkflowGraph:
        """The workflow with a name; the first served workflow if no name is given.

        Raises:
            InputError: No served workflow has this name.
        """
        return self.named(name or self.names[0])

    def of_instance(self, workflow_id: str, caller: Caller) -> Found:
        """The workflow of an instance, and the instance's row. The operation on it has to check whom the instance serves.

        Raises:
            RunError: The caller's tenant has no such instance, or its workflow is not served here.
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
        """The workflow of an approval.

        Raises:
            InputError: The caller's tenant has no such approval.
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
    """An identifier of the store's database: several workflows may each have been compiled with its URL."""
    url = store.database.engine.url
    return url.render_as_string(hide_password=False) if store.is_durable and url.database else str(id(store))


__all__ = ["Found", "Workflows"]
