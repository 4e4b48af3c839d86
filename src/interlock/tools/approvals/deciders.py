"""The people who may decide on an approval, if a rule names them: their ids, or everyone with a role that depends on the instance."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from ..canonical import JSON
from ..errors import ContractError, PrincipalError
from ..principal import Principal, checked_name


@dataclass(frozen=True)
class RoleHolders:
    """Everybody with a role: a value for `by=` of an approval, instead of IDs.

    Attributes:
        role: The role.
    """

    role: str

    def __post_init__(self) -> None:
        check_role(self.role, "RoleHolders")


People = str | Principal | Collection[str | Principal] | RoleHolders
"""The people who may decide: one or several, by id, or everyone with a role."""
By = People | Callable[[Any], People] | None
"""As `People`, or a function of the view that returns them."""
Named = frozenset[str] | RoleHolders
"""People in a normalized form."""


def named(given: object) -> Named:
    """Normalize people.

    Raises:
        ContractError: The value names nobody, or something that is not a person.
    """
    if isinstance(given, RoleHolders):
        return given
    several: Iterable[object] = [given] if isinstance(given, str | Principal) else _listed(given)
    try:
        ids = frozenset(one.id if isinstance(one, Principal) else checked_name("A person's id", one) for one in several)
    except PrincipalError as error:
        raise _names_nobody(given, f" ({error.message})") from error
    if not ids:
        raise _names_nobody(given)
    return ids


def _names_nobody(given: object, why: str = "") -> ContractError:
    return ContractError(
        f"{given!r:.300} names nobody who could decide{why}; pass the id of a person, several ids, a Principal, or RoleHolders('role')."
    )


def check_role(role: object, where: str) -> None:
    """Check that a role is a name.

    Raises:
        ContractError: It is not.
    """
    if not isinstance(role, str) or not role.strip():
        raise ContractError(f"{where}(role={role!r}): give the name of a role, such as 'supervisor'.")


def ids_of(people: People | None) -> frozenset[str]:
    """The ids of the people who are named individually."""
    who = named(people)
    return frozenset() if isinstance(who, RoleHolders) else who


def people_in_words(by: By) -> str:
    """The named people, as a short text."""
    if callable(by):
        return "whom the case names"
    if isinstance(by, RoleHolders):
        return f"the role {by.role!r}"
    return " or ".join(sorted(ids_of(by)))


def by_to_json(by: By) -> JSON:
    """The named people as JSON data; a function becomes a mark."""
    if isinstance(by, RoleHolders):
        return {"role": by.role}
    return "…" if callable(by) else [*sorted(ids_of(by))]


def by_from_json(data: Any) -> Named | None:
    """Parse what `by_to_json` returned."""
    if data is None:
        return None
    return RoleHolders(data["role"]) if isinstance(data, dict) else frozenset(data)


def _listed(given: object) -> Iterable[object]:
    return given if isinstance(given, (list, tuple, set, frozenset)) else []


__all__ = [
    "By",
    "Named",
    "People",
    "RoleHolders",
    "by_from_json",
    "by_to_json",
    "check_role",
    "ids_of",
    "named",
    "people_in_words",
]
