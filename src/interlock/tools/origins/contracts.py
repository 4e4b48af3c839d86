"""The marked fields of a tool contract: of what it takes, and of what it returns."""

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
"""The markers that make a value more trusted than it is without one."""
_inputs: WeakKeyDictionary[ToolContract, tuple[MarkedField, ...]] = WeakKeyDictionary()
_outputs: WeakKeyDictionary[ToolContract, tuple[MarkedField, ...]] = WeakKeyDictionary()
_written: WeakKeyDictionary[TypeAdapter[Any], tuple[MarkedField, ...]] = WeakKeyDictionary()
"""What tools that return the same model share."""


class _OfWhatModelsSend(GenerateJsonSchema):
    """Leaves out what has no JSON form, such as the run's own objects that LangChain hands to a tool: no model sends it."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:
        """Leave the field out."""
        del schema, error_info
        raise PydanticOmit


def input_fields(contract: ToolContract) -> tuple[MarkedField, ...]:
    """The arguments of a tool, at any depth, with their markers.

    Args:
        contract: The tool.

    Raises:
        ContractError: A marker is none, or is one of outputs.
    """
    return _kept(_inputs, contract, _read_inputs)


def output_fields(contract: ToolContract) -> tuple[MarkedField, ...]:
    """What a tool returns, at any depth, with its markers.

    Of a tool that is known by a JSON Schema alone, `id` and `own` count only where its contract says that the markers are
    believed: else whoever publishes the schema could call text of their own trusted.

    Args:
        contract: The tool.

    Raises:
        ContractError: A marker is none, or is one of arguments.
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
            schema = contract.input_model.model_json_schema(mode="validation", schema_generator=_OfWhatModelsSend)
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
