"""Whether a Python value contains a message, for serializers with opaque bytes."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from .msgpack_tree import ROLES

_LEAVES = (str, bytes, int, float, bool, type(None))


def holds_message(value: Any, channel: str = "") -> bool:
    """Search every container that serializers usually support. A bare string counts as a message in a channel named `messages`."""
    seen: set[int] = set()

    def look(item: Any, among_messages: bool) -> bool:
        if isinstance(item, str):
            return among_messages
        if isinstance(item, _LEAVES) or id(item) in seen:
            return False
        seen.add(id(item))
        if isinstance(item, BaseMessage):
            return item.type != "remove"
        if isinstance(item, dict):
            role = item.get("role", item.get("type"))
            if "content" in item and isinstance(role, str) and role in ROLES:
                return True
            return any(look(inner, key == "messages") for key, inner in item.items())
        if isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str) and item[0] in ROLES:
            return True
        return any(look(inner, among_messages) for inner in _parts(item))

    return look(value, channel == "messages")


def _parts(item: Any) -> Iterable[Any]:
    if isinstance(item, (list, tuple, set, frozenset)) or type(item).__name__ == "deque":
        return list(item)
    if isinstance(item, BaseModel):
        return list(item.__dict__.values())
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return [getattr(item, field.name, None) for field in dataclasses.fields(item)]
    attributes = _of(item, "__dict__")
    if isinstance(attributes, dict):
        return list(attributes.values())
    return [_of(item, slot) for slot in getattr(type(item), "__slots__", ()) if isinstance(slot, str)]


def _of(item: Any, name: str) -> Any:
    """An attribute, without `__getattr__` of the class, which may raise anything."""
    try:
        return object.__getattribute__(item, name)
    except Exception:
        return None
