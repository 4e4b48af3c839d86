"""Development mode: callers choose who they are, and every page says so."""

from dataclasses import dataclass

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

    def named(self, name: str | None) -> Principal | None:
        """The principal with this id; the first if no id is given; None if there is no such principal."""
        if not name:
            return self.people[0]
        return next((one for one in self.people if one.id == name), None)


__all__ = ["Development"]
