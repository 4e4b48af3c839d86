"""The proposers of a state: a chat model, a function of the application, or a LangGraph node."""

import datetime as dt
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, RemoveMessage
from langchain_core.runnables import Runnable, RunnableLambda

from ..checkpointing.connecting.own_loop import OWN_LOOP
from ..rules.definition import Edge, State
from ..rules.view import GuardView
from ..tools.context import DataT
from ..tools.contracts import ToolContract
from ..tools.contracts.yes_or_no import odd_answer
from ..tools.errors import RunError
from ..tools.principal import Principal
from ..tools.schemas.offered.strict import strict_schema
from ..tools.storable import storable_text
from .conversation import for_model
from .model_binding import with_tools


class Proposer(Protocol):
    """The source of the next proposals of a state."""

    rule: str | None
    """Its label if it is a rule of the application, whose exceptions are denials; None if its exceptions propagate."""

    def asked(
        self, channels: Mapping[str, Any], view: GuardView, edges: Sequence[Edge]
    ) -> tuple[Runnable[Any, Any], Any]:
        """Return the runnable, and the input to invoke it with."""

    def answered(self, said: Any, channels: Mapping[str, Any]) -> tuple[list[BaseMessage], AIMessage | None]:
        """Split the result into other new messages and the message that proposes; None if there is no such message."""


class ModelProposer:
    """A chat model, bound to exactly the next allowed tools of its state."""

    rule: str | None = None

    def __init__(self, state: State) -> None:
        self._state = state
        # Also wrappers such as a model with fallbacks: they have `bind_tools`.
        self._model: Any = None if isinstance(state.model, str) else state.model
        self._bound: dict[tuple[str, ...], Runnable[Any, Any]] = {}

    def asked(
        self, channels: Mapping[str, Any], view: GuardView, edges: Sequence[Edge]
    ) -> tuple[Runnable[Any, Any], Any]:
        """The model with the tools of these edges, and the conversation."""
        prompt = self._state.prompt(view) if callable(self._state.prompt) else self._state.prompt
        return self._with_tools([edge.tool for edge in edges]), for_model(channels.get("messages", []), prompt)

    def answered(self, said: Any, channels: Mapping[str, Any]) -> tuple[list[BaseMessage], AIMessage | None]:  # noqa: ARG002
        """The model's message."""
        if not isinstance(said, AIMessage):
            raise RunError(
                f"The model of the state {self._state.name!r} answered with a {type(said).__name__}, not with a message.",
                code="model_error",
            )
        return [], said

    def _with_tools(self, tools: list[ToolContract]) -> Runnable[Any, Any]:
        key = tuple(f"{tool.name}@{tool.version}" for tool in tools)
        bound = self._bound.get(key)
        if bound is None:
            offered = [self._definition(tool) for tool in tools]
            names = {tool.name: tool.wire_name for tool in tools}
            bound = with_tools(
                self._resolved(), [*offered, *self._state.provider_tools], self._state.model_settings, names
            )
            self._bound[key] = bound
        return bound

    def _definition(self, tool: ToolContract) -> dict[str, Any]:
        definition = tool.tool_definition()
        if self._state.is_strict:
            strict = strict_schema(tool.name, tool.offered_schema())
            definition["function"] |= {"parameters": strict, "strict": True}
        return definition

    def _resolved(self) -> Any:
        if self._model is None:
            self._model = chat_model(str(self._state.model))
        return self._model


def chat_model(name: str) -> BaseChatModel:
    """Make a chat model from a string such as `openai:gpt-5`, by LangChain's `init_chat_model`.

    Raises:
        RunError: LangChain, or the provider's package, is not installed; or the name or the API key is missing.
    """
    try:
        from langchain.chat_models import init_chat_model  # noqa: PLC0415 -- an extra, imported when it is used
    except ImportError as error:
        raise RunError(
            f"The model {name!r} is given by name, which needs LangChain. Install "
            "langgraph-interlock[langchain] and the provider's package, or pass a chat model object.",
            code="model_error",
        ) from error
    try:
        return init_chat_model(name)
    except Exception as error:  # without its key, a provider's package raises its own error type
        said = storable_text(error).strip().partition("\n")[0].rstrip(".")
        raise RunError(
            f"The model {name!r} could not be made: {said}. Nothing was done; name it as in 'openai:gpt-5', with the provider's package installed and "
            "its key in the environment, or give a chat model object.",
            code="model_error",
        ) from error


@dataclass(frozen=True)
class DecisionView(Generic[DataT]):
    """The argument of a `decide` function: the state of the workflow, and the tools that it may call."""

    workflow_id: str
    state: str
    data: DataT
    revision: int
    principal: Principal
    next_allowed_tools: tuple[str, ...]
    messages: tuple[AnyMessage, ...]
    view: GuardView[DataT] = field(repr=False, compare=False)
    """The view that guards receive."""

    @property
    def now(self) -> dt.datetime:
        """The time in UTC, by the store's clock."""
        return self.view.now


class FunctionProposer:
    """A function of the application.

    Its argument is a `DecisionView`. It returns its proposals: `(tool, arguments)`, a list of such pairs, an AIMessage, a text for the
    conversation, or None to end the turn.
    """

    def __init__(self, state: State) -> None:
        self.rule: str | None = f"the decide function of the state {state.name!r}"
        self._is_async = inspect.iscoroutinefunction(state.decide)
        self._runnable = as_runnable(cast("Callable[..., Any]", state.decide), f"{state.name}.decide")

    def asked(
        self, channels: Mapping[str, Any], view: GuardView, edges: Sequence[Edge]
    ) -> tuple[Runnable[Any, Any], Any]:
        """The function, and what it decides on."""
        if self._is_async:
            view.now  # noqa: B018 -- looked up here, and not on the event loop that the function runs on
        return self._runnable, DecisionView(
            view.workflow_id,
            view.state,
            view.data,
            view.revision,
            view.principal,
            tuple(edge.tool.name for edge in edges),
            tuple(channels.get("messages", [])),
            view,
        )

    def answered(self, said: Any, channels: Mapping[str, Any]) -> tuple[list[BaseMessage], AIMessage | None]:  # noqa: ARG002
        """What it decided, as a message."""
        if said is None or isinstance(said, AIMessage):
            return [], said
        if isinstance(said, str):
            return [], AIMessage(said)
        calls = said if isinstance(said, list) else [said]
        try:
            tool_calls = [
                {
                    "name": tool.wire_name if isinstance(tool, ToolContract) else str(tool),
                    "args": dict(arguments),
                    "id": "",
                    "type": "tool_call",
                }
                for tool, arguments in calls
            ]
        except Exception as error:  # methods of the returned value may raise anything
            raise odd_answer(
                str(self.rule), said, "it returns (tool, arguments), a list of those, an AIMessage, a text, or None"
            ) from error
        return [], AIMessage("", tool_calls=tool_calls)


class NodeProposer:
    """A LangGraph node or subgraph: the tool calls of the last message that it adds are the proposals."""

    rule: str | None = None

    def __init__(self, state: State) -> None:
        self._state = state
        self._runnable = as_runnable(state.node, state.name)

    def asked(
        self, channels: Mapping[str, Any], view: GuardView, edges: Sequence[Edge]
    ) -> tuple[Runnable[Any, Any], Any]:
        """The node, and the channels that it may see."""
        return self._runnable, {
            "messages": list(channels.get("messages", [])),
            "workflow_id": view.workflow_id,
            "state": view.state,
            "revision": view.revision,
            "data": view.data if view.data is None else view.data.model_dump(mode="json"),
            "next_allowed_tools": [edge.tool.name for edge in edges],
        }

    def answered(self, said: Any, channels: Mapping[str, Any]) -> tuple[list[BaseMessage], AIMessage | None]:
        """The messages that are new, the last one apart when it proposes something."""
        messages = said.get("messages", []) if isinstance(said, Mapping) else said
        if messages is None:
            return [], None
        known = {message.id: message for message in channels.get("messages", [])}
        listed = messages if isinstance(messages, list) else [messages]
        new = [one for one in listed if isinstance(one, BaseMessage) and (one.id is None or known.get(one.id) != one)]
        new = _with_unique_ids(new)
        if new and isinstance(new[-1], AIMessage):
            return new[:-1], new[-1]
        return new, None


def _with_unique_ids(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Give each message of a node a unique id, because some models use one id for all answers."""
    seen: set[str] = set()
    apart: list[BaseMessage] = []
    for message in messages:
        again = message.id is not None and message.id in seen and not isinstance(message, RemoveMessage)
        # LangGraph assigns a missing id; with the same id, one message would replace the other.
        apart.append(message.model_copy(update={"id": None}) if again else message)
        seen |= {message.id} if message.id is not None else set()
    return apart


def as_runnable(thing: Any, name: str) -> Runnable[Any, Any]:
    """Make a runnable from a sync or async function; a runnable is returned unchanged."""
    if isinstance(thing, Runnable):
        return thing
    if inspect.iscoroutinefunction(thing):

        def waited_for(value: Any) -> Any:
            if OWN_LOOP.is_here():
                raise RunError(
                    f"{name} is async, and was run by invoke() or stream() from within an async tool that itself runs for a synchronous caller: "
                    "each would wait for the other. Nothing was done; await ainvoke() there.",
                    code="async_tool",
                )
            return OWN_LOOP.run(lambda: thing(value))

        return RunnableLambda(waited_for, afunc=thing, name=name)
    return RunnableLambda(thing, name=name)


__all__ = ["DecisionView", "FunctionProposer", "ModelProposer", "NodeProposer", "Proposer", "as_runnable", "chat_model"]
