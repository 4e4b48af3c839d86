"""Corrects pydantic's JSON Schemas of types for which they differ from what pydantic accepts."""

from enum import Enum
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_WRITTEN_OUT = 6
"""The number of decimal places that Python writes before it uses an exponent."""
_EXPONENT = "([eE][+-]?[0-9]{1,3})?"
_KEYS = {
    "int": "^-?(0|[1-9][0-9]{0,17})$",
    "float": "^-?[0-9]{1,300}([.][0-9]{1,300})?([eE][+-]?[0-9]{1,2})?$",
    "bool": "^(true|false)$",
}
_NO_KEYS = frozenset(
    ["tuple", "list", "set", "frozenset", "dict", "model", "dataclass", "dataclass-args", "typed-dict"]
)


class Generator(GenerateJsonSchema):
    """Generates JSON Schemas that accept exactly the values that pydantic accepts.

    A Decimal may be text with an exponent, a set may repeat an item, and the keys of a dict of numbers have to look like
    numbers.
    """

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Describe a Decimal: a number, or a number as text."""
        made = super().decimal_schema(schema)
        text = made["anyOf"][-1] if "anyOf" in made else made
        text["pattern"] = _decimal_pattern(schema)
        return made

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        """Describe a set."""
        return _items_may_recur(super().set_schema(schema))

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        """Describe a frozenset."""
        return _items_may_recur(super().frozenset_schema(schema))

    def generator_schema(self, schema: core_schema.GeneratorSchema) -> JsonSchemaValue:
        """Refuse generators: pydantic parses their items during iteration, so nobody could show or store them before."""
        return self.handle_invalid_for_json_schema(schema, "an Iterable, which is read only once: take a list")

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        """Describe literals. Enum members are refused, because pydantic does not parse them from their values."""
        if any(isinstance(one, Enum) for one in schema["expected"]):
            return self.handle_invalid_for_json_schema(
                schema, "a Literal of an enum's members: take the enum, or their values"
            )
        return super().literal_schema(schema)

    def is_subclass_schema(self, schema: core_schema.IsSubclassSchema) -> JsonSchemaValue:
        """Refuse classes, because JSON has none."""
        return self.handle_invalid_for_json_schema(schema, "a class")

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Describe a dict, with the pattern of its keys."""
        made = super().dict_schema(schema)
        keys: Any = schema.get("keys_schema", {})
        kind = keys.get("type")
        if kind in _NO_KEYS:
            return self.handle_invalid_for_json_schema(
                schema, "a dict whose keys are not text, numbers, dates or enums"
            )
        if kind in _KEYS:
            made["propertyNames"] = {"pattern": _KEYS[kind]}
        if kind == "enum":
            made["propertyNames"] = {"enum": [str(member.value) for member in keys["members"]]}
        if kind == "literal" and not all(isinstance(one, str) for one in keys["expected"]):
            return self.handle_invalid_for_json_schema(schema, "a dict whose keys are literals other than text")
        return made


def _items_may_recur(made: JsonSchemaValue) -> JsonSchemaValue:
    # With a minimum number of items, repeated items would not count, so `uniqueItems` is needed.
    if not made.get("minItems"):
        made.pop("uniqueItems", None)
    return made


def _decimal_pattern(schema: core_schema.DecimalSchema) -> str:
    lowest = [bound for bound in (schema.get("ge"), schema.get("gt")) if bound is not None]
    positive = (above := schema.get("gt")) is not None and above >= 0
    sign = "[+]?" if lowest and max(lowest) >= 0 and (positive or max(lowest) > 0) else "[+-]?"
    most, places = schema.get("max_digits"), schema.get("decimal_places")
    if most is not None or places is not None:
        whole = "*" if most is None else f"{{0,{max(most - (places or 0), 0)}}}"
        part = f"{{1,{most if places is None else places}}}"
        fraction = "" if places == 0 else f"([.][0-9]{part})?"
        tiny = "([eE]-[0-9]{1,3})?" if places is None or places > _WRITTEN_OUT else ""
        return f"^{sign}0*([0-9]{whole}{fraction}){tiny}$"
    digits = "([0-9]*[1-9][0-9]*[.]?[0-9]*|[0-9]*[.][0-9]*[1-9][0-9]*)" if positive else "([0-9]+[.]?[0-9]*|[.][0-9]+)"
    return f"^{sign}{digits}{_EXPONENT}$"
