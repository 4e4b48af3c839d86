"""Defaults that differ each time, taken from where the same call was completed before."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from ..canonical import JSON
from .shapes import wire_keys

_CONSTANT = frozenset([list, dict, set, frozenset, tuple, str, int, float, bool])
"""What makes an equal default each time."""


def refilled(read: Any, canonical: JSON, before: JSON) -> JSON:
    """Give canonical arguments with the defaults that differ each time as they were before; what was given stays.

    Args:
        read: The arguments as they were read, which knows what was given.
        canonical: The same, written down with the defaults of now.
        before: What the same call was completed to before.
    """
    if isinstance(read, RootModel):
        return refilled(read.root, canonical, before)
    if isinstance(canonical, dict) and isinstance(before, dict):
        if isinstance(read, BaseModel):
            return {**canonical, **_of_model(read, canonical, before)}
        if isinstance(read, Mapping):
            return {key: refilled(read.get(key), item, before.get(key)) for key, item in canonical.items()}
    if not (isinstance(canonical, list) and isinstance(before, list) and isinstance(read, (list, tuple))):
        return canonical
    if not len(canonical) == len(before) == len(read):
        return canonical
    return [refilled(*one) for one in zip(read, canonical, before, strict=True)]


def _of_model(read: BaseModel, canonical: Mapping[str, JSON], before: Mapping[str, JSON]) -> dict[str, JSON]:
    fields = type(read).model_fields
    found: dict[str, JSON] = {}
    for name, key in wire_keys(type(read)).items():
        if key not in before or name not in fields:
            continue
        if name in read.model_fields_set and key in canonical:
            found[key] = refilled(getattr(read, name), canonical[key], before[key])
        elif name not in read.model_fields_set and _varies(fields[name]):
            found[key] = before[key]
    return found


def _varies(field: FieldInfo) -> bool:
    return field.default_factory is not None and field.default_factory not in _CONSTANT
