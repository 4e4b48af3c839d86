"""The named places on every commit path at which a process may die, and the one hook that a test hangs there.

Nothing is hung there unless a test does (`interlock.testing.injected`), and then a fault point costs one comparison.
"""

from collections.abc import Callable
from enum import StrEnum


class FaultPoint(StrEnum):
    """Where something may break; each is reached before or after a step that must not be half done."""

    BEFORE_NODE = "node.before"
    AFTER_NODE = "node.after"
    """Before and after the body of a node of the graph."""
    BEFORE_LEDGER = "ledger.before"
    AFTER_LEDGER = "ledger.after"
    """Before and after an entry of the ledger is written, within its transaction."""
    BEFORE_EFFECT = "effect.before"
    AFTER_EFFECT = "effect.after"
    """Before and after the body of a command."""
    BEFORE_COMMIT = "commit.before"
    AFTER_COMMIT = "commit.after"
    """Before and after a transaction of the workflow store is committed."""
    BEFORE_CHECKPOINT = "checkpoint.before"
    AFTER_CHECKPOINT = "checkpoint.after"
    """Before and after a checkpoint, or the writes of a task, are stored."""


Hook = Callable[[str], None]
_hook: Hook | None = None


def reach(point: str) -> None:
    """Say that the process has come to a fault point; tools may name their own points."""
    if _hook is not None:
        _hook(point)


def is_hung() -> bool:
    """Whether a hook hangs there: it may block, and must not do that in an event loop."""
    return _hook is not None


def hang(hook: Hook | None) -> Hook | None:
    """Hang a hook at all fault points of this process, or none.

    Returns:
        What hung there before.
    """
    global _hook
    before, _hook = _hook, hook
    return before
