"""The keys of given data that its model would drop without a word."""

from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo


def unknown_keys(model: type[BaseModel], given: Mapping[str, Any]) -> list[str]:
    """The keys that no field of the model is called, in their order.

    None are where the model decides about keys itself: it says what happens to others, or a validator reads the whole mapping first.
    """
    validators = model.__pydantic_decorators__.model_validators.values()
    if model.model_config.get("extra") is not None or any(one.info.mode != "after" for one in validators):
        return []
    known = {*model.model_computed_fields}
    for name, field in model.model_fields.items():
        known |= {name, *_aliases(field)}
    return [key for key in map(str, given) if key not in known]


def _aliases(field: FieldInfo) -> set[str]:
    found = {field.alias} if field.alias else set()
    read_from = field.validation_alias
    for one in read_from.choices if isinstance(read_from, AliasChoices) else [read_from]:
        if isinstance(one, AliasPath):
            found.add(str(one.path[0]))
        elif one is not None:
            found.add(one)
    return found


__all__ = ["unknown_keys"]
