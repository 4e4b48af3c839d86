"""A whole message cut into the pieces in which a provider streams it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

_WORDS = re.compile(r"\S+\s*|\s+")
_PIECES = re.compile(r"[^,]*,|[^,]+")


def chunks(message: AIMessage) -> Iterator[AIMessageChunk]:
    """The pieces of `message`, in the order of the wire; added up they are the message again.

    Text comes by words; each tool call comes as its name and id first and then its arguments bit by bit; what is known
    only at the end (usage, why it ended) comes with the last piece.
    """
    if isinstance(message.content, str):
        for word in _WORDS.findall(message.content):
            yield AIMessageChunk(content=word, id=message.id)
    else:
        yield AIMessageChunk(content=message.content, id=message.id)
    calls = [(made["name"], made["id"], json.dumps(made["args"], ensure_ascii=False)) for made in message.tool_calls]
    broken = [(made["name"], made["id"], made["args"] or "") for made in message.invalid_tool_calls]
    for index, (name, call_id, arguments) in enumerate([*calls, *broken]):
        opening = tool_call_chunk(name=name, args="", id=call_id, index=index)
        yield AIMessageChunk(content="", id=message.id, tool_call_chunks=[opening])
        for piece in _PIECES.findall(arguments):
            part = tool_call_chunk(name=None, args=piece, id=None, index=index)
            yield AIMessageChunk(content="", id=message.id, tool_call_chunks=[part])
    yield AIMessageChunk(
        content="" if isinstance(message.content, str) else [],
        id=message.id,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )
