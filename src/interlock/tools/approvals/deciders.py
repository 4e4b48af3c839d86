"""The people who may decide on an approval, where a rule names them: their ids, or anyone who has a role, given by the case."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from ..canonical import JSON
from ..errors import ContractError
from ..principal import Principal


@dataclass(frozen=True)
class RoleHolders:
    """Everybody who has a role: a value for `by=` of an approval, in place of IDs.

    Attributes:
        role: The role.
    """

    role: str

    def __post_init__(self) -> None:
        check_role(self.role, "RoleHolders")


People = str | Principal | Collection[str | Principal] | RoleHolders
"""Who may decide: one person or several, by id, or anyone who has a role."""
By = People | Callable[[Any], People] | None
"""As `People`, or a function of the view that gives them."""
Named = frozenset[str] | RoleHolders
"""The same in one form."""


def named(given: object) -> Named:
    """Read who is named.

    Raises:
        ContractError: It names nobody, or something that is no person.
    """
    if isinstance(given, RoleHolders):
        return given
    several: Iterable[object] = [given] if isinstance(given, str | Principal) else _listed(given)
    ids = frozenset(one.id if isinstance(one, Principal) else one for one in several)
    if not ids or not all(isinstance(one, str) and one.strip() for one in ids):
        raise ContractError(
            f"{given!r} names nobody who could decide; pass the id of a person, several ids, a Principal, or RoleHolders('role')."
        )
    return ids  # type: ignore[return-value]  # they are all text


def check_role(role: object, where: str) -> None:
    """See that a role has a name.

    Raises:
        ContractError: It has none.
    """
    if not isinstance(role, str) or not role.strip():
        raise ContractError(f"{where}(role={role!r}): give the name of a role, such as 'supervisor'.")


def ids_of(people: People | None) -> frozenset[str]:
    """The ids of those who are named one by one."""
    who = named(people)
    return frozenset() if isinstance(who, RoleHolders) else who


def people_in_words(by: By) -> str:
    """Who is named, in a few words."""
    if callable(by):
        return "whom the case names"
    if isinstance(by, RoleHolders):
        return f"the role {by.role!r}"
    return " or ".join(sorted(ids_of(by)))


def by_to_json(by: By) -> JSON:
    """Who is named as plain data; a function as a mark that there is one."""
    if isinstance(by, RoleHolders):
        return {"role": by.role}
    return "…" if callable(by) else [*sorted(ids_of(by))]


def by_from_json(data: Any) -> Named | None:
    """Read what `by_to_json` gave."""
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
