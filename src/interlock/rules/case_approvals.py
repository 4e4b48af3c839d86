"""Approval rules for one instance: evaluates the functions of the view that give deciders and deadlines."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from ..tools.approvals import Approval, Escalate, Expiry
from ..tools.approvals.deadlines import Fixed, Within, check_within
from ..tools.approvals.deciders import By, Named, RoleHolders, ids_of, named, people_in_words
from ..tools.contracts.yes_or_no import asked, odd_answer
from ..tools.errors import ContractError, RuleError
from ..tools.principal import Principal
from .view import GuardView

_WITHIN = "a duration such as '24h', a timedelta, a datetime with its zone, or None"
_BY = "the id of a person, several ids, a Principal, or RoleHolders('role')"


def of_the_case(rule: Approval, view: GuardView, label: str) -> Approval:
    """Evaluate the functions of a rule and of its later stages for one instance.

    Args:
        rule: The rule of the definition or of a policy.
        view: The state of the instance.
        label: Names the approved call in messages.

    Raises:
        RuleError: A function raised, returned no deadline or no deciders, or returned deciders who may not decide.
    """
    then = None if rule.then is None else of_the_case(rule.then, view, label)
    parts = {name for name in ("within", "by") if callable(getattr(rule, name))}
    expiry, from_expiry = _expiry(cast("Expiry", rule.on_expiry), view, label)
    if from_expiry:
        parts.add("on_expiry")
    if not parts and then is rule.then:
        return rule
    within, by = within_of(rule.within, view, label), _by(rule.by, view, label)
    _can_decide(by, rule.count, view.principal, label)
    if within is None and rule.on_expiry != "reject":
        raise RuleError(
            f"the deadline of {label} is None, and what is to follow it would never happen",
            rule=f"the deadline of {label}",
        )
    return replace(rule, within=within, by=by, on_expiry=expiry, then=then, from_case=frozenset(parts))


def apart_from_deadlines(rule: Any) -> Any:
    """A rule as plain data, without the deadlines that functions gave: each evaluation gives another deadline."""
    if not isinstance(rule, dict):
        return rule
    given = rule.get("fromCase") or ()
    plain = {name: apart_from_deadlines(value) if name == "then" else value for name, value in rule.items()}
    if "within" in given:
        plain |= {"seconds": None, "until": None}
    if "on_expiry" in given:
        plain["onExpiry"] = _without_deadlines(plain["onExpiry"])
    return plain


def _without_deadlines(expiry: Any) -> Any:
    if not isinstance(expiry, dict) or "then" not in expiry:
        return expiry
    return {**expiry, "seconds": None, "until": None, "then": _without_deadlines(expiry["then"])}


def _expiry(expiry: Expiry, view: GuardView, label: str) -> tuple[Expiry, bool]:
    if not isinstance(expiry, Escalate):
        return expiry, False
    then, is_deep = _expiry(expiry.then, view, label)
    if not (is_deep or callable(expiry.within) or callable(expiry.by)):
        return expiry, False
    within, by = within_of(expiry.within, view, label), _by(expiry.by, view, label)
    return replace(expiry, within=within, by=by, then=then), True


def within_of(within: Within, view: GuardView, label: str) -> Within:
    """Evaluate a deadline that is a function; return any other deadline unchanged.

    Raises:
        RuleError: The function raised or returned no deadline.
    """
    if not callable(within):
        return within
    given: Fixed = _given(within, view, f"the deadline of {label}", _checked, _WITHIN)
    return given


def _checked(within: Any) -> Any:
    if callable(within):
        raise ContractError("it is a function")
    check_within(within)
    return within


def _by(by: By, view: GuardView, label: str) -> By:
    if not callable(by):
        return by
    given: Named = _given(by, view, f"by= of {label}", named, _BY)
    return given


def _given(function: Callable[[Any], Any], view: GuardView, rule: str, read: Callable[[Any], Any], wanted: str) -> Any:
    answer = asked(rule, lambda: function(view.apart()))
    try:
        return read(answer)
    except Exception as error:  # what it gave may have its own methods
        broken = odd_answer(rule, answer, f"it gives {wanted}")
        broken.__cause__ = error
        raise broken from error


def _can_decide(by: By, count: int, requester: Principal, label: str) -> None:
    """Check that enough of the named people may decide, since nobody approves their own request.

    Raises:
        RuleError: Too few may decide, so the request could never be granted.
    """
    if by is None or callable(by) or isinstance(by, RoleHolders):
        return
    others = ids_of(by) - {requester.id}
    if len(others) < count:
        raise RuleError(
            f"by= of {label} names {people_in_words(by)}, of whom {len(others)} may decide for {requester.id} and {count} must agree",
            rule=f"by= of {label}",
        )


__all__ = ["apart_from_deadlines", "of_the_case", "within_of"]
