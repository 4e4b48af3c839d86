"""Finds the person on whose behalf a delegate decides."""

from collections.abc import Collection

from ..principal import Principal
from .deciders import By


def represented_by(
    people: By, by: Principal, *, acts_for: Collection[str], taken: Collection[str], barred: Collection[str]
) -> str | None:
    """The person for whom somebody decides; None where they decide for themselves, or may decide for nobody.

    Args:
        people: Whom the rule names.
        by: The principal who decides.
        acts_for: Those whose delegate they are now.
        taken: Those who agreed already, or on whose behalf somebody did: nobody agrees twice by another's hand.
        barred: Those who may not decide themselves: what they may not do, their delegate may not do either.
    """
    if not isinstance(people, frozenset) or not by.is_known or by.id in people:
        return None
    free = sorted(one for one in acts_for if one in people and one not in taken and one not in barred)
    return free[0] if free else None


__all__ = ["represented_by"]
