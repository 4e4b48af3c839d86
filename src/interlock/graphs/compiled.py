"""The compiled workflow: LangGraph's own graph with guarded entry points.

A thin subclass. It validates input and answers before LangGraph, which silently ignores an answer for which nothing waits, and permanently
stores an answer of a wrong shape. Everything else is LangGraph's.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from ..commands.running.access import Access, meant
from ..commands.running.checkpoint_lookup import FromThreads
from ..commands.running.engine import Engine
from ..commands.running.entrances import enter
from ..commands.running.principals import is_named, principal_of
from ..commands.running.proposing import take_turn
from ..commands.running.scope import CHECKPOINTER, RUNTIME, forged_keys
from ..nodes.channels import OWN_CHANNELS, Input
from ..operations.compiled import Config
from ..operations.refusals import record_refusal
from ..operations.time_travel import check_travel
from ..tools.contracts.members import missing
from ..tools.errors import InputError, InvalidInput
from ..tools.principal import Principal
from .answers import Answers
from .checks.hosts import check_parent
from .inputs import is_taken
from .invoking import Invoking
from .traced_run import traced_run
from .turns import Turn

if TYPE_CHECKING:  # imported on use: a run needs neither pictures nor operations
    from ..operations.instances import Instances
    from ..operations.stepping import Stepper
    from ..pictures.comparison import Comparison
    from ..pictures.picture import Picture
    from ..pictures.side_by_side import SideBySide

COORDINATES = frozenset({"thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map"})
"""A config with one of these keys names its own thread, wherever it is used."""


_ON_INSTANCES = {
    name: f"Instances are worked on with graph.instances.{name}(...)."
    for name in (
        "approvals",
        "audit",
        "cancel",
        "card",
        "decide",
        "execute",
        "propose",
        "snapshot",
        "start",
        "timeline",
    )
}


class WorkflowGraph(Invoking):
    """A compiled workflow: a LangGraph `CompiledStateGraph`, and therefore a Runnable, with all of their methods."""

    @classmethod
    def adopt(cls, compiled: CompiledStateGraph[Any, Any, Any, Any]) -> "WorkflowGraph":
        """Turn a compiled graph into a `WorkflowGraph`, in place; `copy` and `with_config` keep the class."""
        compiled.__class__ = cls
        return cast("WorkflowGraph", compiled)

    if not TYPE_CHECKING:  # for type checkers a wrong name stays an error

        def __getattr__(self, name: str) -> Any:
            raise missing(self, name, _ON_INSTANCES)

    @property
    def engine(self) -> Engine:
        """The workflow's definition and its store."""
        engine: Engine = self.builder.interlock  # type: ignore[attr-defined]
        return engine

    @property
    def instances(self) -> "Instances":
        """The instances of this workflow: their states, their audit trails, and operations on them from outside the graph."""
        from ..operations.instances import Instances  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        return Instances(self)

    def stream(self, input: Any, config: Config | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002
        """Run the graph as LangGraph's `stream` does. By default, durability is `sync`, and only the output's channels are streamed.

        Raises:
            InputError: The input, the config or the answer cannot be used. Nothing was done.
            RunError: The principal's tenant has no such instance.
            PrincipalError: The workflow serves somebody else.
            WorkflowFinished: The instance is in a final state; nothing was done.
            StaleCheckpoint: The config's checkpoint is from before the workflow's last command; nothing was done.
            ConflictError: Another caller decided first.
        """
        around = self._merged(config)
        kwargs["durability"] = kwargs.get("durability") or self._durability(around)
        kwargs["output_keys"] = kwargs.get("output_keys") or self.output_channels
        principal, is_named = self._principal(around, kwargs)
        self._check_keys(around, principal)
        self._check_saver(around)
        answered = isinstance(input, Command)
        run = traced_run(self, config, around, input)
        with run.before():
            saver = self._saver_in(around)
            entered = enter(self.engine, saver, around, principal, input, by_application=not is_named)
            check_travel(self.engine, saver, around, entered, by=principal)
            given = (
                Answers(self, around, principal, entered).take(input)
                if answered
                else self._begun(around, principal, entered, input, saver)
            )
        yield from run.drive(super().stream(given, run.config, **kwargs))

    async def astream(self, input: Any, config: Config | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002
        """Run the graph as LangGraph's `astream` does. By default, durability is `sync`, and only the output's channels are streamed.

        Raises:
            InputError: The input, the config or the answer cannot be used. Nothing was done.
            WorkflowFinished: The instance is in a final state; nothing was done.
            StaleCheckpoint: The config's checkpoint is from before the workflow's last command; nothing was done.
            ConflictError: Another caller decided first.
        """
        around = self._merged(config)
        kwargs["durability"] = kwargs.get("durability") or self._durability(around)
        kwargs["output_keys"] = kwargs.get("output_keys") or self.output_channels
        principal, is_named = self._principal(around, kwargs)
        arun = self.engine.store.database.arun
        await arun(lambda: self._check_keys(around, principal))
        self._check_saver(around)
        answered = isinstance(input, Command)
        run = await arun(lambda: traced_run(self, config, around, input))
        with run.before():
            saver = self._asaver(config)
            entered = await arun(
                lambda: enter(self.engine, saver, around, principal, input, by_application=not is_named)
            )
            await arun(lambda: check_travel(self.engine, saver, around, entered, by=principal))
            if answered:
                given = await Answers(self, around, principal, entered).atake(input)
            else:
                given = await arun(lambda: self._begun(around, principal, entered, input, saver))
        async for chunk in run.adrive(super().astream(given, run.config, **kwargs)):
            yield chunk

    def picture(self) -> "Picture":
        """Return the workflow as a picture; `instances.picture(config)` highlights the state of one instance."""
        from ..pictures.picture import picture_of  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        return picture_of(self.engine.definition)

    def stepper(self, config: Config, *, context: Principal | None = None) -> "Stepper":
        """Return a stepper for one thread, which runs it step by step; a notebook displays the workflow's state after each step."""
        from ..operations.stepping import Stepper  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        return Stepper(self, config, context)

    def side_by_side(self, config: Config, *, by: Principal | None = None) -> "SideBySide":
        """Return the conversation of a thread beside the state of its workflow, for display in a notebook.

        Args:
            config: The thread.
            by: The principal who looks. Without one, the application itself looks.
        """
        from ..pictures.side_by_side import side_by_side  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        messages = self.get_state(config, by=by).values.get("messages", [])
        return side_by_side(messages, self.instances.snapshot(config, by=by).to_json())

    async def aside_by_side(self, config: Config, *, by: Principal | None = None) -> "SideBySide":
        """Asynchronous form of `side_by_side`, with the same arguments, result and errors."""
        from ..pictures.side_by_side import side_by_side  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        messages = (await self.aget_state(config, by=by)).values.get("messages", [])
        return side_by_side(messages, (await self.instances.asnapshot(config, by=by)).to_json())

    def compare(self, before: Config, after: Config, *, by: Principal | None = None) -> "Comparison":
        """Compare two checkpoints, each given by a config with its `checkpoint_id`.

        Args:
            before: The config of the first checkpoint.
            after: The config of the second checkpoint.
            by: The principal who looks. Without one, the application itself looks.
        """
        from ..pictures.comparison import compare  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        return compare(self.get_state(before, by=by), self.get_state(after, by=by))

    async def acompare(self, before: Config, after: Config, *, by: Principal | None = None) -> "Comparison":
        """Asynchronous form of `compare`, with the same arguments, result and errors."""
        from ..pictures.comparison import compare  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        return compare(await self.aget_state(before, by=by), await self.aget_state(after, by=by))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, Any]:
        # LangGraph's own method calls a web service for a PNG, which fails offline and sends the workflow to a third party.
        del include, exclude
        return dict(self.picture()._repr_mimebundle_())

    def get_input_jsonschema(self, config: Config | None = None) -> dict[str, Any]:
        """Return the JSON Schema of a run's input."""
        schema = super().get_input_jsonschema(cast("RunnableConfig | None", config))
        given = {name: value for name, value in schema.get("properties", {}).items() if name in Input.__annotations__}
        return {**schema, "properties": given}

    def bulk_update_state(
        self, config: Config, supersteps: Sequence[Sequence[Any]], *, by: Principal | None = None
    ) -> RunnableConfig:
        """Update the thread as LangGraph's `bulk_update_state` does, but only its messages: the workflow's own channels follow its row and
        cannot be set.

        Raises:
            InvalidInput: The update sets a workflow channel, or acts as one of the workflow's nodes.
            StaleCheckpoint: The config's checkpoint is from before the workflow's last command.
        """
        by = self._for(config, by)
        self._check_keys(self._merged(config), by)
        self._check_may_change(config, by, self._saver(config))
        self._check_updates(supersteps, config, by)
        check_travel(self.engine, self._saver(config), self._merged(config), by=by)
        self._take_turn(config, by)
        return CompiledStateGraph.bulk_update_state(self, cast("RunnableConfig", config), supersteps)

    async def abulk_update_state(
        self, config: Config, supersteps: Sequence[Sequence[Any]], *, by: Principal | None = None
    ) -> RunnableConfig:
        """As `bulk_update_state`.

        Raises:
            InvalidInput: The update sets a workflow channel, or acts as one of the workflow's nodes.
            StaleCheckpoint: The config's checkpoint is from before the workflow's last command.
        """
        arun, saver, around = self.engine.store.database.arun, self._asaver(config), self._merged(config)
        by = self._for(config, by)
        await arun(lambda: self._check_keys(around, by))
        await arun(lambda: self._check_may_change(config, by, saver))
        await arun(lambda: self._check_updates(supersteps, config, by))
        await arun(lambda: check_travel(self.engine, saver, around, by=by))
        await arun(lambda: self._take_turn(config, by))
        return await CompiledStateGraph.abulk_update_state(self, cast("RunnableConfig", config), supersteps)

    def _principal(self, around: Mapping[str, Any], kwargs: Mapping[str, Any]) -> tuple[Principal, bool]:
        """The principal of the run, and whether the run's context or the server named one."""
        context = kwargs.get("context")
        if context is None:
            context = getattr(around.get(RUNTIME), "context", None)
        return principal_of(around, context), is_named(around, context)

    def _check_keys(self, around: Mapping[str, Any], principal: Principal | None) -> None:
        """Refuse a config with plain data under LangGraph's internal keys, and record the attempt."""
        forged = forged_keys(around)
        if not forged:
            return
        error = InvalidInput(
            f"The config of the workflow {self.engine.definition.name} holds {', '.join(forged)}, which LangGraph hands to graphs that run inside "
            "another one, as plain data. Nothing was done; take it out, and never pass on a client's `configurable` as it is."
        )
        record_refusal(self.engine, around, error, by=principal, keys=forged)
        raise error

    def _check_saver(self, around: Mapping[str, Any]) -> None:
        check_parent(self.engine, around)
        if self.checkpointer or not {CHECKPOINTER, RUNTIME}.isdisjoint(around):
            return
        raise InputError(
            f"The workflow {self.engine.definition.name} was compiled with a durable workflow store but "
            "without a checkpointer, for a host that has one (a parent graph, LangGraph Server), and "
            "was run alone. Nothing was done; give compile() a checkpointer, such as a "
            "SQLCheckpointer of the same database.",
            code="no_checkpointer",
        )

    def _saver(self, config: Config | None) -> Any:
        return self._saver_in(self._merged(config))

    def _saver_in(self, around: Mapping[str, Any]) -> Any:
        return around.get(CHECKPOINTER) or self.checkpointer

    def _durability(self, around: Mapping[str, Any]) -> str | None:
        # Without a checkpointer in the parent, children have none either, and LangGraph warns about a durability without effect.
        return None if CHECKPOINTER in around and around[CHECKPOINTER] is None else "sync"

    def _asaver(self, config: Config | None) -> FromThreads | None:
        saver = self._saver(config)
        return FromThreads(saver, asyncio.get_running_loop()) if saver else None

    def _merged(self, config: Config | None) -> dict[str, Any]:
        if config is not None and not isinstance(config, Mapping):
            raise InvalidInput(
                f"The config of the run is of the type {type(config).__name__}. Nothing was done; pass a config such as "
                '{"configurable": {"thread_id": "t-1"}}.'
            )
        own = (self.config or {}).get("configurable", {})
        given = {**own, **((config or {}).get("configurable") or {})}
        if not COORDINATES.isdisjoint(given):
            return given
        # Called without a config inside a node of the application: LangGraph uses that node's config.
        around = var_child_runnable_config.get() or {}
        return {**(around.get("configurable") or {}), **given}

    def _begun(self, around: Mapping[str, Any], principal: Principal, entered: Access, given: Any, saver: Any) -> Any:
        """The input for the start node; None if the thread has already taken it."""
        is_new = entered.instance is None and not entered.is_begun
        taken = is_taken(None if is_new else saver, around)
        return Turn(self.engine, around, principal, entered, saver or None).begin(None if taken else given)

    def _take_turn(self, config: Config | None, by: Principal | None) -> None:
        """Make the principal who changes the conversation its proposer, except the application, which acts for nobody."""
        if by is None:
            return
        workflow_id = meant(self.engine, self._merged(config))
        instance = self.engine.store.find(workflow_id)
        if instance is not None:
            take_turn(self.engine.store, self.engine.owned(instance, by, workflow_id), by)

    def _check_updates(self, supersteps: Sequence[Sequence[Any]], config: Config | None, by: Principal | None) -> None:
        for update in (update for superstep in supersteps for update in superstep):
            values, node = update[0], update[1] if len(update) > 1 else None
            touched = sorted(OWN_CHANNELS & set(values)) if isinstance(values, Mapping) else []
            error: InvalidInput | None = None
            if touched or isinstance(values, Command):
                error = InvalidInput(
                    f"update_state was to set {', '.join(touched) or 'a command'} of the workflow {self.engine.definition.name}. Its row in the workflow store is the "
                    "truth about state, data and revision, and the channels follow it: use a command (instances.execute) instead. "
                    "Nothing was changed; only messages can be updated."
                )
            elif node is not None and node in self.builder.nodes and "/" in str(node):
                error = InvalidInput(
                    f"update_state was to act as the node {node!r}, which would be taken for its having run. Nothing was changed; update messages without "
                    "as_node, or as a state."
                )
            if error is not None:
                around = self._merged(config)
                as_node = None if node is None else str(node)
                record_refusal(self.engine, around, error, by=by, channels=touched, asNode=as_node)
                raise error


__all__ = ["WorkflowGraph"]
