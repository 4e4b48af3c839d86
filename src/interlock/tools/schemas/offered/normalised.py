"""Normalizes JSON Schemas: removes descriptions, so that schemas with the same constraints are equal."""

from typing import Any

from ...canonical import JsonObject, canonical_json

_DESCRIBING = frozenset(
    ["title", "description", "examples", "example", "$comment", "$schema", "$id", "deprecated", "readOnly", "writeOnly", "markdownDescription"]
)  # fmt: skip
_BY_NAME = frozenset(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"])
_UNORDERED = frozenset(["required", "enum", "type"])
_DATA = frozenset(["const", "default"])


def normalised(schema: JsonObject) -> JsonObject:
    """Remove titles, descriptions and examples from a schema, and sort the lists whose order has no meaning."""
    made: JsonObject = _schema(schema)
    return made


def _schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _DESCRIBING:
            continue
        if key in _DATA:
            made[key] = value
        elif key in _BY_NAME and isinstance(value, dict):
            made[key] = {name: _schema(item) for name, item in value.items()}
        elif key in _UNORDERED and isinstance(value, list):
            made[key] = sorted(value, key=canonical_json)
        else:
            made[key] = _schema(value)
    return made
