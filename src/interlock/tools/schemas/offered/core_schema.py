"""Reads facts from pydantic's core schema that the JSON Schema of a type lacks."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel


def excluded_fields(schema: Any) -> set[str]:
    """The names of the fields, at any depth, that are excluded from serialization."""
    found: set[str] = set()
    for part in _parts(schema):
        fields = part.get("fields")
        named = fields.items() if isinstance(fields, dict) else [(None, one) for one in fields or ()]
        for name, one in named:
            if isinstance(one, dict) and (one.get("serialization_exclude") or one.get("serialization_exclude_if")):
                found.add(str(name or one["name"]))
    return found


def models_in(schema: Any) -> set[type[BaseModel]]:
    """The models of a schema, at any depth."""
    return {part["cls"] for part in _parts(schema) if part.get("type") == "model"}


def imports_code(schema: Any) -> bool:
    """Whether parsing a value of the type imports the named object (pydantic's `ImportString`)."""
    for part in _parts(schema):
        function = part.get("function")
        called = function.get("function") if isinstance(function, dict) else None
        if getattr(called, "__name__", None) == "import_string":
            return True
    return False


def runs_nothing(schema: Any) -> bool:
    """Whether parsing and serializing a value of the type calls no custom function."""
    return not any(
        str(part.get("type")).startswith(("function-", "call", "custom"))
        or not _CALLING.isdisjoint(name for name, value in part.items() if value)
        for part in _parts(schema)
    )


_CALLING = frozenset({"default_factory", "post_init", "custom_init", "computed_fields"})


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    waiting, seen = [schema], set[int]()
    while waiting:
        item = waiting.pop()
        if not isinstance(item, (dict, list, tuple)) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        else:
            waiting.extend(item)
