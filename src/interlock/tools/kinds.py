"""Closed sets of words: what a tool is (its kind), where its effect lands, and how far something awaited has come."""

from enum import StrEnum
from typing import Literal


class ToolKind(StrEnum):
    """What a tool may do to the business."""

    READ = "read"
    """Changes no business data."""
    COMMAND = "command"
    """Moves a process forward."""
    EVENT = "event"
    """States an intent that others act on: what it returns is emitted, nothing else happens."""


class Effect(StrEnum):
    """Where the effect of a command lands, and so what may be done when an attempt breaks off."""

    TRANSACTIONAL = "transactional"
    """All of it is in the workflow store's database, through the session the tool is given: it commits with the
    transition or not at all."""
    IDEMPOTENT = "idempotent"
    """Outside, and safe to repeat under one key (``ctx.idempotency_key``): it is retried."""
    AT_MOST_ONCE = "at_most_once"
    """Outside, and not safe to repeat: an attempt of unknown outcome stops the workflow and asks a person."""


class ItemStatus(StrEnum):
    """How far one of the things that a wait expects has come."""

    REQUESTED = "requested"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


KindName = Literal["read", "command", "event"]
"""A `ToolKind` by its name."""
EffectName = Literal["transactional", "idempotent", "at_most_once"]
"""An `Effect` by its name."""
