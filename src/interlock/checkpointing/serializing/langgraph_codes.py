"""Reads rows of LangGraph's own serializer without importing modules or calling the named objects."""

import re
import sys
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from langchain_core import documents, messages
from langgraph import types
from langgraph.store.base import GetOp, Item
from pydantic import BaseModel

from . import states, values
from .codes import LANGGRAPH_KEYWORDS, LANGGRAPH_METHOD, LANGGRAPH_MODEL_V1, LANGGRAPH_ONE, LANGGRAPH_POSITIONAL
from .refusals import not_read

VALIDATE = "model_validate_json"
"""The method that LangGraph's serializer appends to the fields of a model."""
MESSAGES: frozenset[type[BaseModel]] = frozenset(
    item for item in vars(messages).values() if isinstance(item, type) and issubclass(item, messages.BaseMessage)
)
Find = Callable[[str, str], tuple[type, bool, str | None]]
_CALLED: dict[tuple[str, str], Any] = {
    **{(cls.__module__, cls.__name__): cls for cls in (
        datetime, date, time, timedelta, timezone, UUID, Decimal, set, frozenset, deque, ZoneInfo, Item, GetOp,
        types.Send, types.Interrupt, types.Command, types.Overwrite, types.StateSnapshot, types.PregelTask,
        types.TimeoutPolicy, documents.Document, *MESSAGES,
    )},
    **{(cls.__module__, cls.__name__): cls for cls in values.WRITE if cls.__module__ == "ipaddress"},
    **{(module, name): getattr(__import__("pathlib"), name) for module in ("pathlib", "pathlib._local") for name in ("Path", "PosixPath", "WindowsPath")},
    ("re", "compile"): re.compile,
}  # fmt: skip
"""LangGraph's list of safe names, and their equivalents here."""


def read(code: int, content: Any, find: Find) -> Any:
    """Read the value of a LangGraph extension."""
    module, name, payload = content[:3]
    called = _CALLED.get((module, name))
    if code == LANGGRAPH_METHOD:
        if (module, name, content[3]) == ("datetime", "datetime", "fromisoformat"):
            return datetime.fromisoformat(payload)
        raise _refused(module, name)
    if called is not None:
        if code == LANGGRAPH_ONE:
            return called(payload)
        if code == LANGGRAPH_POSITIONAL:
            return types.Send(*payload[:2]) if called is types.Send else called(*payload)
        return called(**payload)
    if (module, name) in (("pydantic.types", "SecretStr"), ("pydantic.types", "SecretBytes")):
        return values.read([name, payload])
    cls, trusted, kind = find(module, name)
    if code == LANGGRAPH_ONE and kind == states.ENUM:
        return states.rebuilt(cls, kind, [None, tuple(payload) if type(payload) is list else payload], trusted=trusted)
    if code == LANGGRAPH_KEYWORDS and kind == states.DATACLASS:
        return states.rebuilt(cls, kind, payload, trusted=trusted)
    if code == LANGGRAPH_KEYWORDS and kind == states.NAMED_TUPLE:
        return states.rebuilt(cls, kind, [list(payload.values()), {}], trusted=trusted)
    if code == LANGGRAPH_MODEL_V1 and kind == states.MODEL_V1 and trusted:
        return cls(**payload)
    raise _refused(module, name)


def model(module: str, name: str, fields: dict[str, Any], find: Find) -> Any:
    """Read a pydantic model of LangGraph's serializer, whose dumped fields have to be validated again."""
    called = _CALLED.get((module, name))
    if called is not None and issubclass(called, BaseModel):
        return called(**fields)
    cls, trusted, kind = find(module, name)
    if kind != states.MODEL_V2 or not trusted:
        raise not_read(
            module,
            name,
            "written by LangGraph's serializer, which can only be read by running the code of the class.",
            "Name the class in allowed_types.",
        )
    return cls(**fields)


def array(kind: str, shape: list[int], order: str, data: bytes) -> Any:
    """Read an array of LangGraph's serializer."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        raise not_read("numpy", "ndarray", "and numpy is not imported in this process.", "Import numpy first.")
    dtype = numpy.dtype(kind)
    if dtype.hasobject:
        raise not_read("numpy", "ndarray", "which holds addresses of objects.", "Store its items as a list.")
    return numpy.frombuffer(data, dtype=dtype).reshape(shape, order=order)


def _refused(module: str, name: str) -> Exception:
    return not_read(
        module,
        name,
        "which is not a data class, so it is not made from a row.",
        "Was the row written by somebody else? Otherwise read it with the serializer that wrote it.",
    )
