"""The protocol of a compiled workflow for operations: its definition and store, and LangGraph's methods to run and read it.

The compiled graph depends on the operations (`graphs.compiled`), so they refer to it only by this protocol.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from ..commands.running.engine import Engine
from ..tools.principal import Principal

Config = RunnableConfig | Mapping[str, Any]
"""A LangGraph config, such as `{"configurable": {"thread_id": "t-1"}}`: a `RunnableConfig`, or a dict of that shape."""

Which = str | Config
"""An instance: its workflow id, or the config of its thread."""


class HasEngine(Protocol):
    """An object with a compiled workflow's definition and store, such as a middleware."""

    @property
    def engine(self) -> Engine:
        """The workflow's definition and its store."""


class CompiledWorkflow(HasEngine, Protocol):
    """A compiled workflow, such as `graphs.WorkflowGraph`."""

    @property
    def checkpointer(self) -> Any:
        """LangGraph's checkpointer; None or a bool if the graph has none itself."""

    def invoke(self, input: Any, config: Config | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the graph."""

    async def ainvoke(self, input: Any, config: Config | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the graph."""

    def get_state(self, config: Config, *, subgraphs: bool = False, by: Principal | None = None) -> StateSnapshot:
        """Return the state of a thread."""

    async def aget_state(
        self, config: Config, *, subgraphs: bool = False, by: Principal | None = None
    ) -> StateSnapshot:
        """Return the state of a thread."""

    @property
    def config(self) -> RunnableConfig | None:
        """The config that `with_config` bound to the graph."""
