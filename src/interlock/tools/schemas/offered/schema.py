"""The JSON Schemas of contracts: without titles, unnecessary `$defs` and other noise."""

from typing import Any

from pydantic import BaseModel, TypeAdapter

from .core_schema import excluded_fields
from .generator import Generator

Schema = dict[str, Any]

_SCHEMAS_BY_NAME = ("properties", "patternProperties", "dependentSchemas", "$defs")
_SCHEMAS_IN_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = (
    "items",
    "additionalProperties",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
    "unevaluatedItems",
)
_LOCAL = "#/$defs/"


def offered_schema(model: type[BaseModel]) -> Schema:
    """The schema of a tool's arguments that a model is offered and that is enforced, with `additionalProperties` on closed objects."""
    schema = tidy(model.model_json_schema(mode="validation", schema_generator=Generator), closed=True)
    schema.pop("description", None)  # the model class is internal; the tool has its own description
    return {"type": "object", "properties": {}, **schema}


def input_schema(model: type[BaseModel]) -> Schema:
    """The schema of a tool's arguments in its printed contract."""
    schema = tidy(model.model_json_schema(mode="validation", schema_generator=Generator))
    schema.pop("description", None)
    for name in [
        name for name, field in model.model_fields.items() if not field.is_required() and field.default is None
    ]:
        key = model.model_fields[name].alias or name
        schema["properties"][key] = _without_null(schema["properties"][key])
    return {"type": "object", "properties": {}, **schema}


def output_schema(adapter: TypeAdapter[Any]) -> Schema:
    """The schema of a tool's output."""
    return tidy(adapter.json_schema(mode="serialization"))


def unwritten(model: type[BaseModel]) -> set[str]:
    """The names of the fields, at any depth, that are parsed from JSON but never serialized, or only masked."""
    masked = property_names(model.model_json_schema(mode="validation"), only="writeOnly")
    return masked | excluded_fields(model.__pydantic_core_schema__)


def property_names(schema: Any, only: str | None = None) -> set[str]:
    """The names of a schema's properties at any depth, or only of those whose schema has the keyword `only`."""
    match schema:
        case dict():
            own = schema.get("properties")
            here = own if isinstance(own, dict) else {}
            names = {name for name, item in here.items() if only is None or f"'{only}':" in repr(item)}
            return names.union(*(property_names(item, only) for item in schema.values()))
        case list():
            return set[str]().union(*(property_names(item, only) for item in schema))
        case _:
            return set()


def tidy(schema: Schema, *, closed: bool = False) -> Schema:
    """Drop titles and empty keywords, and inline definitions except recursive ones.

    Args:
        schema: The schema from pydantic.
        closed: Whether a boolean `additionalProperties` is kept.
    """
    definitions: dict[str, Schema] = schema.get("$defs", {})
    kept = {name for name in definitions if name in _reachable(definitions[name], definitions)}
    tidied = _tidy({key: value for key, value in schema.items() if key != "$defs"}, definitions, kept, closed)
    used = {name for name in kept if name in _reachable(tidied, definitions)}
    if used:
        tidied["$defs"] = {name: _tidy(definitions[name], definitions, kept, closed) for name in sorted(used)}
    return tidied


def _tidy(schema: Schema, definitions: dict[str, Schema], kept: set[str], closed: bool) -> Schema:
    if "$ref" in schema and (name := schema["$ref"].removeprefix(_LOCAL)) not in kept:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _tidy({**definitions[name], **beside}, definitions, kept, closed)
    if len(schema.get("allOf", ())) == 1:
        beside = {key: value for key, value in schema.items() if key != "allOf"}
        return _tidy({**schema["allOf"][0], **beside}, definitions, kept, closed)
    tidied: Schema = {}
    for key, value in schema.items():
        if key in {"title", "discriminator"}:
            continue
        if key == "additionalProperties" and isinstance(value, bool) and not closed:
            continue
        if key in _SCHEMAS_BY_NAME:
            tidied[key] = {name: _tidy(item, definitions, kept, closed) for name, item in value.items()}
        elif key in _SCHEMAS_IN_LISTS:
            tidied[key] = [_tidy(item, definitions, kept, closed) for item in value]
        elif key in _SCHEMAS and isinstance(value, dict):
            tidied[key] = _tidy(value, definitions, kept, closed)
        else:
            tidied[key] = value
    return tidied


def _reachable(schema: Any, definitions: dict[str, Schema]) -> set[str]:
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        match waiting.pop():
            case dict() as item:
                reference = item.get("$ref")
                if isinstance(reference, str) and reference.startswith(_LOCAL):
                    name = reference.removeprefix(_LOCAL)
                    if name not in found:
                        found.add(name)
                        waiting.append(definitions[name])
                waiting.extend(item.values())
            case list() as items:
                waiting.extend(items)
    return found


def _without_null(schema: Schema) -> Schema:
    """Drop the null of an optional parameter: leaving it out means the same."""
    rest = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    arms = [arm for arm in rest.get("anyOf", ()) if arm != {"type": "null"}]
    if not arms:
        return rest
    rest.pop("anyOf")
    return {**arms[0], **rest} if len(arms) == 1 else {"anyOf": arms, **rest}
