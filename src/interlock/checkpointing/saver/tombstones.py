"""The placeholder of an erased message: class, id and position, so that the workflow can continue, without any text."""

from typing import Any

import ormsgpack
from langchain_core.messages import BaseMessage

from ...tools.errors import StoreError
from .encoding.messages import CLASSES, KNOWN, PACK, UNPACK, Message
from .encoding.msgpack_tree import Node, pack_tree, unpack_tree
from .encoding.sealing import Sealing

ERASED_TEXT = "[erased]"
"""The text of an erased message."""
ERASED_MARK = "interlock_erased"
"""The key in `response_metadata` that marks an erased message."""

_KEPT = frozenset({"id", "type", "role", "tool_call_id", "status", "tool_calls", "example", "chunk_position"})
_KEPT_METADATA = ("interlock",)
"""The key that stays in the metadata: the base of the keys of the message's calls, because an open approval outlives its message."""
_TOOL_NAMED = frozenset({"tool", "function"})


def is_erased(message: BaseMessage) -> bool:
    """Whether a message is the placeholder of an erased one."""
    return bool(message.response_metadata.get(ERASED_MARK))


def tombstone(stored: Message, sealing: Sealing) -> tuple[str, bytes]:
    """The kind and body that replace those of a message."""
    if stored.kind == "m":
        tag, fields = ormsgpack.unpackb(stored.body, option=UNPACK)
        return "m", ormsgpack.packb((tag, _emptied(fields)), option=PACK)
    if stored.kind in ("r", "t"):
        return stored.kind, pack_tree(_emptied_tree(unpack_tree(stored.body)))
    try:
        message = sealing.loads(*ormsgpack.unpackb(stored.body))
    except StoreError:
        message = None
    if isinstance(message, BaseMessage) and type(message) in KNOWN:
        fields = {**_emptied(message.__dict__), "id": None}
        return "m", ormsgpack.packb((KNOWN[type(message)], fields), option=PACK)
    return nameless_tombstone(stored.role)


def nameless_tombstone(role: str) -> tuple[str, bytes]:
    """The placeholder of an unreadable message, so that it can be erased without its key."""
    cls = CLASSES.get(role, CLASSES["human"])
    needed = {"tool_call_id": ""} if role == "tool" else {"role": ""} if role == "chat" else {}
    if role == "function":
        needed = {"name": ""}
    fields = _emptied(cls(content="", **needed).__dict__)
    return "m", ormsgpack.packb((KNOWN[cls], fields), option=PACK)


def _emptied(fields: dict[str, Any]) -> dict[str, Any]:
    emptied: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "content":
            emptied[name] = ERASED_TEXT
        elif name == "response_metadata":
            kept = {key: value[key] for key in _KEPT_METADATA if isinstance(value, dict) and key in value}
            emptied[name] = {ERASED_MARK: True, **kept}
        elif name == "tool_calls":
            emptied[name] = _calls_without_arguments(value)
        elif name == "usage_metadata":
            emptied[name] = None  # its class refuses an empty value
        elif name in _KEPT or (name == "name" and fields.get("type") in _TOOL_NAMED):
            emptied[name] = value
        else:
            emptied[name] = type(value)() if isinstance(value, (dict, list, str)) else None
    return emptied


def _calls_without_arguments(calls: Any) -> list[Any]:
    """Keep the calls without their arguments, because a model may only see answers to calls that it made."""
    if not isinstance(calls, list):
        return []
    return [
        {key: {} if key == "args" else value for key, value in call.items() if key in ("name", "args", "id", "type")}
        for call in calls
        if isinstance(call, dict)
    ]


def _emptied_tree(tree: Any) -> Any:
    if type(tree) is Node:
        module, name, fields, *rest = tree.content
        return Node(tree.code, [module, name, _emptied(fields), *rest])
    if type(tree) is dict:
        kept = {key: value for key, value in _emptied(tree).items() if key in _KEPT or key == "content"}
        return {**kept, "content": ERASED_TEXT}
    if type(tree) is list:
        return [tree[0], ERASED_TEXT]
    return ERASED_TEXT
