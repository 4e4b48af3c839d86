"""cProfile over all threads that begin while it is on: LangGraph writes checkpoints in threads of its own."""

from __future__ import annotations

import cProfile
import pstats
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Profiles:
    """The profiles of the thread that began and of those that began in it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._all: list[cProfile.Profile] = []

    def one(self) -> cProfile.Profile:
        """A profile of the calling thread."""
        # What a thread waits for costs nothing: it is the processor's time that is counted.
        profile = cProfile.Profile(time.thread_time)
        with self._guard:
            self._all.append(profile)
        return profile

    def stats(self) -> pstats.Stats:
        """All of them together."""
        total = pstats.Stats(self._all[0])
        for profile in self._all[1:]:
            profile.create_stats()
            if profile.stats:  # type: ignore[attr-defined]
                total.add(profile)
        return total


@contextmanager
def profiled() -> Iterator[Profiles]:
    """Profile this block."""
    profiles = Profiles()
    run = threading.Thread.run

    def watched(thread: Any) -> None:
        profile = profiles.one()
        profile.enable()
        try:
            run(thread)
        finally:
            profile.disable()

    own = profiles.one()
    threading.Thread.run = watched  # type: ignore[method-assign]
    own.enable()
    try:
        yield profiles
    finally:
        own.disable()
        threading.Thread.run = run  # type: ignore[method-assign]
