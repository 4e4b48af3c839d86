"""How long it takes to hold data against a schema whose parts refer to each other.

Where such a schema goes into one and the same place of the data by two ways (two arms of an `anyOf`, say), each level of the data
doubles the work. Nobody can see that by the schema alone or by the data alone; it is counted for both together, each pair once.
"""

from collections.abc import Iterator
from typing import Any

from ..canonical import JSON
from ..wire import camel

LONGEST = 100_000
"""How many schemas may be validated against the values of one call, in all."""
LONGEST_TOLD = 3_000
"""As `LONGEST`, for a call of which it is said in detail what is wrong: that takes far longer than to see that something is."""

_REST = ("additionalProperties", "unevaluatedProperties")
_ITEMS = ("contains", "unevaluatedItems")


class Cost:
    """Counts what one schema costs."""

    def __init__(self, beside: dict[int, list[Any]]) -> None:
        """Take what is validated against the same value together with each schema, by its id."""
        self._beside = beside

    def of(self, schema: Any, value: JSON) -> int:
        """How many schemas are validated against the data and what is in it, at most a little more than `LONGEST`."""
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
            # Models also take the names that fields have in Python.
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
