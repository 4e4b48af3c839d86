"""The classes that schemas declare, which strict mode allows in a graph's channels."""

import dataclasses
import enum
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel


def declared_types(*schemas: Any) -> frozenset[type]:
    """Return every data class that occurs in the schemas, in their fields, and in the fields of those.

    Args:
        schemas: Typed dictionaries, dataclasses, pydantic models, any annotation, or a graph of LangGraph's, compiled or not: what its state,
            its nodes and the graphs within it declare.
    """
    found: set[type] = set()
    seen: set[int] = set()
    kept: list[Any] = list(schemas)  # keep the objects alive, because ids are reused
    todo = list(schemas)
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        parts = list(_parts(item))
        kept += parts
        todo += parts
        if isinstance(item, type) and _is_data(item):
            found.add(item)
    return frozenset(found)


def _parts(item: Any) -> Iterable[Any]:
    if not isinstance(item, type) and typing.get_origin(item) is None:
        yield from _of_graph(item)
    if isinstance(item, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        yield item.__value__
    yield from typing.get_args(item)
    origin = typing.get_origin(item)
    if origin is not None and origin is not item:
        yield origin
    if isinstance(item, typing.TypeVar):
        yield from (item.__bound__, *item.__constraints__)
    if (supertype := getattr(item, "__supertype__", None)) is not None:
        yield supertype
    if isinstance(item, type) and (_is_data(item) or typing.is_typeddict(item)):
        yield from _hints(item).values()
        if issubclass(item, BaseModel):
            yield from (field.annotation for field in item.__pydantic_fields__.values())
            metadata = item.__pydantic_generic_metadata__
            yield from metadata["args"]
            yield metadata["origin"]


def _of_graph(item: Any) -> Iterable[Any]:
    """The parts of a graph, a node or a wrapping runnable, in which LangGraph also searches for subgraphs."""
    if not any(cls.__module__.startswith(_GRAPHS) for cls in type(item).__mro__):
        return
    for name in ("builder", "runnable", "bound", "input_schema", "context_schema"):
        if name == "input_schema" and _attribute(item, "InputType") is Any:
            continue  # a runnable with any input would create a model for it
        if (part := _attribute(item, name)) is not None:
            yield part
    for name in ("schemas", "nodes", "steps", "deps"):
        parts = _attribute(item, name)
        if isinstance(parts, dict):
            yield from parts if name == "schemas" else parts.values()
        elif isinstance(parts, (list, tuple)):
            yield from parts


_GRAPHS = ("langgraph.", "langchain_core.")


def _attribute(item: Any, name: str) -> Any:
    try:
        return object.__getattribute__(item, name)
    except Exception:  # missing, or a property that fails on this object
        return None


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # names that only a type checker can resolve
        return dict(getattr(cls, "__annotations__", {}))


def _is_data(cls: type) -> bool:
    if cls.__module__ == "builtins":
        return False
    return (
        issubclass(cls, (enum.Enum, BaseModel))
        or dataclasses.is_dataclass(cls)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or "__attrs_attrs__" in cls.__dict__
        or any(
            issubclass(cls, base) and cls is not base
            for base in (str, int, float, bytes, list, dict, set, frozenset, tuple)
        )
    )
