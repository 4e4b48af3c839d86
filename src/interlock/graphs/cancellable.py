"""Saying who may cancel the instances of a workflow."""

from collections.abc import Callable, Iterable
from typing import Any, Self

from ..rules.cancelling import CancelRule, cancel_rule
from ..rules.view import GuardView
from ..tools.approvals.deadlines import Within
from .claiming import Claiming


class Cancellable(Claiming):
    """The part of a workflow that can be cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self._cancel: CancelRule | None = None

    def cancellable(
        self,
        *,
        role: str | Iterable[str] = (),
        served: bool = False,
        states: Iterable[str] | None = None,
        when: Callable[[GuardView[Any]], bool] | None = None,
        after: Within = None,
    ) -> Self:
        """Let instances be cancelled: what was carried out is undone, newest first, and the instance ends in `cancelled`.

        Without this nobody can cancel one. It adds the states `cancelling`, where nothing else may be called, and `cancelled`, which is
        final. What undoes a command is its `undo=`, or that of its edge.

        Args:
            role: Anyone who has this role, or one of these, may cancel.
            served: Whether the person may whom the instance serves.
            states: Only in these states; by default in every one that is not final.
            when: A guard over state, data and whoever cancels, which must hold as well.
            after: How long after its beginning an instance that is not finished is cancelled by itself, or the moment; or a function of the
                view that gives either when it begins. A tick does it.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: It names nobody and no deadline, or something that is none of these.
        """
        self._cancel = cancel_rule(role, served, states, when, after)
        return self


__all__ = ["Cancellable"]
