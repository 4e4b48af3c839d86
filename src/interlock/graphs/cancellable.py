"""The builder's method for cancel rules."""

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
        """Allow instances to be cancelled: a cancel undoes the executed calls, newest first, and ends the instance in `cancelled`.

        Without this, nobody can cancel an instance. It adds the states `cancelling`, in which no other tool may be called, and `cancelled`,
        which is final. A command is undone by its `undo=`, or by that of its edge.

        Args:
            role: The role, or roles, whose holders may cancel.
            served: Whether the person whom the instance serves may cancel it.
            states: The states in which an instance can be cancelled; by default all that are not final.
            when: A guard that must hold as well; the principal of its view is the one who cancels.
            after: When a tick cancels an unfinished instance: a duration after its start, a moment, or a function of the view that returns
                either at the start.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: Neither a person nor a deadline is given, or an argument is invalid.
        """
        self._cancel = cancel_rule(role, served, states, when, after)
        return self


__all__ = ["Cancellable"]
