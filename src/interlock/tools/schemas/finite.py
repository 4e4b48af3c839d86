"""Finds numbers without a JSON form before serialization, because pydantic silently writes them as null."""

import dataclasses
import math
from collections.abc import Mapping, Set
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

_MOST = 100_000
"""The maximum number of checked values; larger data is refused for its size anyway."""


def not_finite(value: object) -> str | None:
    """Describe a number that is not finite, as the end of a sentence that begins with the value; None if all are finite."""
    waiting: list[Any] = [value]
    looked = 0
    while waiting and looked < _MOST:
        item = waiting.pop()
        looked += 1
        match item:
            case float() if not math.isfinite(item):
                return f"holds {item}, which JSON cannot say; give a finite number"
            case Decimal() if not item.is_finite():
                return f"holds {item}, which JSON cannot say; give a finite number"
            case BaseModel():
                waiting.extend(item.__dict__.values())
                waiting.extend((item.__pydantic_extra__ or {}).values())
            case Mapping():
                waiting.extend(item.keys())
                waiting.extend(item.values())
            case list() | tuple() | Set():
                waiting.extend(item)
            case _ if dataclasses.is_dataclass(item) and not isinstance(item, type):
                waiting.extend(getattr(item, field.name, None) for field in dataclasses.fields(item))
    return None


__all__ = ["not_finite"]
