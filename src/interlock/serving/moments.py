"""Points in time on the wire and in pages."""

import datetime as dt

from ..commands.approvals.payload import moment


def instant(microseconds: int) -> dt.datetime:
    """A point in time of the database."""
    return dt.datetime.fromtimestamp(microseconds / 1_000_000, dt.UTC)


__all__ = ["instant", "moment"]
