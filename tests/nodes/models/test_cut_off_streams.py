"""A stream that breaks off in the middle of a call's arguments: what a client package makes of the rest is not run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import PrivateAttr

from interlock import Principal, Workflow, command

ANN = Principal("ann")
WHOLE, HALF = '{"cents": 1250}', '{"cents": 12'
ran: list[int] = []


@command("order.refund", effect="transactional")
def refund(cents: int) -> str:
    """Refund."""
    ran.append(cents)
    return "refunded"


class Streams(BaseChatModel):
    """A model that streams one call in pieces of three letters, without saying why it ended, and then talks."""

    _texts: list[str] = PrivateAttr()

    def __init__(self, *texts: str) -> None:
        super().__init__()
        self._texts = list(texts)

    @property
    def _llm_type(self) -> str:
        return "streams"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        text = self._texts.pop(0) if self._texts else None
        if text is None:
            yield ChatGenerationChunk(message=AIMessageChunk(content="done"))
            return
        for start in range(0, len(text), 3):
            opening: Any = {"name": "order_refund", "id": "c1"} if start == 0 else {"name": None, "id": None}
            piece: Any = {**opening, "args": text[start : start + 3], "index": 0, "type": "tool_call_chunk"}
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream():
            yield chunk


def workflow(model: Any = None) -> Workflow:
    made = Workflow("shop", model=model)
    made.add_state("open")
    made.add_state("end", final=True)
    return made.add_edge("open", refund, "end")


def as_graph(model: Any) -> Any:
    return workflow(model).compile()


def as_agent(model: Any) -> Any:
    return create_agent(
        model, [], middleware=[workflow().as_middleware()], checkpointer=InMemorySaver(), context_schema=Principal
    )


@pytest.mark.parametrize("make", [as_graph, as_agent])
@pytest.mark.parametrize("is_async", [False, True])
async def test_half_an_object_of_arguments_is_not_run_and_a_whole_one_is(make: Any, is_async: bool) -> None:
    ran.clear()
    graph = make(Streams(HALF, WHOLE))
    given, config = {"messages": [("user", "refund it")]}, {"configurable": {"thread_id": "1"}}

    told: list[Any] = []
    if is_async:
        async for kind, chunk in graph.astream(given, config, context=ANN, stream_mode=["messages", "values"]):
            told = chunk["messages"] if kind == "values" else told
    else:
        for kind, chunk in graph.stream(given, config, context=ANN, stream_mode=["messages", "values"]):
            told = chunk["messages"] if kind == "values" else told

    assert ran == [1250]
    answers = [message.content for message in told if message.type == "tool"]
    assert "cut off" in answers[0] or "could not be read" in answers[0]
    assert '"ok":true' in answers[1]
