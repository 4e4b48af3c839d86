"""Strict schemas, with which providers guarantee valid arguments, and the conversion of such arguments back.

A strict schema requires every property. So an optional property is offered as nullable, and a null from the model means that the
argument was left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...canonical import JsonObject
from ...errors import ContractError

_UNKNOWN = ("oneOf", "allOf", "not", "if", "patternProperties", "dependentRequired", "dependentSchemas", "prefixItems")
"""Keywords that strict schemas do not support."""


def strict_schema(tool: str, schema: Mapping[str, Any]) -> JsonObject:
    """The strict form of a schema.

    Raises:
        ContractError: The schema has no strict form; the message names the place.
    """
    return cast("JsonObject", _strict(tool, schema, ()))


def _strict(tool: str, schema: Any, path: tuple[str, ...]) -> Any:
    if not isinstance(schema, Mapping):
        raise _not_strict(tool, path, "takes anything")
    if unknown := [key for key in _UNKNOWN if key in schema]:
        raise _not_strict(tool, path, f"uses {', '.join(unknown)}")
    # Providers refuse extension keywords in strict schemas.
    made = {key: value for key, value in schema.items() if key != "default" and not key.startswith("x-")}
    if "properties" in schema or schema.get("type") == "object":
        properties = schema.get("properties") or {}
        closed = schema.get("additionalProperties", not properties and bool(path))
        if closed is not False:
            raise _not_strict(tool, path, "takes fields that it does not name")
        required = set(schema.get("required", ()))
        made["properties"] = {
            name: _strict(tool, one, (*path, name))
            if name in required
            else _nullable(_strict(tool, one, (*path, name)), admits_null(one, schema))
            for name, one in properties.items()
        }
        made["required"] = [*properties]
        made["additionalProperties"] = False
    if "items" in schema:
        made["items"] = _strict(tool, schema["items"], (*path, "[]"))
    if "anyOf" in schema:
        made["anyOf"] = [_strict(tool, one, path) for one in schema["anyOf"]]
    for key in ("$defs", "definitions"):
        if key in schema:
            made[key] = {name: _strict(tool, one, (*path, name)) for name, one in schema[key].items()}
    if not made.keys() & {"type", "properties", "anyOf", "$ref", "enum", "const"}:
        raise _not_strict(tool, path, "takes anything")
    return made


def _nullable(schema: JsonObject, already: bool) -> JsonObject:
    if already:
        return schema
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [kind, "null"]}
    described = {"description": schema["description"]} if "description" in schema else {}
    plain = {key: value for key, value in schema.items() if key != "description"}
    return {"anyOf": [plain, {"type": "null"}], **described}


def _not_strict(tool: str, path: tuple[str, ...], what: str) -> ContractError:
    place = f"its argument {'.'.join(path)}" if path else "it"
    return ContractError(
        f"{tool} has no strict schema: {place} {what}. Leave out strict=True where it is offered, or give the tool plain, closed models."
    )


def without_nulls(arguments: Any, schema: Mapping[str, Any]) -> Any:
    """Convert arguments for the strict form of a schema to arguments for the schema itself."""
    return _relaxed(arguments, schema, schema, 0)


def _relaxed(value: Any, schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if depth > 64 or not isinstance(schema, Mapping):  # deeper than any accepted arguments
        return value
    for part in _branches(schema, root):
        if isinstance(value, dict) and isinstance(part.get("properties"), Mapping):
            required = set(part.get("required", ()))
            properties = part["properties"]
            value = {
                key: _relaxed(item, properties.get(key, {}), root, depth + 1)
                for key, item in value.items()
                if not (item is None and key in properties and key not in required)
                or admits_null(properties[key], root)
            }
        elif isinstance(value, list) and isinstance(part.get("items"), Mapping):
            value = [_relaxed(item, part["items"], root, depth + 1) for item in value]
    return value


def admits_null(schema: Any, root: Mapping[str, Any]) -> bool:
    """Whether a schema accepts null."""
    if not isinstance(schema, Mapping):
        return schema is not False
    for part in _branches(schema, root):
        kind = part.get("type")
        if kind == "null" or (isinstance(kind, list) and "null" in kind):
            return True
        if None in part.get("enum", ()) or ("const" in part and part["const"] is None):
            return True
        if not part.keys() - {"title", "description", "default", "examples"}:
            return True
    return False


def _branches(schema: Mapping[str, Any], root: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[Any]:
    """The alternatives of a schema, with references resolved; the schema itself if there are none."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found: Any = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(step) if isinstance(found, Mapping) else None
        if reference not in seen and isinstance(found, Mapping):
            yield from _branches(found, root, seen | {reference})
        return
    chosen = [one for key in ("anyOf", "oneOf") for one in schema.get(key, ()) if isinstance(one, Mapping)]
    if chosen:
        for one in chosen:
            yield from _branches(one, root, seen)
    else:
        yield schema


__all__ = ["admits_null", "strict_schema", "without_nulls"]
