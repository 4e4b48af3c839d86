"""The signatures of `invoke` and `ainvoke` for type checkers: LangGraph's own, with plain dicts as configs and a principal as context."""

from typing import TYPE_CHECKING, Any, Literal, overload

from ..operations.compiled import Config
from .agents.guarded_state import GuardedState


class Invoking(GuardedState):
    """The part of a compiled workflow that types `invoke` and `ainvoke`, which are LangGraph's."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # a plain dict is a config here, which LangGraph's types do not take
        def invoke(
            self,
            input: Any,
            config: Config | None = None,
            *,
            context: Any = None,
            stream_mode: Literal["values"] = ...,
            version: Literal["v1"] = ...,
            **kwargs: Any,
        ) -> dict[str, Any]: ...
        @overload
        def invoke(
            self,
            input: Any,
            config: Config | None = None,
            *,
            context: Any = None,
            **kwargs: Any,
        ) -> Any: ...
        def invoke(self, input: Any, config: Config | None = None, **kwargs: Any) -> Any:  # noqa: A002
            """Run the workflow until it ends, waits, or a person has to decide.

            Args:
                input: `{"messages": [...]}`, with the `"data"` that a new instance starts with; `Command(resume=...)` answers what waits; None
                    continues the state of the thread.
                config: Names the thread: `{"configurable": {"thread_id": "t-1"}}`.
                context: Who acts, a `Principal`. It comes from the application, never from the model.
                kwargs: LangGraph's own options.

            Returns:
                The graph's output: `messages`, `state`, `data`, `last_result`, `next_allowed_tools` and `workflow_id`; `__interrupt__` where
                a person has to decide.
            """

        @overload  # type: ignore[override]
        async def ainvoke(
            self,
            input: Any,
            config: Config | None = None,
            *,
            context: Any = None,
            stream_mode: Literal["values"] = ...,
            version: Literal["v1"] = ...,
            **kwargs: Any,
        ) -> dict[str, Any]: ...
        @overload
        async def ainvoke(
            self,
            input: Any,
            config: Config | None = None,
            *,
            context: Any = None,
            **kwargs: Any,
        ) -> Any: ...
        async def ainvoke(self, input: Any, config: Config | None = None, **kwargs: Any) -> Any:  # noqa: A002
            """As `invoke`."""
