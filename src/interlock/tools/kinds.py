"""The enumerations of tools and waits: kinds, effects, and statuses."""

from enum import StrEnum
from typing import Literal


class ToolKind(StrEnum):
    """The kinds of tools, by what they may change."""

    READ = "read"
    """Changes no business data."""
    COMMAND = "command"
    """Moves a process forward."""
    EVENT = "event"
    """States an intent that others act on: the event that it returns is emitted, and nothing else happens."""


class Effect(StrEnum):
    """Where a command's effect happens. It determines what is done after an interrupted attempt."""

    TRANSACTIONAL = "transactional"
    """The whole effect is in the workflow store's database, through the tool's session: it commits with the transition or not at all."""
    IDEMPOTENT = "idempotent"
    """The effect is outside the database and safe to repeat under one key (``ctx.idempotency_key``): an interrupted attempt is retried."""
    AT_MOST_ONCE = "at_most_once"
    """The effect is outside the database and not safe to repeat: if the outcome of an attempt is unknown, the workflow stops and asks a
    person."""


class ItemStatus(StrEnum):
    """The status of one item that a wait expects."""

    REQUESTED = "requested"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


KindName = Literal["read", "command", "event"]
"""A `ToolKind` by its name."""
EffectName = Literal["transactional", "idempotent", "at_most_once"]
"""An `Effect` by its name."""
