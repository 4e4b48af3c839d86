"""Who may cancel an instance and when, and the states of a cancel: `cancelling` while calls are undone, then `cancelled`.

Pure decisions; `commands/cancelling` has the SQL.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..tools.approvals.deadlines import Within, check_within, seconds_of, within_to_json
from ..tools.canonical import JsonObject
from ..tools.contracts.yes_or_no import why_no_rule, yes_or_no
from ..tools.errors import ContractError, WorkflowDefinitionError
from ..tools.ids import derive
from ..tools.principal import Principal
from .view import GuardView

CANCELLING = "cancelling"
"""The state of an instance while its calls are undone; no other tool is allowed in it."""
CANCELLED = "cancelled"
"""The final state of an instance that was cancelled."""
RESERVED = frozenset({CANCELLING, CANCELLED})
"""The states that a cancel rule adds to a workflow; the workflow's own states may not have these names."""


def undo_key(workflow_id: str, key: str) -> str:
    """The idempotency key of the undo of a call; it does not depend on who starts the undo.

    Args:
        workflow_id: The instance.
        key: The idempotency key of the executed call.
    """
    return derive("key", "undo", workflow_id, key)


@dataclass(frozen=True)
class CancelRule:
    """Who may cancel an instance, and when it is cancelled automatically. Nobody else may cancel."""

    roles: frozenset[str] = frozenset()
    """Everyone with one of these roles may cancel."""
    served: bool = False
    """Whether the person whom the instance serves may cancel."""
    states: frozenset[str] | None = None
    """The states in which the instance can be cancelled; None means all that are not final."""
    when: Callable[[GuardView[Any]], bool] | None = None
    """A guard that must hold as well; the principal of its view is the one who cancels. The deadline does not evaluate it."""
    after: Within = None
    """When an unfinished instance is cancelled automatically, counted from its start."""

    def why_not(self, view: GuardView, *, served: str | None) -> str | None:
        """Return why the principal of a view may not cancel its instance; None if the principal may.

        Args:
            view: State and data of the instance, and the principal who cancels.
            served: The id of the person whom the instance serves.

        Raises:
            RuleError: `when` raised, or returned neither True nor False, which does not count as True.
        """
        by = view.principal
        if not self.names(by, served):
            return f"it is cancelled by {self.who}"
        if self.states is not None and view.state not in self.states:
            return f"it is in {view.state!r}, and may be cancelled in {', '.join(sorted(self.states))}"
        when = self.when
        if when is not None and not yes_or_no("the rule of who may cancel", lambda: when(view.apart())):
            return "the workflow's rule of who may cancel says no"
        return None

    def names(self, by: Principal, served: str | None) -> bool:
        """Whether the rule names this principal as one who may cancel, in whatever state.

        Args:
            by: The principal.
            served: The id of the person whom the instance serves.
        """
        is_served = self.served and served is not None and by.is_known and by.id == served
        return is_served or any(by.has_role(role) for role in self.roles)

    @property
    def who(self) -> str:
        """Who may cancel, as text."""
        people = ["the person whom it serves"] if self.served else []
        named = [*people, *(f"the role {role!r}" for role in sorted(self.roles))]
        return " or ".join(named) or "its deadline alone"

    def to_json(self) -> JsonObject:
        """The rule as plain data, for fingerprints and reviews."""
        return {
            "roles": [*sorted(self.roles)],
            "served": self.served,
            "states": None if self.states is None else [*sorted(self.states)],
            "when": self.when is not None,
            "after": None if self.after is None else within_to_json(self.after),
        }

    @property
    def deadline(self) -> str:
        """When an instance is cancelled automatically, as text; empty if never."""
        if self.after is None:
            return ""
        seconds = seconds_of(self.after)
        return "at a deadline of the case" if seconds is None else f"after {seconds:g} s"

    def in_short(self) -> str:
        """Who may cancel and when, as a short text for pictures."""
        people = ["the person served"] if self.served else []
        return ", ".join(filter(None, (*people, *sorted(self.roles), self.deadline)))

    def __str__(self) -> str:
        where = "" if self.states is None else f" in {', '.join(sorted(self.states))}"
        alone = f", and automatically {self.deadline}" if self.deadline else ""
        return f"cancelled by {self.who}{where}{alone}"


def cancel_rule(
    roles: str | Iterable[str],
    served: bool,
    states: Iterable[str] | None,
    when: Callable[[GuardView[Any]], bool] | None,
    after: Within,
) -> CancelRule:
    """Read the arguments of `Workflow.cancellable`.

    Raises:
        WorkflowDefinitionError: They name nobody and no deadline, or a value is not a role, a state or a duration.
    """
    names = [roles] if isinstance(roles, str) else [*roles]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise WorkflowDefinitionError(f"cancellable(role={roles!r}): give the name of a role, or several.")
    if isinstance(states, str):
        raise WorkflowDefinitionError(f"cancellable(states={states!r}): give a list of states, such as [{states!r}].")
    try:
        check_within(after)
    except ContractError as error:
        raise WorkflowDefinitionError(f"cancellable(after={after!r}): {error.message}") from error
    if when is not None and (problem := why_no_rule(when)) is not None:
        raise WorkflowDefinitionError(f"cancellable(when={when!r:.200}), which {problem}.")
    if not names and not served and after is None:
        raise WorkflowDefinitionError(
            "cancellable() names nobody who may cancel. Give role='...', served=True for the person whom the instance serves, or after='30d' for a "
            "deadline."
        )
    return CancelRule(frozenset(names), bool(served), None if states is None else frozenset(states), when, after)


__all__ = [
    "CANCELLED",
    "CANCELLING",
    "RESERVED",
    "CancelRule",
    "cancel_rule",
    "undo_key",
]
