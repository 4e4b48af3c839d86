"""A chat model whose answers are scripted."""

from __future__ import annotations

import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr
from typing_extensions import override

from ._errors import ScriptExhausted, ScriptUnfinished
from ._steps import MintId, Step, check, decide, describe, to_message
from ._streaming import chunks


@dataclass(frozen=True)
class Request:
    """One request to a scripted model."""

    messages: tuple[BaseMessage, ...]
    """The messages of the request, not copies of them."""

    tools: tuple[dict[str, Any], ...]
    """The definitions of the tools that were bound to it, in OpenAI's form."""

    options: dict[str, Any]
    """The other options of the request, such as `tool_choice`."""

    @property
    def offered(self) -> list[str]:
        """The names of the tools, in the order in which they were offered."""
        return [_name_of(tool) for tool in self.tools]


class ScriptedChatModel(BaseChatModel):
    """A chat model without a provider, for tests, demos and notebooks: its answers are the steps of a script, one for each call.

    It accepts tools (`bind_tools`), streams, and works in sync and async programs and from several threads. It records the tools and
    messages of each request, and raises if it is called more often than the script has steps.

        model = ScriptedChatModel([call("order.get", orderId="W1"), "Your order is on its way."])

    Args:
        steps: The answers, one for each call: a text, a `call(...)`, a list of these, a message, an exception, or a function of the messages and
            the names of the offered tools that returns one of these.
        forever: The answer to every further call. Without it, a further call raises `ScriptExhausted`.
        ids: A function that generates IDs for tool calls without one; by default random, unique IDs.
        options: Fields of `BaseChatModel`, such as `name` or `callbacks`.

    Raises:
        InvalidStep: A step is not a valid answer of a model.
    """

    _script: _Script = PrivateAttr()

    def __init__(
        self, steps: Iterable[Step] = (), *, forever: Step | None = None, ids: MintId | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._script = _Script(tuple(map(check, steps)), None if forever is None else check(forever), ids or _random_id)

    @property
    def requests(self) -> list[Request]:
        """All requests, oldest first, including one that it could not answer."""
        return self._script.requests

    @property
    def offered(self) -> list[list[str]]:
        """The names of the offered tools, one list for each request."""
        return [request.offered for request in self.requests]

    @property
    def seen(self) -> list[list[BaseMessage]]:
        """The messages that were sent, one list for each request."""
        return [list(request.messages) for request in self.requests]

    def assert_exhausted(self) -> None:
        """Check that every step of the script was used.

        Raises:
            ScriptUnfinished: Steps are left; the message lists them.
        """
        if left := self._script.left:
            total = len(self._script.steps)
            raise ScriptUnfinished(
                f"{len(left)} of the script's {total} steps were never asked for; the next would have been "
                f"{describe(left[0])}. The conversation ended earlier than the script expects."
            )

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **options: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the same model, with its script and its records, to which these tools are offered."""
        if tool_choice is not None:
            options["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **options)

    def _answer(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> AIMessage:
        tools = tuple(options.pop("tools", ()))
        if stop is not None:
            options["stop"] = stop
        request = Request(tuple(messages), tools, options)
        step = self._script.next(request)
        return to_message(decide(step, list(messages), request.offered), self._script.mint_id)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, stop, kwargs))])

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, **kwargs)  # nothing here blocks, so no thread is needed

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in chunks(self._answer(messages, stop, kwargs)):
            yield ChatGenerationChunk(message=chunk)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop, **kwargs):
            yield chunk

    @property
    @override
    def _llm_type(self) -> str:
        return "interlock-scripted"


class _Script:
    """The steps, how far they were used, and the record: what all views of one model share."""

    def __init__(self, steps: tuple[Step, ...], forever: Step | None, mint_id: MintId) -> None:
        self.steps = steps
        self.mint_id = mint_id
        self._forever = forever
        self._used = 0
        self._requests: list[Request] = []
        self._lock = threading.Lock()

    def next(self, request: Request) -> Step:
        """Record the request and take the step that answers it."""
        with self._lock:
            self._requests.append(request)
            if self._used < len(self.steps):
                self._used += 1
                return self.steps[self._used - 1]
        if self._forever is not None:
            return self._forever
        last = _in_a_line(request.messages[-1]) if request.messages else "nothing at all"
        raise ScriptExhausted(
            f"The script is used up ({len(self.steps)} step{'' if len(self.steps) == 1 else 's'}), and the model was "
            f"called again. The last message was {last}; on offer were {request.offered}. "
            "Add a step, or end the conversation where the script ends."
        )

    @property
    def left(self) -> tuple[Step, ...]:
        with self._lock:
            return self.steps[self._used :]

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)


def _name_of(tool: dict[str, Any]) -> str:
    """The tool's name; for a tool built into a provider, which has none, its type."""
    function = tool.get("function", tool)
    return str(function.get("name") or tool.get("type"))


def _in_a_line(message: BaseMessage) -> str:
    """The message in one line, for the error about it."""
    text = message.text
    return f"{message.type} {text if len(text) <= 200 else text[:197] + '...'!r}"


def _random_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"
