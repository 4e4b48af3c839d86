"""The public names of `interlock.events`, read by type checkers and by the lazy loader alike."""

from .bus import Bus as Bus
from .bus import Handler as Handler
from .bus import Message as Message
from .bus import WireFormat as WireFormat
from .bus import message_of as message_of
from .envelopes import reply as reply
from .envelopes import source_of as source_of
from .in_process import InProcessBus as InProcessBus
from .relay import Relay as Relay
from .relay import RelayOptions as RelayOptions
from .relay import RelayThread as RelayThread
from .relay import Round as Round
