"""Reuses defaults that differ each time from an earlier, completed form of the same call.

A sensitive default is masked in the recorded form, so it cannot be reused.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, BaseModel, RootModel
from pydantic.fields import FieldInfo

from ..canonical import JSON
from ..redaction import MASK
from .shapes import wire_keys

_CONSTANT = frozenset([list, dict, set, frozenset, tuple, str, int, float, bool])
"""Default factories that make an equal value each time."""
LEFT_OUT: JSON = {"interlock": "left out"}
"""Replaces a sensitive default that differs each time when two calls are compared."""


def refilled(read: Any, canonical: JSON, before: JSON) -> JSON:
    """Replace the defaults that differ each time with the recorded ones; given arguments stay.

    Args:
        read: The parsed arguments, which know the given ones.
        canonical: The same arguments, serialized with current defaults.
        before: The recorded, completed arguments of the same call.
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
    found: dict[str, JSON] = {}
    for name, field in type(read).model_fields.items():
        key = _key_of(type(read), name, before)
        if key is None:
            continue
        if name in read.model_fields_set and key in canonical:
            found[key] = refilled(getattr(read, name), canonical[key], before[key])
        elif name not in read.model_fields_set and _varies(field) and not is_masked(before[key]):
            found[key] = before[key]
    return found


def _key_of(model: type[BaseModel], name: str, written: Mapping[str, JSON]) -> str | None:
    """The name under which a field is serialized: its wire name, or the JSON name of a model without wire names."""
    field = model.model_fields[name]
    alias = field.validation_alias
    others = alias.choices if isinstance(alias, AliasChoices) else [alias, field.alias]
    names = [wire_keys(model)[name], *others, name]
    return next((key for key in names if isinstance(key, str) and key in written), None)


def is_masked(value: JSON) -> bool:
    """Whether a recorded value has masked parts."""
    if isinstance(value, dict):
        return any(map(is_masked, value.values()))
    return any(map(is_masked, value)) if isinstance(value, list) else value == MASK


def as_given(read: Any, canonical: JSON, redacted: JSON) -> JSON:
    """Replace sensitive defaults that differ each time with `LEFT_OUT` in canonical arguments.

    Args:
        read: The parsed arguments, which know the given ones.
        canonical: The same arguments, serialized.
        redacted: The same arguments, with sensitive values masked.
    """
    if isinstance(read, RootModel):
        return as_given(read.root, canonical, redacted)
    if isinstance(canonical, dict) and isinstance(redacted, dict):
        if isinstance(read, BaseModel):
            return {**canonical, **_left_out(read, canonical, redacted)}
        if isinstance(read, Mapping):
            return {key: as_given(read.get(key), item, redacted.get(key)) for key, item in canonical.items()}
    if not (isinstance(canonical, list) and isinstance(redacted, list) and isinstance(read, (list, tuple))):
        return canonical
    if not len(canonical) == len(redacted) == len(read):
        return canonical
    return [as_given(*one) for one in zip(read, canonical, redacted, strict=True)]


def _left_out(read: BaseModel, canonical: Mapping[str, JSON], redacted: Mapping[str, JSON]) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for name, field in type(read).model_fields.items():
        key = _key_of(type(read), name, canonical)
        if key is None:
            continue
        if name in read.model_fields_set:
            found[key] = as_given(getattr(read, name), canonical[key], redacted.get(key))
        elif _varies(field) and redacted.get(key) != canonical[key]:
            found[key] = LEFT_OUT
    return found


def _varies(field: FieldInfo) -> bool:
    return field.default_factory is not None and field.default_factory not in _CONSTANT
