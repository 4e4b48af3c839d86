"""Errors for unreadable rows; they name the row, so that it can be inspected, restored or deleted."""

import json
from typing import TYPE_CHECKING, Any

from ...tools.errors import InterlockError, StoreError
from ...tools.storable import described

if TYPE_CHECKING:
    from .keys import Place

_from_json = json.JSONDecoder().decode


def damaged(error: BaseException, what: str, thread_id: str, **where: Any) -> StoreError:
    """The error for a row that cannot be read.

    Args:
        error: The original error.
        what: The kind of row.
        thread_id: Its thread.
        where: Other parts of the row's key; None is left out.
    """
    details = {"threadId": thread_id, **{name: value for name, value in where.items() if value is not None}}
    named = ", ".join(f"{name} {value!r}" for name, value in details.items())
    if isinstance(error, InterlockError):
        if "threadId" in error.details and isinstance(error, StoreError):
            return error  # the error already names a row
        why, code, more = error.message, error.code, error.details
    else:
        why, code, more = (
            f"{described(error)}. Restore it from a backup, or continue from an older checkpoint.",
            "unreadable_value",
            {},
        )
    return StoreError(f"The {what} ({named}) cannot be read. {why}", code=code, details={**more, **details})


def damaged_at(error: BaseException, what: str, place: "Place", **where: Any) -> StoreError:
    """As `damaged`, for rows of a checkpoint."""
    namespace = place.namespace or None
    return damaged(error, what, place.thread_id, checkpointNs=namespace, checkpointId=place.checkpoint_id, **where)


def parsed(text: str, what: str, place: "Place", checkpoint_id: str, kind: type = dict) -> Any:
    """Parse a JSON column of a checkpoint's row; without a checkpoint id, the place means the newest of its thread and namespace.

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
