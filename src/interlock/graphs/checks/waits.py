"""Checks wait states at compilation."""

from collections.abc import Mapping

from pydantic import BaseModel

from ...rules.definition import State
from ...rules.waits import WaitRule, check_rule
from ...tools.errors import WorkflowDefinitionError
from .states import unknown_state


def check_waits(name: str, states: Mapping[str, State], data_model: type[BaseModel] | None) -> None:
    """Refuse waits that cannot work.

    Raises:
        WorkflowDefinitionError: The message names the wait, says what is wrong and how to fix it.
    """
    rules = [state.wait for state in states.values() if state.wait is not None]
    for rule in rules:
        check_rule(rule, data_model)
        for target in rule.ends:
            if target not in states:
                raise unknown_state(f"The wait {rule.state!r} leads to", name, target, states)
    _one_key_per_event(name, rules)


def _one_key_per_event(name: str, rules: list[WaitRule]) -> None:
    """Refuse waits that may take the same event under different keys: an event that arrives before its wait is stored under one key."""
    keys: dict[str, WaitRule] = {}
    for rule in rules:
        for event in rule.roles:
            other = keys.setdefault(event, rule)
            if [field for field, _ in other.key] != [field for field, _ in rule.key] or other.classes[
                event
            ] is not rule.classes[event]:
                raise WorkflowDefinitionError(
                    f"The waits {other.state!r} and {rule.state!r} of the workflow {name!r} look for {event} under different keys or as different classes. "
                    "Give both the same key= and the same class."
                )
