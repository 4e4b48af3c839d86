"""Checks whether a step descends from the workflow's last command, which detects time travel.

The row has the outermost checkpoint of its last command. Later steps have it among their ancestors; time travel to an earlier
checkpoint, and a copy of an older thread, do not. Comparing revisions would miss a thread whose channels are still empty.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable

from ...checkpointing.store import Instance
from ...checkpointing.store import instances as instance_rows
from ..running.checkpoint_lookup import Saved, looking_at, parent_of, parents_on_line
from ..running.scope import Scope

_SKEW = 24 * 3600 * 10_000_000
"""The maximum difference of the clocks of two machines, in the 100 ns units of a checkpoint's id."""

Parent = Callable[[str], str | None]
"""The parent of a checkpoint of the outermost graph; None at the root, or if it was deleted."""


def same_line(scope: Scope, instance: Instance, head: str | None) -> bool:
    """Whether this step follows the instance's last command.

    Args:
        scope: The scope of the step.
        instance: The row.
        head: The mark of the last command's checkpoint in the graph's own channels (`Instance.head_mark`). A graph gets it only by
            continuing from that checkpoint, so if it matches the row, the ancestors need not be checked.
    """
    wanted = instance.head_checkpoint
    if wanted is None:
        return True
    if scope.namespace and _nodes(scope.namespace) != _nodes(instance.checkpoint_ns):
        return False  # its config claims other surrounding nodes than the instance has, and it also names the outermost checkpoint
    if wanted == scope.root_checkpoint:
        return True
    if instance.seal.fits(head, instance_rows.HEAD, instance.workflow_id, wanted):
        return True
    if scope.checkpointer is None or scope.thread_id is None or scope.root_checkpoint is None:
        return False
    return _known.descends(scope.root_checkpoint, wanted, parents_of(scope.checkpointer, scope.thread_id))


def descends(checkpoint: str | None, wanted: str, parent: Parent) -> bool:
    """Whether `wanted` is `checkpoint` or one of its ancestors."""
    while checkpoint is not None and checkpoint != wanted:
        if _long_before(checkpoint, wanted):
            return False
        checkpoint = parent(checkpoint)
    return checkpoint == wanted


class _Known:
    """A cache of checkpoints that descend from another one. This never changes, so no path has to be walked twice.

    The cache cannot be in an agent's state, which anybody may write. Without it, the walk back to the last command would be longer with
    each step that is not a command.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._below: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    def descends(self, checkpoint: str, wanted: str, parent: Parent) -> bool:
        """As `descends`."""
        with self._lock:
            known = frozenset(self._below.get(wanted, ()))
        walked = descends(checkpoint, wanted, lambda one: wanted if one in known else parent(one))
        if walked:
            self._remember(checkpoint, wanted)
        return walked

    def _remember(self, checkpoint: str, wanted: str) -> None:
        with self._lock:
            below = self._below.setdefault(wanted, OrderedDict())
            self._below.move_to_end(wanted)
            below[checkpoint] = None
            below.move_to_end(checkpoint)
            while len(below) > _REMEMBERED:
                below.popitem(last=False)
            while len(self._below) > _LINES:
                self._below.popitem(last=False)


_REMEMBERED, _LINES = 32, 4_096
_known = _Known()


def parents_of(saver: Saved, thread_id: str) -> Parent:
    """Return a function that looks up parents in a checkpointer: many at once if the checkpointer can, because agents make several checkpoints
    per command.
    """
    known: dict[str, str | None] = {}

    def parent(checkpoint: str) -> str | None:
        if checkpoint in known:
            return known[checkpoint]
        config = looking_at(thread_id, "", checkpoint)
        if (line := parents_on_line(saver, config)) is not None:
            known.update(line)
            return line.get(checkpoint)
        return parent_of(saver, config)

    return parent


def _nodes(namespace: str | None) -> list[str]:
    """The nodes of a namespace, without their task ids, which change with each turn."""
    return [segment.split(":", 1)[0] for segment in (namespace or "").split("|")]


def _long_before(checkpoint: str, wanted: str) -> bool:
    """Whether a checkpoint is so much older than another one that it cannot descend from it, so that the walk can stop.

    Ids contain the clock of the machine that created them, and the clocks of machines differ, but by less than a day.
    """
    try:
        return _time(checkpoint) + _SKEW < _time(wanted)
    except ValueError:  # not LangGraph's ids: walk to the end
        return False


def _time(checkpoint: str) -> int:
    # Version 6 keeps the same 60 bits as version 1, with the high ones first.
    number = uuid.UUID(checkpoint).int
    return ((number >> 80) << 12) | ((number >> 64) & 0xFFF)
