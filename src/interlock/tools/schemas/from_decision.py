"""Arguments that only the decider of a call fills in; models neither see nor set them."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from ..canonical import JsonObject
from .offered.schema import input_schema
from .shapes import wire_keys


@dataclass(frozen=True)
class FromDecision:
    """Mark a parameter that the approver fills in: `reason: Annotated[str, FromDecision("Why is it needed?")]`.

    Attributes:
        asks: The question to the approver.
    """

    asks: str = ""


@dataclass(frozen=True)
class FieldOfOthers:
    """One argument that a model neither is offered nor can give."""

    name: str
    """The name on the wire."""
    parameter: str
    """The name in Python."""
    schema: JsonObject
    """The JSON Schema of its values."""


@dataclass(frozen=True)
class DecisionField(FieldOfOthers):
    """One argument that the one who decides fills in."""

    asks: str
    """The question for the approver; empty if there is none."""
    is_required: bool
    """Whether nobody can agree without it."""

    def to_json(self) -> JsonObject:
        """The field as shown with a request."""
        return {"name": self.name, "asks": self.asks, "required": self.is_required, "schema": self.schema}


def marker_of(field: FieldInfo) -> FromDecision | None:
    """The marker of a model's field; None where it has none."""
    return _among(tuple(field.metadata))


def _among(metadata: tuple[Any, ...]) -> FromDecision | None:
    for one in metadata:
        if isinstance(one, FromDecision):
            return one
        if one is FromDecision:  # without the brackets
            return FromDecision()
    return None


def left_open(model: type[BaseModel], names: Iterable[str]) -> type[BaseModel]:
    """The model with some of its fields optional, because they are missing until somebody states them.

    Args:
        model: The input of a tool.
        names: The fields' names in Python.
    """
    required = {name for name in names if model.model_fields[name].is_required()}
    if not required:
        return model
    fields: dict[str, Any] = {}
    for name in required:
        field = model.model_fields[name]
        kept: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        fields[name] = (kept | None, Field(default=None, alias=field.alias, description=field.description))
    made: type[BaseModel] = create_model(
        model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **fields
    )
    return made


def fields_in(
    model: type[BaseModel], markers: Mapping[str, FromDecision], required: frozenset[str]
) -> tuple[DecisionField, ...]:
    """The marked fields of a model, as the one who decides is shown them.

    Args:
        model: The input of the tool, in full.
        markers: The markers, by the field's name in Python.
        required: Those of them that had no default.
    """
    if not markers:
        return ()
    schemas = schemas_of(model, markers)
    keys = wire_keys(model)
    return tuple(
        DecisionField(keys[name], name, schemas[name], marker.asks, name in required)
        for name, marker in markers.items()
    )


def schemas_of(model: type[BaseModel], names: Iterable[str]) -> dict[str, JsonObject]:
    """The JSON Schema of each of these fields, by its name in Python."""
    keys, schema = wire_keys(model), input_schema(model)
    properties: Any = schema["properties"]
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {
        name: {**properties[keys[name]], **(definitions if "$ref" in str(properties[keys[name]]) else {})}
        for name in names
    }


def without(schema: JsonObject, names: frozenset[str]) -> JsonObject:
    """A schema of arguments without some of them, and without definitions that only those used."""
    if not names:
        return schema
    found = copy.deepcopy(schema)
    properties: Any = found["properties"]
    for name in names:
        properties.pop(name, None)
    definitions: Any = found.get("$defs", {})
    while unused := [name for name in definitions if not _is_used(name, found)]:
        for name in unused:
            del definitions[name]
    if not definitions:
        found.pop("$defs", None)
    return found


def _is_used(name: str, schema: JsonObject) -> bool:
    definitions: Any = schema["$defs"]
    others = {**schema, "$defs": {key: value for key, value in definitions.items() if key != name}}
    return f"'#/$defs/{name}'" in str(others)


__all__ = [
    "DecisionField",
    "FieldOfOthers",
    "FromDecision",
    "fields_in",
    "left_open",
    "marker_of",
    "schemas_of",
    "without",
]
