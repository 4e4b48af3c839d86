"""Wraps untrusted text of a tool's output in an envelope before the model reads it."""

from collections.abc import Mapping
from typing import Any

from ...tools.origins import EACH, MarkedField, MarkKind
from .holding import Fields

UNTRUSTED = "untrusted"
"""The one key of an envelope."""
_OWN = frozenset({MarkKind.ID, MarkKind.OWN})


def enveloped(output: Any, fields: Fields, path: tuple[str, ...] = ()) -> Any:
    """Wrap each text that others can write in its own object: `{"untrusted": "…"}`.

    Numbers, dates, constants, and fields marked as `Id` or `Own` are unchanged.

    Args:
        output: The output as on the wire.
        fields: The tool's output fields with their markers.
        path: The names that lead to the output.
    """
    match output:
        case Mapping():
            return {name: enveloped(inner, fields, (*path, str(name))) for name, inner in output.items()}
        case list() | tuple():
            return [enveloped(inner, fields, (*path, EACH)) for inner in output]
        case str():
            known = fields.at(path)
            return output if known and all(map(_is_the_applications, known)) else {UNTRUSTED: output}
        case _:
            return output


def _is_the_applications(field: MarkedField) -> bool:
    return not field.is_text if field.mark is None else field.mark.kind in _OWN


__all__ = ["UNTRUSTED", "enveloped"]
