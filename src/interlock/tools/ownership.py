"""The owner of a workflow instance, and who may propose on it: pure decisions, only made here."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from .canonical import JSON
from .errors import ContractError
from .principal import Principal, RuntimeActor, name_of


@dataclass(frozen=True)
class RunBy:
    """Who may propose on an instance, in addition to the person whom it serves."""

    roles: frozenset[str] = frozenset()
    """Everyone with one of these roles."""
    tenant: bool = False
    """Everybody in the instance's tenant."""

    SERVED: ClassVar["RunBy"]
    """Nobody else."""
    TENANT: ClassVar["RunBy"]

    @classmethod
    def of(cls, given: object) -> "RunBy":
        """Read the value of a workflow's `run_by`.

        Args:
            given: `"served"`, `"tenant"`, the name of a role, or several names of roles.

        Raises:
            ContractError: The value is none of these.
        """
        match given:
            case RunBy():
                return given
            case "served":
                return cls.SERVED
            case "tenant":
                return cls.TENANT
            case str():
                given = [given]
        names = list(given) if isinstance(given, Iterable) else []
        roles = frozenset(name_of(name) if isinstance(name, str) else "" for name in names)
        if not roles or not roles.isdisjoint({"", "served", "tenant"}):
            raise ContractError(
                f"run_by={given!r} does not say who may run an instance. Give 'served' (the person served alone, the default), 'tenant' "
                "(everybody of the tenant), the name of a role, or a set of roles."
            )
        return cls(roles)

    def to_json(self) -> JSON:
        """The rule as JSON, which is stored with an instance."""
        return "tenant" if self.tenant else [*sorted(self.roles)] if self.roles else "served"

    def __str__(self) -> str:
        """The rule as text, for messages."""
        if self.tenant:
            return "everybody of its tenant"
        return " or ".join(["the person whom it serves", *(f"the role {role!r}" for role in sorted(self.roles))])


RunBy.SERVED = RunBy()
RunBy.TENANT = RunBy(tenant=True)


@dataclass(frozen=True)
class Ownership:
    """The owner of an instance."""

    tenant: str
    served: str | None
    """The id of the person served; None if there is none, and then everybody in the tenant may run it."""
    run_by: RunBy = RunBy.SERVED

    def has(self, principal: Principal) -> bool:
        """Whether it belongs to the principal's tenant; for other tenants it does not exist."""
        return self.tenant == principal.tenant

    def why_not_run(self, principal: Principal) -> str | None:
        """Why a principal may not propose on it, or None when they may."""
        if not self.has(principal):
            return "it belongs to another tenant"
        if self.served is None or self.run_by.tenant or isinstance(principal, RuntimeActor):
            return None
        if principal.is_known and principal.id == self.served:
            return None
        if any(principal.has_role(role) for role in self.run_by.roles):
            return None
        return f"it is run by {self.run_by}" + ("" if principal.is_known else ", and the principal here is unknown")

    def why_not_resolve(self, principal: Principal) -> str | None:
        """Why a principal may not resolve an attempt, or None when they may.

        A resolution supplies the result and the data in place of the tool. So the person served may not resolve, unless they have
        a role that may run the instance.
        """
        if not self.has(principal):
            return "it belongs to another tenant"
        if self.served is None or any(principal.has_role(role) for role in self.run_by.roles):
            return None
        if not principal.is_known:
            return "the principal here is unknown"
        return "it serves them" if principal.id == self.served else None


__all__ = ["Ownership", "RunBy"]
