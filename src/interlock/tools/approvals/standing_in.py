"""Finds the person on whose behalf a delegate decides."""

from collections.abc import Collection

from ..principal import Principal
from .deciders import By


def represented_by(
    people: By, by: Principal, *, acts_for: Collection[str], taken: Collection[str], barred: Collection[str]
) -> str | None:
    """The person for whom somebody decides; None if they decide for themselves, or may decide for nobody.

    Args:
        people: The people whom the rule names.
        by: The principal who decides.
        acts_for: The people whose delegate they are now.
        taken: The people who agreed already, themselves or through a delegate; nobody agrees twice.
        barred: The people who may not decide themselves, so that their delegates may not either.
    """
    if not isinstance(people, frozenset) or not by.is_known or by.id in people:
        return None
    free = sorted(one for one in acts_for if one in people and one not in taken and one not in barred)
    return free[0] if free else None


__all__ = ["represented_by"]
