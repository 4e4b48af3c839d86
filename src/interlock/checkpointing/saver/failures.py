"""The errors of valid writes that could not be executed."""

from ...tools.errors import ConflictError, StoreUnavailable
from .keys import Place


def contended(place: Place, attempts: int) -> ConflictError:
    """The error for a write that lost to concurrent writers at every attempt."""
    return ConflictError(
        f"Others wrote to the conversation of the thread {place.thread_id!r} at the same moment, {attempts} times in a row. "
        "Nothing of this step was written. Run it again.",
        details={"threadId": place.thread_id},
    )


def interrupted(error: BaseException) -> StoreUnavailable:
    """The error for a write whose process was asked to exit."""
    return StoreUnavailable(
        f"The process was interrupted ({type(error).__name__}) while it was writing. Nothing of this step was kept; run it again."
    )
