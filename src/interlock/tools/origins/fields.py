"""The fields of a JSON Schema with their markers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .markers import KEYWORD, Mark

_LOCAL = "#/"
EACH = "*"
"""The path element for every item of a list or every value of a mapping."""


@dataclass(frozen=True)
class MarkedField:
    """One place in a tool's input or output that holds a scalar value."""

    path: tuple[str, ...]
    """The path in wire names; `*` for every item of a list or value of a mapping."""
    mark: Mark | None
    """Its marker; the marker of an object or list applies to all unmarked fields inside."""
    is_text: bool
    """Whether it can hold free text: anything but a number, a boolean, a date or one of several constants."""
    is_choice: bool = False
    """Whether it holds one of several constants that the tool's author wrote, or a boolean."""

    @property
    def name(self) -> str:
        """The last name on the path: `iban` for `accounts.*.iban`."""
        return next((part for part in reversed(self.path) if part != EACH), "")

    @property
    def label(self) -> str:
        """The path in words: `accounts.*.iban`."""
        return ".".join(self.path) or "the whole value"


def marked_fields(schema: Mapping[str, Any], place: str = "the schema") -> tuple[MarkedField, ...]:
    """List every place of a JSON Schema that holds a scalar value, with its marker.

    A combination of schemas (`anyOf`, `oneOf`, `allOf`) yields the fields of all of them. A recursive schema is followed once.

    Args:
        schema: The schema of an object or of any other value.
        place: The name of the schema in messages.

    Raises:
        ContractError: A marker is invalid.
    """
    return tuple(dict.fromkeys(_Walk(schema, place).walk(schema, (), None, frozenset())))


@dataclass(frozen=True)
class _Walk:
    whole: Mapping[str, Any]
    place: str

    def walk(
        self, schema: Any, path: tuple[str, ...], outer: Mark | None, seen: frozenset[str]
    ) -> Iterator[MarkedField]:
        if not isinstance(schema, Mapping):
            if schema is not False:
                yield MarkedField(path, outer, is_text=True)  # this schema allows anything
            return
        mark = (
            Mark.read(schema[KEYWORD], f"{self.place}, at {'.'.join(path) or 'its top'},")
            if KEYWORD in schema
            else outer
        )
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference not in seen:
                yield from self.walk(self._resolved(reference), path, mark, seen | {reference})
            return
        arms = [arm for key in ("anyOf", "oneOf", "allOf") for arm in schema.get(key, ())]
        inner = [*self._inner(schema)]
        for arm in arms:
            yield from self.walk(arm, path, mark, seen)
        for name, part in inner:
            yield from self.walk(part, (*path, name), mark, seen)
        if not arms and not inner and schema.get("type") != "null":
            yield MarkedField(path, mark, is_text=_is_text(schema), is_choice=_is_choice(schema))

    def _inner(self, schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        yield from schema.get("properties", {}).items()
        for part in schema.get("prefixItems", ()):
            yield EACH, part
        for key in ("items", "additionalProperties"):
            part = schema.get(key)
            if isinstance(part, Mapping) or (part is True and key == "additionalProperties"):
                yield EACH, part
        for part in schema.get("patternProperties", {}).values():
            yield EACH, part

    def _resolved(self, reference: str) -> Any:
        found: Any = self.whole
        for part in reference.removeprefix(_LOCAL).split("/") if reference.startswith(_LOCAL) else ():
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        return {} if found is self.whole and reference != "#" else found


def _is_text(schema: Mapping[str, Any]) -> bool:
    if "enum" in schema or "const" in schema:
        return False
    kinds = schema.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not {*kinds} & {"string", "object", "array"}:
        return False
    return schema.get("format") not in {"date", "date-time", "time", "duration", "uuid"}


def _is_choice(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    return "enum" in schema or "const" in schema or (bool(kinds) and {*kinds} <= {"boolean", "null"})


__all__ = ["EACH", "MarkedField", "marked_fields"]
