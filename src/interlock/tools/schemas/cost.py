"""The cost of validating data against a schema with references.

If such a schema reaches the same place of the data in two ways (two arms of an `anyOf`, for example), each level of the data
doubles the work. Neither schema nor data show this alone, so the pairs of both are counted, each pair once.
"""

from collections.abc import Iterator
from typing import Any

from ..canonical import JSON
from ..wire import camel

LONGEST = 100_000
"""The maximum number of schema validations for the values of one call."""
LONGEST_TOLD = 3_000
"""As `LONGEST`, for a detailed error report, which takes far longer than a plain yes or no."""

_REST = ("additionalProperties", "unevaluatedProperties")
_ITEMS = ("contains", "unevaluatedItems")


class Cost:
    """Counts the validations of one schema."""

    def __init__(self, beside: dict[int, list[Any]]) -> None:
        """Take the schemas that are validated against the same value as each schema, by its id."""
        self._beside = beside

    def of(self, schema: Any, value: JSON) -> int:
        """Count the schemas that are validated against the data and its parts; stops a little above `LONGEST`."""
        counted: dict[tuple[int, int], int] = {}

        def count(item: Any, data: Any) -> int:
            if not isinstance(item, dict):
                return 1
            key = (id(item), id(data))
            if key not in counted:
                total = 1
                for inner in self._beside.get(id(item), ()):
                    total += count(inner, data)
                for inner, part in _into(item, data):
                    total += count(inner, part)
                counted[key] = min(total, LONGEST + 1)
            return counted[key]

        try:
            return count(schema, value)
        except RecursionError:
            return LONGEST + 1


def _into(schema: dict[str, Any], data: Any) -> Iterator[tuple[Any, Any]]:
    """The schemas that are validated against the parts of a value, each with its part."""
    if isinstance(data, dict):
        named = schema.get("properties")
        named = named if isinstance(named, dict) else {}
        patterns = schema.get("patternProperties")
        others = [*patterns.values()] if isinstance(patterns, dict) else []
        rest = [schema[key] for key in _REST if key in schema]
        for name, part in data.items():
            # Models also accept the Python names of fields.
            known = name if name in named else camel(name)
            if known in named:
                yield named[known], part
            for inner in (*others, *(() if known in named else rest)):
                yield inner, part
    elif isinstance(data, list):
        items, first = schema.get("items"), schema.get("prefixItems")
        rest = [schema[key] for key in _ITEMS if key in schema]
        if isinstance(items, list):
            first, items = items, schema.get("additionalItems")
        first = first if isinstance(first, list) else []
        for number, part in enumerate(data):
            if number < len(first):
                yield first[number], part
            elif items is not None:
                yield items, part
            for inner in rest:
                yield inner, part
