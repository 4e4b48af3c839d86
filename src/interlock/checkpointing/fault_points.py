"""The named fault points on every commit path, at which a process may die, and the hook for tests.

Only tests install a hook (`interlock.testing.injected`); without one, a fault point costs one comparison.
"""

from collections.abc import Callable
from enum import StrEnum


class FaultPoint(StrEnum):
    """A place where a process may die, before or after a step that must be atomic."""

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
    """Mark a fault point. Tools may name their own points."""
    if _hook is not None:
        _hook(point)


def is_hung() -> bool:
    """Whether a hook is installed; a hook may block, and must not block an event loop."""
    return _hook is not None


def hang(hook: Hook | None) -> Hook | None:
    """Install a hook for all fault points of this process, or remove it.

    Returns:
        The previous hook.
    """
    global _hook
    before, _hook = _hook, hook
    return before
