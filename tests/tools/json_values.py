"""Values that fit a JSON Schema, for tests: what the schemas of real tools use, and no more.

The library that does this for all of JSON Schema does not run on today's Hypothesis.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
SMALL = st.integers(-(10**6), 10**6)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | SMALL | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
_OBJECT = ("properties", "required", "additionalProperties", "propertyNames")


def values(schema: Any, root: dict[str, Any] | None = None, depth: int = 5) -> st.SearchStrategy[Any]:
    """Values that fit a schema, but for what its keywords ask of each other: whoever draws them checks."""
    root = schema if root is None else root
    if schema is True or schema == {}:
        return ANYTHING
    if "$ref" in schema:
        return st.deferred(lambda: values(_target(schema["$ref"], root), root, depth - 1))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            rest = {name: value for name, value in schema.items() if name != key}
            arms = [{**rest, **arm} if arm is not True else rest for arm in schema[key]]
            if depth <= 1:
                arms = [arm for arm in arms if "$ref" not in arm] or arms
            return st.one_of([values(arm, root, depth) for arm in arms])
    kinds = schema.get("type", "object" if any(key in schema for key in _OBJECT) else None)
    if kinds is None:
        return ANYTHING
    return st.one_of([_of(kind, schema, root, depth) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _of(kind: str, schema: dict[str, Any], root: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    match kind:
        case "object":
            return _objects(schema, root, depth)
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", schema.get("minItems", 0) + 2)
            most = max(least, min(most, least + 2)) if depth > 0 else least
            return st.lists(values(schema.get("items", True), root, depth - 1), min_size=least, max_size=most)
        case "string":
            if "pattern" in schema:
                return st.from_regex(schema["pattern"], fullmatch=False)
            least = schema.get("minLength", 0)
            most = min(schema.get("maxLength", least + 12), least + 12)
            return st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=least, max_size=most)
        case "integer":
            return st.integers(*_bounds(schema))
        case "number":
            low, high = _bounds(schema)
            return st.integers(low, high) | st.floats(low, high, allow_nan=False, width=32)
        case "boolean":
            return st.booleans()
        case _:
            return st.none()


def _objects(schema: dict[str, Any], root: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    needed = {name: values(properties.get(name, True), root, depth - 1) for name in required}
    optional = {name: values(item, root, depth - 1) for name, item in properties.items() if name not in needed}
    own = st.fixed_dictionaries(needed, optional=optional if depth > 0 else {})
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and depth > 0:
        return st.tuples(st.dictionaries(TEXT, values(more, root, depth - 1), max_size=2), own).map(
            lambda both: {**both[0], **both[1]}
        )
    return own


def _bounds(schema: dict[str, Any]) -> tuple[int, int]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", schema.get("maximum", 10**6) - 2 * 10**6))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 2 * 10**6))
    return int(low) + (1 if "exclusiveMinimum" in schema else 0), int(high) - (1 if "exclusiveMaximum" in schema else 0)


def _target(reference: str, root: dict[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found
