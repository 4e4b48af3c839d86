"""Events on their way: the outbox relay, the buses, CloudEvents, and the contracts that events have."""

from .bus import Bus, Handler, Message, WireFormat, message_of
from .envelopes import reply, source_of
from .in_process import InProcessBus
from .relay import Relay, RelayOptions, RelayThread, Round

__all__ = [
    "Bus",
    "Handler",
    "InProcessBus",
    "Message",
    "Relay",
    "RelayOptions",
    "RelayThread",
    "Round",
    "WireFormat",
    "message_of",
    "reply",
    "source_of",
]
