"""Resets objects in a forked process, which has none of its parent's threads."""

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """An object that starts over in a forked process."""

    def begin_anew(self) -> None:
        """Called in the new process, before anything else runs there."""


_renewable: "weakref.WeakSet[Renewable]" = weakref.WeakSet()


def renew_after_fork(one: Renewable) -> None:
    """Reset an object in every forked process, as long as it lives."""
    _renewable.add(one)


def _renew_all() -> None:
    for one in list(_renewable):
        one.begin_anew()


if hasattr(os, "register_at_fork"):  # platforms with fork
    os.register_at_fork(after_in_child=_renew_all)
