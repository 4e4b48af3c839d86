"""Development mode: callers choose who they are, and every page says so."""

from collections.abc import Iterable
from dataclasses import dataclass

from ...tools.errors import InputError
from ...tools.principal import Principal


@dataclass(frozen=True)
class Development:
    """Lets each request choose its principal without proof. Only for your own machine.

    Attributes:
        people: The principals to choose from; the first is the default.
    """

    people: tuple[Principal, ...] = (
        Principal("operator", roles=frozenset({"operator", "supervisor"})),
        Principal("supervisor", roles=frozenset({"supervisor"})),
        Principal("customer"),
    )

    def __post_init__(self) -> None:
        people: object = self.people
        if isinstance(people, str) or not isinstance(people, Iterable) or not [*people]:
            raise InputError(
                f"Development(people={people!r}): give a tuple of principals, such as (Principal('ann'),)."
            )
        for one in people:
            if not isinstance(one, Principal):
                raise InputError(
                    f"Development(people=...) has {one!r}; give each as a Principal, such as Principal('ann')."
                )

    def named(self, name: str | None) -> Principal | None:
        """The principal with this id; the first if no id is given; None if there is no such principal."""
        if not name:
            return self.people[0]
        return next((one for one in self.people if one.id == name), None)


__all__ = ["Development"]
