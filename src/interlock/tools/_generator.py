"""What pydantic says of a type in JSON Schema, where it says another thing than what is read."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_EXPONENT = "([eE][+-]?[0-9]{1,3})?"
_KEYS = {
    "int": "^-?(0|[1-9][0-9]{0,17})$",
    "float": "^-?[0-9]{1,300}([.][0-9]{1,300})?([eE][+-]?[0-9]{1,2})?$",
    "bool": "^(true|false)$",
}


class Generator(GenerateJsonSchema):
    """Describes types so that what the description admits is what is read.

    A Decimal may come as text with an exponent, a set may name an item twice, and the keys of a dict of numbers are
    numbers.
    """

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Describe a Decimal: a number, or a number as text."""
        made = super().decimal_schema(schema)
        if schema.get("max_digits") is None and schema.get("decimal_places") is None:
            text = made["anyOf"][-1] if "anyOf" in made else made
            text["pattern"] = _decimal_pattern(schema)
        return made

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        """Describe a set."""
        return _items_may_recur(super().set_schema(schema))

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        """Describe a frozenset."""
        return _items_may_recur(super().frozenset_schema(schema))

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Describe a dict, with what its keys look like."""
        made = super().dict_schema(schema)
        keys: Any = schema.get("keys_schema", {})
        pattern = _KEYS.get(keys.get("type"))
        if pattern is not None:
            made["propertyNames"] = {"pattern": pattern}
        return made


def _items_may_recur(made: JsonSchemaValue) -> JsonSchemaValue:
    # With a least number of items, one that recurs would not count: then it has to be said.
    if not made.get("minItems"):
        made.pop("uniqueItems", None)
    return made


def _decimal_pattern(schema: core_schema.DecimalSchema) -> str:
    lowest = [bound for bound in (schema.get("ge"), schema.get("gt")) if bound is not None]
    positive = (above := schema.get("gt")) is not None and above >= 0
    sign = "[+]?" if lowest and max(lowest) >= 0 and (positive or max(lowest) > 0) else "[+-]?"
    digits = "([0-9]*[1-9][0-9]*[.]?[0-9]*|[0-9]*[.][0-9]*[1-9][0-9]*)" if positive else "([0-9]+[.]?[0-9]*|[.][0-9]+)"
    return f"^{sign}{digits}{_EXPONENT}$"
