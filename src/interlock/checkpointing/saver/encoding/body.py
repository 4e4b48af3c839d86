"""The body of a checkpoint row: LangGraph's header, and the values or references to them.

Versions are long and repeat often, so the body has each of them once, in a table.
"""

from collections.abc import Callable, Mapping
from typing import Any

import ormsgpack
from langgraph.checkpoint.base import Checkpoint

from .messages import PACK, UNPACK
from .plain import Encoded
from .sealing import unreadable

_HEADER = frozenset({"v", "id", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels"})


def pack(checkpoint: Checkpoint, values: Mapping[str, Encoded | int], encode: Callable[[Any, str], Encoded]) -> bytes:
    """The body.

    Args:
        checkpoint: LangGraph's checkpoint.
        values: Each channel's value, or the id of the row that has it.
        encode: Encodes additional fields of other LangGraph releases.
    """
    of_channels, of_nodes = checkpoint["channel_versions"], checkpoint["versions_seen"]
    distinct = {version: 0 for channels in (of_channels, *of_nodes.values()) for version in channels.values()}
    table = {version: number for number, version in enumerate(distinct)}
    versions = {channel: table[version] for channel, version in of_channels.items()}
    seen: dict[str, dict[str, int]] = {}
    for node, channels in of_nodes.items():
        # A loop, because a comprehension is a call in older releases of Python, and there are many nodes.
        numbers = seen[node] = {}
        for channel, version in channels.items():
            numbers[channel] = table[version]
    extras = {
        name: encode(value, name) if value else value for name, value in checkpoint.items() if name not in _HEADER
    }
    return ormsgpack.packb(
        (
            checkpoint.get("v"),
            checkpoint.get("ts"),
            [*table],
            versions,
            seen,
            checkpoint.get("updated_channels"),
            extras,
            values,
        ),
        option=PACK,
    )


def unpack(data: bytes, checkpoint_id: str) -> tuple[dict[str, Any], dict[str, Encoded | int], dict[str, Any]]:
    """Unpack the header, the stored values, and the extras."""
    try:
        v, ts, table, versions, seen, updated, extras, values = ormsgpack.unpackb(data, option=UNPACK)
        header = {
            "v": v,
            "ts": ts,
            "id": checkpoint_id,
            "channel_versions": {channel: table[at] for channel, at in versions.items()},
            "versions_seen": {node: {c: table[at] for c, at in channels.items()} for node, channels in seen.items()},
            "updated_channels": updated,
        }
    except (ormsgpack.MsgpackDecodeError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise unreadable("checkpoint", error) from error
    return header, values, extras


def pack_value(encoded: Encoded) -> bytes:
    """Pack one value for its own row."""
    return ormsgpack.packb(encoded, option=PACK)


def unpack_value(data: bytes) -> Encoded:
    """Unpack one value from its own row."""
    try:
        form, typ, content = ormsgpack.unpackb(data)
    except (ormsgpack.MsgpackDecodeError, TypeError, ValueError) as error:
        raise unreadable("value", error) from error
    return form, typ, content


def pack_part(content: Mapping[int, tuple[str, Encoded]]) -> bytes:
    """Pack the writes of a task, by index, for a row of pending writes."""
    flat: list[Any] = []
    for index, (channel, (form, typ, data)) in content.items():
        flat += (index, channel, form, typ, data)
    return ormsgpack.packb(flat, option=PACK)


def unpack_part(data: bytes) -> dict[int, tuple[str, Encoded]]:
    """Unpack the writes of one part, by index."""
    flat = ormsgpack.unpackb(data)
    return {flat[at]: (flat[at + 1], (flat[at + 2], flat[at + 3], flat[at + 4])) for at in range(0, len(flat), 5)}
