"""The arguments of calls as a provider streamed them: client packages complete half an object to a whole one, and keep no trace of it."""

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
    """Keeps the pieces of calls that models stream, until their messages are whole."""

    run_inline = True  # in an asynchronous run it is called where it is, and not in a thread for each piece

    def __init__(self) -> None:
        self._pieces: dict[UUID, dict[int, AIMessageChunk]] = defaultdict(dict)
        self._messages: list[tuple[BaseMessage, dict[str, str]]] = []

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Nothing: without this, LangChain writes the whole conversation as one text and gives it to `on_llm_start`, at every call."""

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Keep a piece, once."""
        message = getattr(chunk, "message", None)
        if not isinstance(message, AIMessageChunk) or not message.tool_call_chunks:
            return
        self._pieces[run_id].setdefault(id(message), message)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Put the pieces of a message together."""
        pieces = [*self._pieces.pop(run_id, {}).values()]
        generation = response.generations[0][0] if response.generations and response.generations[0] else None
        message = getattr(generation, "message", None)
        if not pieces or not isinstance(message, AIMessage):
            return
        whole = reduce(add, [AIMessageChunk(content="", tool_call_chunks=piece.tool_call_chunks) for piece in pieces])
        texts = {one["id"]: one["args"] or "" for one in whole.tool_call_chunks if one["id"]}
        self._messages.append((message, texts))

    def of(self, message: BaseMessage) -> Mapping[str, str]:
        """The arguments of a message's calls by the calls' ids, as far as they were streamed."""
        return next((texts for one, texts in self._messages if one is message), {})


_LISTENING: ContextVar[StreamedArguments | None] = ContextVar("interlock_streamed_arguments", default=None)
register_configure_hook(_LISTENING, inheritable=True)


@contextmanager
def listening() -> Iterator[StreamedArguments]:
    """Hear what the models stream that are asked within the block."""
    heard = StreamedArguments()
    before = _LISTENING.get()
    _LISTENING.set(heard)
    try:
        yield heard
    finally:
        _LISTENING.set(before)  # not by its token: a block of an asynchronous run may end in a copy of its context


__all__ = ["StreamedArguments", "listening"]
