"""Enforces `sets=`: a call changes the fields of conditions only as its edge declares, so that proved claims hold at run time."""

from collections.abc import Mapping
from typing import Any, cast

from ...rules.conditions import Add, OneOf
from ...rules.definition import Definition
from ...tools.canonical import JsonObject, to_json
from ...tools.errors import InvalidOutput
from ..running.operations import Attempt
from .attempts import Admitted

_UNCHANGED = object()


def check_followed(definition: Definition, attempt: Attempt, before: JsonObject, after: JsonObject) -> None:
    """Check that a call changed the fields of conditions only as its edge declares.

    Raises:
        InvalidOutput: It made another change. The call is rolled back.
    """
    if not definition.followed:
        return
    edge = cast("Admitted", attempt).admission.edge
    for name in sorted(definition.followed):
        allowed = _allowed(edge.sets, name, before.get(name))
        if after.get(name) not in allowed:
            expected = " or ".join(repr(value) for value in allowed)
            raise InvalidOutput(
                f"The tool {attempt.contract.name} left data.{name} as {after.get(name)!r}, and the edge {edge.label} says that it is "
                f"{expected} afterwards. Nothing of this call was kept; set it in the tool as the edge says, or change the edge's sets=.",
                details={"field": name, "expected": allowed, "found": after.get(name)},
            )


def _allowed(sets: Mapping[str, Any], name: str, before: Any) -> list[Any]:
    """The allowed values of a field after the call, as JSON."""
    match sets.get(name, _UNCHANGED):
        case Add(amount):
            return [before + amount]
        case OneOf(values):
            return [to_json(value) for value in values]
        case change:
            return [before if change is _UNCHANGED else to_json(change)]


__all__ = ["check_followed"]
