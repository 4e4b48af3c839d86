"""Splits a message into chunks, as a provider streams it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

_WORDS = re.compile(r"\S+\s*|\s+")
_PIECES = re.compile(r"[^,]*,|[^,]+")


def chunks(message: AIMessage) -> Iterator[AIMessageChunk]:
    """The chunks of `message` in streaming order; their sum is the message.

    Text is split by words; each tool call starts with its name and id, followed by parts of its arguments; the last chunk has the
    usage and the finish reason.
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
