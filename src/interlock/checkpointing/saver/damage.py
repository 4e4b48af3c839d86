"""Rows that cannot be read: the error names the row, so that it can be looked at, restored or deleted."""

import json
from typing import TYPE_CHECKING, Any

from ...tools.errors import InterlockError, StoreError

if TYPE_CHECKING:
    from .keys import Place

_from_json = json.JSONDecoder().decode


def damaged(error: BaseException, what: str, thread_id: str, **where: Any) -> StoreError:
    """The error for a row that cannot be read.

    Args:
        error: What reading it raised.
        what: What the row is.
        thread_id: Its thread.
        where: What else names the row; None is left out.
    """
    details = {"threadId": thread_id, **{name: value for name, value in where.items() if value is not None}}
    named = ", ".join(f"{name} {value!r}" for name, value in details.items())
    if isinstance(error, InterlockError):
        if "threadId" in error.details and isinstance(error, StoreError):
            return error  # it names a row already
        why, code, more = error.message, error.code, error.details
    else:
        why, code, more = (
            f"{type(error).__name__}: {error}. Restore it from a backup, or continue from an older checkpoint.",
            "unreadable_value",
            {},
        )
    return StoreError(f"The {what} ({named}) cannot be read. {why}", code=code, details={**more, **details})


def damaged_at(error: BaseException, what: str, place: "Place", **where: Any) -> StoreError:
    """As `damaged`, for what belongs to a checkpoint."""
    namespace = place.namespace or None
    return damaged(error, what, place.thread_id, checkpointNs=namespace, checkpointId=place.checkpoint_id, **where)


def parsed(text: str, what: str, place: "Place", checkpoint_id: str, kind: type = dict) -> Any:
    """JSON out of a column of a checkpoint's row; the place may say only of which thread and namespace it is the newest.

    Raises:
        StoreError: It is not JSON of this kind.
    """
    try:
        value = _from_json(text)
        if not isinstance(value, kind):
            raise TypeError(f"it is {type(value).__name__} instead of {kind.__name__}")
    except (TypeError, ValueError) as error:
        here = place._replace(checkpoint_id=checkpoint_id)
        raise damaged_at(error, f"{what} of a checkpoint", here) from error
    return value
