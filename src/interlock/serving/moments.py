"""Points in time on the wire and in pages."""

import datetime as dt

from ..commands.approvals.payload import moment
from ..tools.events import moment_of


def instant(microseconds: int) -> dt.datetime:
    """A point in time of the database."""
    return moment_of(microseconds)


__all__ = ["instant", "moment"]
