"""Development mode: whoever comes says who they are, and every page says so."""

from dataclasses import dataclass

from ...tools.principal import Principal


@dataclass(frozen=True)
class Development:
    """Lets a request choose who it acts as, without a proof. For one's own machine alone.

    Attributes:
        people: Who can be chosen; the first acts where a request names nobody.
    """

    people: tuple[Principal, ...] = (
        Principal("operator", roles=frozenset({"operator", "supervisor"})),
        Principal("supervisor", roles=frozenset({"supervisor"})),
        Principal("customer"),
    )

    def named(self, name: str | None) -> Principal | None:
        """The one of this id; the first where none is named; None where there is none of that id."""
        if not name:
            return self.people[0]
        return next((one for one in self.people if one.id == name), None)


__all__ = ["Development"]
