"""The named places on an event's way at which a process may die, beside those of `checkpointing.fault_points`."""

from enum import StrEnum


class EventPoint(StrEnum):
    """Where something may break."""

    BEFORE_PUBLISH = "publish.before"
    """A relay has claimed events, and published none of them."""
    AFTER_PUBLISH = "publish.after"
    """The bus has them, and the outbox does not know it yet."""
    BEFORE_ACKNOWLEDGE = "acknowledge.before"
    """An event was taken in, and the broker does not know it yet."""
