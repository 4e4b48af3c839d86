"""Checks a JSON Schema from elsewhere before data is validated against it."""

from collections.abc import Iterator
from typing import Any

from ..canonical import JsonObject, canonical_json, to_json
from ..errors import ContractError, NotJson
from .cost import Cost

Schema = dict[str, Any]

DEEPEST = 64
"""The maximum nesting depth of a schema."""
LONGEST = 500_000
"""The maximum length of a schema, in characters."""
MOST_AT_ONCE = 1_000
"""The maximum number of schemas that are validated against one value."""

_ONE = ("not", "if", "then", "else")
_SEVERAL = ("allOf", "anyOf", "oneOf")
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_INNER = (
    "items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties", "unevaluatedProperties",
    "propertyNames", "contentSchema",
)  # fmt: skip
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def published_schema(schema: object, place: str) -> JsonObject:
    """Check the JSON Schema of an object, and return a copy as plain JSON.

    Raises:
        ContractError: It is not a schema of an object, is too deep or too long, refers to another document or to a missing
            definition, or has so many nested references that validation would take too long.
    """
    try:
        plain = to_json(schema)
    except NotJson as error:
        raise ContractError(f"{place} has a schema that is not JSON: {error.message}") from None
    if not isinstance(plain, dict):
        raise ContractError(f"{place} has the schema {plain!r}; give a JSON Schema of an object, as a dict")
    if plain.get("type", "object") != "object":
        raise ContractError(
            f"{place} has a schema of the type {plain['type']!r}; arguments are an object, so give it the type 'object'"
        )
    _check_size(plain, place)
    _References(plain, place).check()
    return plain


def cost_of(schema: JsonObject, place: str) -> Cost | None:
    """The cost counter of a schema; None for a schema without references, whose cost is bounded by the sizes of schema and data."""
    return _References(schema, place).cost()


def _check_size(schema: JsonObject, place: str) -> None:
    if len(canonical_json(schema)) > LONGEST:
        raise ContractError(f"{place} has a schema of more than {LONGEST:,} characters; offer the model a smaller one")
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > DEEPEST:
            raise ContractError(
                f"{place} has a schema that is nested more than {DEEPEST} levels deep; name the inner ones in $defs"
            )
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((one, depth + 1) for one in inner)


class _References:
    """Follows the references of a schema."""

    def __init__(self, schema: JsonObject, place: str) -> None:
        self._schema = schema
        self._place = place
        self._all = [*_schemas(schema)]
        self._anchors = {
            f"#{item[key]}": item for item in self._all for key in ("$anchor", "$dynamicAnchor") if key in item
        }
        self._counted: dict[int, int] = {}
        self._under_way: set[int] = set()

    def check(self) -> None:
        for item in self._all:
            for key in _REFERENCES:
                if key in item:
                    self._target(item[key])
        for item in self._all:
            if self._width(item) > MOST_AT_ONCE:
                raise ContractError(
                    f"{self._place} has a schema that contains more than {MOST_AT_ONCE:,} schemas against one value, by references inside "
                    "each other; write it with fewer"
                )

    def cost(self) -> Cost | None:
        if not any(key in item for item in self._all for key in _REFERENCES):
            return None
        return Cost({id(item): [*self._beside(item)] for item in self._all})

    def _target(self, reference: object) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise ContractError(
                f"{self._place} has a schema that refers to another document, {reference!r}; put what is meant into its $defs"
            )
        if reference in self._anchors:
            return self._anchors[reference]
        found: Any = self._schema
        for part in reference[1:].split("/")[1:]:
            key = _unescaped(part)
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ContractError(
                    f"{self._place} has a schema that refers to {reference!r}, which is not in it; add it to its $defs"
                ) from None
        return found

    def _width(self, item: Any) -> int:
        """How many schemas are validated against a value together with this one."""
        if not isinstance(item, dict):
            return 1
        if id(item) in self._under_way:
            raise ContractError(
                f"{self._place} has a schema that refers to itself without going into a value, and so would never be done"
            )
        if id(item) not in self._counted:
            self._under_way.add(id(item))
            width = 1
            for inner in self._beside(item):
                width = min(width + self._width(inner), MOST_AT_ONCE + 1)
            self._under_way.discard(id(item))
            self._counted[id(item)] = width
        return self._counted[id(item)]

    def _beside(self, item: Schema) -> Iterator[Any]:
        """The schemas that are validated against the same value."""
        for key in _REFERENCES:
            if key in item:
                yield self._target(item[key])
        for key in _ONE:
            if key in item:
                yield item[key]
        for key in _SEVERAL:
            yield from item.get(key, ()) if isinstance(item.get(key), list) else ()
        for key in ("dependentSchemas", "dependencies"):
            if isinstance(item.get(key), dict):
                yield from (inner for inner in item[key].values() if isinstance(inner, dict))


def _schemas(schema: Any) -> Iterator[Schema]:
    """Every schema within a schema, itself first; constants, defaults and examples are not searched."""
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, dict):
            continue
        yield item
        for key, value in item.items():
            if key in _BY_NAME and isinstance(value, dict):
                waiting.extend(value.values())
            elif key in _ONE or key in _INNER:
                waiting.extend(value if isinstance(value, list) else [value])
            elif (key in _SEVERAL or key == "prefixItems") and isinstance(value, list):
                waiting.extend(value)


def _unescaped(part: str) -> str:
    from urllib.parse import unquote  # noqa: PLC0415 -- only for schemas with references

    return unquote(part).replace("~1", "/").replace("~0", "~")
