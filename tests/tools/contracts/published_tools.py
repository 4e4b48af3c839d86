"""The tools of real servers, as `scripts/published_tools.py` wrote them down, and calls of them, right and wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import strategies as st

from tests.tools.json_values import values

FOLDER = Path(__file__).parent / "published"


@dataclass(frozen=True)
class Published:
    """One tool as its server publishes it."""

    server: str
    name: str
    description: str | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None

    def __str__(self) -> str:
        return f"{self.server}/{self.name}"

    def fits(self, arguments: Any) -> bool:
        """Whether arguments fit the schema, in the judgement of another library than the one that enforces it."""
        kind: Any = jsonschema.validators.validator_for(self.input_schema, default=jsonschema.Draft202012Validator)
        return bool(kind(_with_whole_patterns(self.input_schema)).is_valid(arguments))


def _with_whole_patterns(schema: Any) -> Any:
    """The schema for a library that uses Python's patterns, in which ``$`` also stands before a line break at the end."""
    if isinstance(schema, dict):
        return {
            key: f"{value[:-1]}\\Z" if key == "pattern" and str(value).endswith("$") else _with_whole_patterns(value)
            for key, value in schema.items()
        }
    return [_with_whole_patterns(item) for item in schema] if isinstance(schema, list) else schema


def arguments_of(tool: Published) -> st.SearchStrategy[dict[str, Any]]:
    """Right arguments of a tool."""
    # A schema may say nothing at all, as those of one server do; arguments are an object all the same.
    return values({"type": "object", **tool.input_schema}).filter(tool.fits)


def servers() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.json"))


def published(*names: str) -> list[Published]:
    return [
        Published(name, tool["name"], tool.get("description"), tool["inputSchema"], tool.get("outputSchema"))
        for name in names or servers()
        for tool in json.loads((FOLDER / f"{name}.json").read_text())["tools"]
    ]


WRONG: list[Any] = [None, True, -7, 10**12, 2.5, "", "\U0001f9ed", [], [None], {}, {"x": 1}]
"""Values of every kind, put in the place of right ones."""


def changed(arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Arguments with one thing changed: left out, put in, or replaced, at every place in them."""
    yield {**arguments, "noSuchArgument": 1}
    for path in _paths(arguments):
        without = copy.deepcopy(arguments)
        holder, last = _holder(without, path)
        del holder[last]
        yield without
        for wrong in WRONG:
            other = copy.deepcopy(arguments)
            holder, last = _holder(other, path)
            holder[last] = wrong
            yield other


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*before, key)
        yield from _paths(item, (*before, key))


def _holder(value: Any, path: tuple[Any, ...]) -> tuple[Any, Any]:
    for key in path[:-1]:
        value = value[key]
    return value, path[-1]
