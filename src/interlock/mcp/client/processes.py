"""Objects per process, because a forked process must not use the connection of its parent."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from .background import BACKGROUND
from .connection import Connection

C = TypeVar("C", bound=Connection)


class PerProcess(Generic[C]):
    """A connection that each process creates on first use."""

    def __init__(self, make: Callable[[], C]) -> None:
        """Set the factory.

        Args:
            make: Creates the connection of a process.
        """
        self._make = make
        self._lock = threading.Lock()
        self._made: C | None = None
        self._pid: int | None = None

    @property
    def made(self) -> C | None:
        """The connection of this process; None if it was not used yet."""
        return self._made if self._pid == os.getpid() else None

    @property
    def mine(self) -> C:
        """The connection of this process, which is created on first use."""
        with self._lock:
            if self._made is None or self._pid != os.getpid():
                self._made, self._pid = self._make(), os.getpid()
                BACKGROUND.close_at_exit(self, self._made.close)
            return self._made


__all__ = ["PerProcess"]
