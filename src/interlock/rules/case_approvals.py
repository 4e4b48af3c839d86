"""Approvals as the case has them: who may decide and until when, where a rule says it by functions of the view."""

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
    """The rule with what its functions give for this case, and that of the stages after it.

    Args:
        rule: As it is in the definition, or as a policy made it.
        view: The state of the instance.
        label: What it is an approval of, for messages.

    Raises:
        RuleError: A function raised, or gave no deadline or nobody; or those whom it gave cannot decide.
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
    """A rule as plain data, without the deadlines that the case gave: asked a second time they are others, and nothing else differs."""
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
    """A deadline as the case has it: what its function gives, where it is one.

    Raises:
        RuleError: The function raised, or gave no deadline.
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
    except ContractError as error:
        broken = odd_answer(rule, answer, f"it gives {wanted}")
        broken.__cause__ = error
        raise broken from error


def _can_decide(by: By, count: int, requester: Principal, label: str) -> None:
    """See that enough of those who are named could decide: nobody approves their own request.

    Raises:
        RuleError: They could not, and the request would stay open for nobody.
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
