"""The output of tools that say in Python what they return: what reads it, what writes it, and its JSON Schema."""

import functools
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter

from ..canonical import JsonObject
from .offered.schema import output_schema
from .shapes import closed


@dataclass(frozen=True)
class Output:
    """What reads and writes the values of one type."""

    adapter: TypeAdapter[Any]
    """Reads what the tool returns."""
    written: TypeAdapter[Any]
    """Writes it as on the wire."""
    schema: JsonObject
    """The JSON Schema of what is written. Tools share it: copy it before changing it."""


def output_of(kind: Any) -> Output:
    """Make the output of a type. Tools that return the same model share it, because making it takes milliseconds.

    Args:
        kind: The type.

    Raises:
        Exception: What pydantic raises where it cannot read or describe the type.
    """
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__pydantic_complete__:
        return _of_model(kind)
    return _made(kind)


@functools.lru_cache(maxsize=1024)
def _of_model(model: type[BaseModel]) -> Output:
    return _made(model)


def _made(kind: Any) -> Output:
    written: TypeAdapter[Any] = TypeAdapter(closed(kind))
    return Output(TypeAdapter(kind), written, output_schema(written))


__all__ = ["Output", "output_of"]
