"""What a forked process must not take over from its parent: it has none of its threads, and so nobody who does what they were doing."""

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """What starts over in a forked process."""

    def begin_anew(self) -> None:
        """Called in the new process, before anything else runs there."""


_renewable: "weakref.WeakSet[Renewable]" = weakref.WeakSet()


def renew_after_fork(one: Renewable) -> None:
    """Let it start over in every process that is forked from this one, as long as it lives."""
    _renewable.add(one)


def _renew_all() -> None:
    for one in list(_renewable):
        one.begin_anew()


if hasattr(os, "register_at_fork"):  # where processes can be forked
    os.register_at_fork(after_in_child=_renew_all)
