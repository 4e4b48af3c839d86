"""The output of tools with a Python return type: its validator, its serializer and its JSON Schema."""

import functools
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter

from ..canonical import JsonObject
from .offered.schema import output_schema
from .shapes import closed


@dataclass(frozen=True)
class Output:
    """The validator and serializer of one type."""

    adapter: TypeAdapter[Any]
    """Validates the tool's return value."""
    written: TypeAdapter[Any]
    """Serializes it to the wire form."""
    schema: JsonObject
    """The JSON Schema of the serialized form. Tools share it: copy it before changing it."""


def output_of(kind: Any) -> Output:
    """Make the output of a type. Tools with the same return type share it, because making it takes milliseconds.

    Args:
        kind: The type.

    Raises:
        Exception: The error of pydantic if it cannot handle or describe the type.
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
