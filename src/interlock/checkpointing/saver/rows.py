"""Messages out of their rows."""

from collections.abc import Sequence
from typing import Any

from ...tools.errors import StoreError
from .damage import damaged
from .encoding.messages import SUPERSEDED, UNNAMED, Message
from .encoding.sealing import Sealing, message_place


def read_message(thread_id: str, row: Sequence[Any], sealing: Sealing) -> Message:
    """A message from a row of (position, kind, body, role, message_id, …).

    Raises:
        StoreError: It cannot be read; the error names it.
    """
    position, kind, data, role, message_id = row[:5]
    if kind == "m" and message_id and message_id != SUPERSEDED and sealing.reads_plain:
        # As nearly all are: a long history is read in one loop.
        return Message(position, kind, data if type(data) is bytes else bytes(data), role, message_id)
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
