"""Markers that declare the origin of a field's values, or what an argument decides.

A marker is in an annotation, `iban: Annotated[str, Own]`, or in a JSON Schema, `{"type": "string", "x-interlock-origin": "own"}`.
The schema for the model does not contain it.
"""

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from ..errors import ContractError

KEYWORD = "x-interlock-origin"
"""The keyword that carries a marker in a JSON Schema."""
_KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_shown: ContextVar[bool] = ContextVar("interlock_markers_shown", default=False)


class MarkKind(StrEnum):
    """The meaning of a marker."""

    ID = "id"
    """The value names a record of some kind, and is given by the application alone."""
    OWN = "own"
    """The application's own value, which nobody else can write."""
    OUTSIDE = "outside"
    """Somebody outside can write the value, whatever its type."""
    LABEL = "label"
    """The label of a record, by which people name it; its value is not trusted."""
    REACHES = "reaches"
    """An argument that determines the recipient or target of the call."""
    CONTENT = "content"
    """An argument whose text is passed on."""


_OF_OUTPUTS = frozenset({MarkKind.ID, MarkKind.OWN, MarkKind.OUTSIDE, MarkKind.LABEL})
_OF_INPUTS = frozenset({MarkKind.ID, MarkKind.REACHES, MarkKind.CONTENT})


@dataclass(frozen=True)
class Mark:
    """A marker, to be in an annotation: `Annotated[str, Own]`, `Annotated[int, Id("invoice")]`."""

    kind: MarkKind
    of: str | None = None
    """The kind of record that an `Id` names."""

    def __post_init__(self) -> None:
        if (self.kind is MarkKind.ID) is (self.of is None):
            raise ContractError(
                f"The marker {self.kind} has the record kind {self.of!r}. Id takes one, the others take none."
            )
        if self.of is not None and _KIND.fullmatch(self.of) is None:
            raise ContractError(
                f"Id({self.of!r}): the kind of record is lower-case letters, digits, dots, dashes and underscores, such as Id('invoice')."
            )

    @property
    def fits_outputs(self) -> bool:
        """Whether it may mark an output field."""
        return self.kind in _OF_OUTPUTS

    @property
    def fits_inputs(self) -> bool:
        """Whether it may mark an argument."""
        return self.kind in _OF_INPUTS

    @classmethod
    def read(cls, text: object, place: str) -> Self:
        """Read a marker from a JSON Schema: `own`, or `id:invoice`.

        Args:
            text: The value of the keyword.
            place: The place of the marker in messages.

        Raises:
            ContractError: It is none.
        """
        kind, _, of = text.partition(":") if isinstance(text, str) else ("", "", "")
        if kind not in {*MarkKind}:
            raise ContractError(
                f"{place} has the marker {text!r} ({KEYWORD}). Give one of {', '.join(MarkKind)}; an id with its kind of record, such as id:invoice."
            )
        return cls(MarkKind(kind), of or None)

    def __str__(self) -> str:
        return self.kind.value if self.of is None else f"{self.kind.value}:{self.of}"

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> Any:
        """Add the marker to the schema, inside `markers_shown`."""
        schema = handler(core_schema)
        # A field's schema keeps a reference unchanged; a keyword beside it belongs to the field.
        return {**schema, KEYWORD: str(self)} if _shown.get() else schema


@contextlib.contextmanager
def markers_shown() -> Iterator[None]:
    """Include the markers in the JSON Schemas that are made in this block."""
    token = _shown.set(True)
    try:
        yield
    finally:
        _shown.reset(token)


def Id(kind: str) -> Mark:  # noqa: N802 -- it reads as a marker, beside Own and Label
    """Mark what names a record of some kind.

    `transaction_id: Annotated[int, Id("transaction")]`. A file's 13 is not an event's: ids of different kinds are different values.

    Args:
        kind: The kind of record.

    Raises:
        ContractError: The kind is not a name.
    """
    return Mark(MarkKind.ID, kind)


Own = Mark(MarkKind.OWN)
"""The application's own value, which nobody else can write."""
Outside = Mark(MarkKind.OUTSIDE)
"""Somebody outside can write the value, whatever its type."""
Label = Mark(MarkKind.LABEL)
"""The label of a record, by which people name it. It identifies the record, and is not trusted as a value."""
Reaches = Mark(MarkKind.REACHES)
"""The argument decides whom or what the call reaches: a recipient, an account, an address."""
Content = Mark(MarkKind.CONTENT)
"""The argument is text that goes along: a message, a note."""

__all__ = ["KEYWORD", "Content", "Id", "Label", "Mark", "MarkKind", "Outside", "Own", "Reaches", "markers_shown"]
