"""LangGraph's methods to read and update a thread's state, with access checks for a principal.

Without a principal, the trusted application calls them. `by=` names the principal; on LangGraph Server it is the
authenticated user.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot, StateUpdate

from ...commands.running.checkpoint_lookup import FromThreads
from ...commands.running.entrances import may_change, may_look
from ...commands.running.principals import user_of_request
from ...operations.compiled import Config
from ...tools.principal import Principal

if TYPE_CHECKING:
    from ...commands.running.engine import Engine


class GuardedState(CompiledStateGraph[Any, Any, Any, Any]):
    """The part of a compiled workflow that shows and changes the state of its threads."""

    if TYPE_CHECKING:

        @property
        def engine(self) -> "Engine":
            """The workflow's definition and its store."""

        def _merged(self, config: Config | None) -> dict[str, Any]: ...
        def _saver(self, config: Config | None) -> Any: ...
        def _asaver(self, config: Config | None) -> FromThreads | None: ...

        def bulk_update_state(
            self, config: Config, supersteps: Sequence[Sequence[Any]], *, by: Principal | None = None
        ) -> RunnableConfig:
            """Checked and written by the compiled workflow."""

        async def abulk_update_state(
            self, config: Config, supersteps: Sequence[Sequence[Any]], *, by: Principal | None = None
        ) -> RunnableConfig:
            """Asynchronous form of `bulk_update_state`, with the same arguments, result and errors."""

    def get_state(self, config: Config, *, subgraphs: bool = False, by: Principal | None = None) -> StateSnapshot:
        """Return the state of a thread, as LangGraph's `get_state` does.

        Args:
            config: The config of the thread, optionally with a checkpoint.
            subgraphs: Whether to include the states of subgraphs.
            by: The principal who looks. Without one, the application itself looks.

        Returns:
            The state; an empty one if there is no such thread, or if it belongs to another tenant.

        Raises:
            PrincipalError: The workflow serves somebody else.
        """
        shows = self._shows(config, self._for(config, by), self._saver(config))
        return super().get_state(cast("RunnableConfig", config), subgraphs=subgraphs) if shows else _nothing(config)

    async def aget_state(
        self, config: Config, *, subgraphs: bool = False, by: Principal | None = None
    ) -> StateSnapshot:
        """Asynchronous form of `get_state`, with the same arguments, result and errors."""
        by, saver = self._for(config, by), self._asaver(config)
        if not await self.engine.store.database.arun(lambda: self._shows(config, by, saver)):
            return _nothing(config)
        return await super().aget_state(cast("RunnableConfig", config), subgraphs=subgraphs)

    def get_state_history(
        self,
        config: Config,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: Config | None = None,
        limit: int | None = None,
        by: Principal | None = None,
    ) -> Iterator[StateSnapshot]:
        """Return the states of a thread, newest first, as LangGraph's `get_state_history` does; none if there is no such thread, or if it
        belongs to another tenant.

        Raises:
            PrincipalError: The workflow serves somebody other than `by`.
        """
        if self._shows(config, self._for(config, by), self._saver(config)):
            yield from super().get_state_history(
                cast("RunnableConfig", config), filter=filter, before=cast("RunnableConfig | None", before), limit=limit
            )

    async def aget_state_history(
        self,
        config: Config,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: Config | None = None,
        limit: int | None = None,
        by: Principal | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """Asynchronous form of `get_state_history`, with the same arguments, result and errors."""
        by, saver = self._for(config, by), self._asaver(config)
        if await self.engine.store.database.arun(lambda: self._shows(config, by, saver)):
            async for one in super().aget_state_history(
                cast("RunnableConfig", config), filter=filter, before=cast("RunnableConfig | None", before), limit=limit
            ):
                yield one

    def update_state(
        self,
        config: Config,
        values: dict[str, Any] | Any | None,
        as_node: str | None = None,
        task_id: str | None = None,
        *,
        by: Principal | None = None,
    ) -> RunnableConfig:
        """Update the thread as LangGraph's `update_state` does, but only its messages.

        Raises:
            RunError: The tenant of `by` has no such instance.
            PrincipalError: The workflow serves somebody other than `by`.
            InvalidInput: The update sets a workflow channel, or acts as one of the workflow's nodes.
        """
        return self.bulk_update_state(config, [[StateUpdate(values, as_node, task_id)]], by=by)

    async def aupdate_state(
        self,
        config: Config,
        values: dict[str, Any] | Any,
        as_node: str | None = None,
        task_id: str | None = None,
        *,
        by: Principal | None = None,
    ) -> RunnableConfig:
        """Asynchronous form of `update_state`, with the same arguments, result and errors."""
        return await self.abulk_update_state(config, [[StateUpdate(values, as_node, task_id)]], by=by)

    def _for(self, config: Config | None, by: Principal | None) -> Principal | None:
        """The principal of the call; None for the application. Has to run on the caller's thread."""
        return by or user_of_request(self._merged(config))

    def _check_may_change(self, config: Config, by: Principal | None, saver: Any) -> None:
        if by is not None:
            may_change(self.engine, saver, self._merged(config), by)

    def _shows(self, config: Config, by: Principal | None, saver: Any) -> bool:
        return by is None or may_look(self.engine, saver, self._merged(config), by)


def _nothing(config: Config) -> StateSnapshot:
    """LangGraph's state of a missing thread."""
    return StateSnapshot(
        values={},
        next=(),
        config=cast("RunnableConfig", config),
        metadata=None,
        created_at=None,
        parent_config=None,
        tasks=(),
        interrupts=(),
    )


__all__ = ["GuardedState"]
