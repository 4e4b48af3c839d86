"""Keeps the raw streamed arguments of calls, because client packages silently complete truncated objects."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from operator import add
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook


class StreamedArguments(BaseCallbackHandler):
    """Collects the streamed chunks of calls until their messages are complete."""

    run_inline = True  # asynchronous runs then call it directly, and not in a thread per chunk

    def __init__(self) -> None:
        self._pieces: dict[UUID, dict[int, AIMessageChunk]] = defaultdict(dict)
        self._messages: list[tuple[BaseMessage, dict[str, str]]] = []

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Do nothing; without this method, LangChain would serialize the whole conversation for `on_llm_start` at every call."""

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Keep a chunk, once."""
        message = getattr(chunk, "message", None)
        if not isinstance(message, AIMessageChunk) or not message.tool_call_chunks:
            return
        self._pieces[run_id].setdefault(id(message), message)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Join the chunks of a message."""
        pieces = [*self._pieces.pop(run_id, {}).values()]
        generation = response.generations[0][0] if response.generations and response.generations[0] else None
        message = getattr(generation, "message", None)
        if not pieces or not isinstance(message, AIMessage):
            return
        whole = reduce(add, [AIMessageChunk(content="", tool_call_chunks=piece.tool_call_chunks) for piece in pieces])
        texts = {one["id"]: one["args"] or "" for one in whole.tool_call_chunks if one["id"]}
        self._messages.append((message, texts))

    def of(self, message: BaseMessage) -> Mapping[str, str]:
        """The streamed arguments of a message's calls, by call id."""
        return next((texts for one, texts in self._messages if one is message), {})


_LISTENING: ContextVar[StreamedArguments | None] = ContextVar("interlock_streamed_arguments", default=None)
register_configure_hook(_LISTENING, inheritable=True)


@contextmanager
def listening() -> Iterator[StreamedArguments]:
    """Collect the chunks of the models that are called in this block."""
    heard = StreamedArguments()
    before = _LISTENING.get()
    _LISTENING.set(heard)
    try:
        yield heard
    finally:
        # Not `reset` with the token: a block of an asynchronous run may end in a copy of its context.
        _LISTENING.set(before)


__all__ = ["StreamedArguments", "listening"]
