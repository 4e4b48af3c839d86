"""Arguments that only the application supplies; models neither see nor set them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..canonical import JsonObject
from ..errors import ContractError
from .from_decision import FieldOfOthers, schemas_of
from .offered.schema import property_names
from .refill import is_masked
from .shapes import wire_keys


@dataclass(frozen=True)
class FromApplication:
    """Mark a parameter that the application supplies: `customer: Annotated[str, FromApplication(lambda view: view.principal.id)]`.

    The function is called each time the call is judged, in the same transaction. An approval is bound to its result.

    Attributes:
        supply: Returns the value. Like a check, it may take parameters of the tool by name, the tool's context (``ctx``) and the view that
            guards receive (``view``). It may raise `Refused`, which denies the call with that reason.
    """

    supply: Callable[..., Any]


@dataclass(frozen=True)
class SuppliedField(FieldOfOthers):
    """One argument that the application supplies."""

    supply: Callable[..., Any]
    """Gives the value."""
    takes_none: bool
    """Whether the function may give None: the parameter is optional, or its type has None."""

    def is_sensitive(self, sensitive: frozenset[str]) -> bool:
        """Whether it is, or holds, a sensitive field; given are their names on the wire."""
        return self.name in sensitive or not sensitive.isdisjoint(property_names(self.schema))


def on_record(fields: Iterable[SuppliedField], before: JsonObject, *, given: JsonObject) -> JsonObject:
    """The arguments that the application supplied to an earlier call, from its record, in which sensitive values are masked.

    Args:
        fields: The arguments that it supplies.
        before: What is on record of the call's arguments.
        given: The arguments that are known already.
    """
    names = [field.name for field in fields if field.name in before and field.name not in given]
    return {name: before[name] for name in names if not is_masked(before[name])}


def supplier_of(field: FieldInfo, name: str, place: str) -> FromApplication | None:
    """The marker of a model's field; None where it has none.

    Raises:
        ContractError: It has no function.
    """
    for one in field.metadata:
        if one is FromApplication or (isinstance(one, FromApplication) and not callable(one.supply)):
            raise ContractError(
                f"{place} marks {name!r} with FromApplication and no function that supplies it; write "
                "FromApplication(lambda view: ...)"
            )
        if isinstance(one, FromApplication):
            return one
    return None


def supplied_in(
    model: type[BaseModel], markers: Mapping[str, FromApplication], required: frozenset[str], original: type[BaseModel]
) -> tuple[SuppliedField, ...]:
    """The marked fields of a model.

    Args:
        model: The input of the tool, in full.
        markers: The markers, by the field's name in Python.
        required: Those of the fields that had no default.
        original: The model as the tool's author wrote it.
    """
    if not markers:
        return ()
    keys, schemas = wire_keys(model), schemas_of(model, markers)
    return tuple(
        SuppliedField(
            keys[name],
            name,
            schemas[name],
            marker.supply,
            name not in required or _has_none(original.model_fields[name].annotation),
        )
        for name, marker in markers.items()
    )


def _has_none(annotation: Any) -> bool:
    return annotation in {None, NoneType} or NoneType in get_args(annotation)


__all__ = ["FromApplication", "SuppliedField", "on_record", "supplied_in", "supplier_of"]
