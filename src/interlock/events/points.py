"""The fault points of events, at which tests kill a process, in addition to those of `checkpointing.fault_points`."""

from enum import StrEnum


class EventPoint(StrEnum):
    """A place where a process may die."""

    BEFORE_PUBLISH = "publish.before"
    """A relay has claimed events, and published none of them."""
    AFTER_PUBLISH = "publish.after"
    """The bus has the events, and the outbox does not show it yet."""
    BEFORE_ACKNOWLEDGE = "acknowledge.before"
    """The inbox has an event, and the broker has no acknowledgement yet."""
