"""The marked fields of a tool contract's input and output."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticOmit

from ..contracts import ToolContract
from ..errors import ContractError
from ..schemas.shapes import closed
from .fields import MarkedField, marked_fields
from .markers import Mark, MarkKind, markers_shown

_BELIEVED = frozenset({MarkKind.ID, MarkKind.OWN})
"""The markers that raise the trust in a value."""
_inputs: WeakKeyDictionary[ToolContract, tuple[MarkedField, ...]] = WeakKeyDictionary()
_outputs: WeakKeyDictionary[ToolContract, tuple[MarkedField, ...]] = WeakKeyDictionary()
_written: WeakKeyDictionary[TypeAdapter[Any], tuple[MarkedField, ...]] = WeakKeyDictionary()
"""The common part of tools that return the same model."""


class _ModelInputSchema(GenerateJsonSchema):
    """Drops fields without a JSON form, such as the run's objects that LangChain injects: no model sends them."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:
        """Leave the field out."""
        del schema, error_info
        raise PydanticOmit


def input_fields(contract: ToolContract) -> tuple[MarkedField, ...]:
    """The arguments of a tool, at any depth, with their markers.

    Args:
        contract: The tool.

    Raises:
        ContractError: A marker is invalid, or is only for outputs.
    """
    return _kept(_inputs, contract, _read_inputs)


def output_fields(contract: ToolContract) -> tuple[MarkedField, ...]:
    """The output fields of a tool, at any depth, with their markers.

    For a tool with only a JSON Schema, `id` and `own` count only if its contract trusts the markers: otherwise the publisher of
    the schema could declare their own text trusted.

    Args:
        contract: The tool.

    Raises:
        ContractError: A marker is invalid, or is only for arguments.
    """
    return _kept(_outputs, contract, _read_outputs)


def _kept(
    kept: WeakKeyDictionary[ToolContract, tuple[MarkedField, ...]],
    contract: ToolContract,
    read: Callable[[ToolContract], tuple[MarkedField, ...]],
) -> tuple[MarkedField, ...]:
    found = kept.get(contract)
    if found is None:
        found = kept[contract] = read(contract)
    return found


def _read_inputs(contract: ToolContract) -> tuple[MarkedField, ...]:
    place = f"the tool {contract.name}, in its arguments"
    schema: Mapping[str, Any] = contract.offered_schema()
    if contract.input_model is not None:
        with markers_shown():
            schema = contract.input_model.model_json_schema(mode="validation", schema_generator=_ModelInputSchema)
    return _fitting(marked_fields(schema, place), place, lambda mark: mark.fits_inputs)


def _read_outputs(contract: ToolContract) -> tuple[MarkedField, ...]:
    place = f"the tool {contract.name}, in its output"
    if contract.input_model is None:
        fields = marked_fields(contract.output_schema(), place)
        if not contract.trusts_markers:
            fields = tuple(map(_unbelieved, fields))
    else:
        written = contract.written or TypeAdapter(closed(contract.output_type))
        known = _written.get(written)
        if known is None:
            with markers_shown():
                known = marked_fields(written.json_schema(mode="serialization"), place)
            _written[written] = known
        fields = known
    return _fitting(fields, place, lambda mark: mark.fits_outputs)


def _unbelieved(field: MarkedField) -> MarkedField:
    return field if field.mark is None or field.mark.kind not in _BELIEVED else replace(field, mark=None)


def _fitting(fields: tuple[MarkedField, ...], place: str, fits: Callable[[Mark], bool]) -> tuple[MarkedField, ...]:
    for field in fields:
        if field.mark is not None and not fits(field.mark):
            raise ContractError(
                f"{place}, marks {field.label} as {field.mark}, which says nothing there. Outputs take Id, Own, Outside and Label; arguments "
                "take Id, Reaches and Content."
            )
    return fields


__all__ = ["input_fields", "output_fields"]
