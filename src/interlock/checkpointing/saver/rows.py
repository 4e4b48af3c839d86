"""Reads messages from rows."""

from collections.abc import Sequence
from typing import Any

from ...tools.errors import StoreError
from .damage import damaged
from .encoding.messages import SUPERSEDED, UNNAMED, Message
from .encoding.sealing import Sealing, message_place


def read_message(thread_id: str, row: Sequence[Any], sealing: Sealing) -> Message:
    """Read a message from a row of (position, kind, body, role, message_id, …).

    Raises:
        StoreError: It cannot be read; the error names it.
    """
    position, kind, data, role, message_id = row[:5]
    codec, _, sealed = kind.partition("|")
    if sealing.reads_plain and not sealed:
        plain = data if type(data) is bytes else bytes(data)
    else:
        try:
            plain = sealing.unseal(sealed or "bytes", data, message_place(thread_id, position))
        except StoreError as error:
            raise damaged(error, "message", thread_id, position=position) from error
    if message_id is not None and message_id not in (UNNAMED, SUPERSEDED):
        return Message(position, codec, plain, role, message_id)
    message = Message(position, codec, plain, role, None)
    message.foreign = codec == "m"
    message.claimable = message_id == UNNAMED and codec == "m"
    message.superseded = message_id == SUPERSEDED
    return message


def read_ordinary(rows: list[Any], sealing: Sealing) -> tuple[list[Message], list[Any]]:
    """Read ordinary rows in one loop, for long histories; returns their messages and the remaining rows.

    Args:
        rows: (position, kind, body, role, message_id, erased_at) of each.
        sealing: Reads them.
    """
    if not sealing.reads_plain:
        return [], rows
    ordinary, others = [], []
    for row in rows:
        position, kind, data, role, message_id, erased_at = row
        if kind == "m" and message_id and message_id != SUPERSEDED and erased_at is None and type(data) is bytes:
            ordinary.append(Message(position, kind, data, role, message_id))
        else:
            others.append(row)
    return ordinary, others
