"""Tracks how far a request came in the transport, to decide whether it may have had an effect."""

from contextvars import ContextVar
from dataclasses import dataclass

from ...tools.errors import ServerUnavailable


@dataclass
class Sending:
    """One request."""

    unsent: bool = False
    """Whether the server was not reached, or rejected the request before processing it."""
    status: int | None = None
    """The HTTP status of the answer."""
    problem: ServerUnavailable | None = None
    """Why the request was not sent at all."""

    def note(
        self, *, status: int | None = None, unsent: bool = False, problem: ServerUnavailable | None = None
    ) -> None:
        """Record the result of the last try; one request may take several, for example to renew a token.

        Args:
            status: The HTTP status of the answer.
            unsent: Whether the server was not reached.
            problem: Why it was not tried.
        """
        self.status, self.problem = status, problem
        self.unsent = unsent or problem is not None or status in TURNED_AWAY


current_sending: ContextVar[Sending | None] = ContextVar("interlock_mcp_sending", default=None)
"""The current request of this task. The SDK's transport runs in the sender's context."""

TURNED_AWAY = frozenset({401, 403, 404, 405, 406, 413, 415, 421, 429})
"""HTTP statuses that mean that the server did not process a request."""

__all__ = ["TURNED_AWAY", "Sending", "current_sending"]
