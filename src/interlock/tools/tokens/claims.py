"""Reads the principal from the claims of a verified token, for the HTTP service and the MCP servers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import PrincipalError
from ..principal import Principal

_LEFT_OUT = object()


@dataclass(frozen=True)
class PrincipalClaims:
    """The names of the claims that identify a principal. A claim that is present but unusable is refused, and never replaced by another value.

    A name with dots reaches into objects, such as `realm_access.roles`, unless there is a claim of that whole name.
    """

    subject: str = "sub"
    """The claim that has the principal's id."""
    roles: str = "roles"
    """The claim that has their roles: a list, or a text with spaces between. Left out of a token, or null, there are none."""
    tenant: str | None = "tenant"
    """The claim that has their tenant. Left out of a token, it is the default tenant; None or empty here: there is one tenant."""

    def principal_of(self, claims: Mapping[str, Any]) -> Principal:
        """The principal that claims name.

        Args:
            claims: Of a token that was verified.

        Raises:
            PrincipalError: They name nobody, or a claim is there that cannot be used.
        """
        subject = self._at(claims, self.subject)
        if not isinstance(subject, str) or not subject:
            raise _unusable(self.subject, "names nobody")
        tenant = self._at(claims, self.tenant) if self.tenant else _LEFT_OUT
        roles = self._roles(claims)
        try:
            if tenant is _LEFT_OUT:
                return Principal(subject, roles)
            if not isinstance(tenant, str) or not tenant:
                raise _unusable(str(self.tenant), "names no tenant")
            return Principal(subject, roles, tenant)
        except PrincipalError as error:
            if error.code == "invalid_token":
                raise
            raise PrincipalError(
                f"The token names no usable principal: {error.message} Nothing was done; get a new token.",
                code="invalid_token",
            ) from None

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[str]:
        match self._at(claims, self.roles):
            case str() as words:
                return frozenset(words.split())
            case list() as listed if all(isinstance(one, str) and one.strip() for one in listed):
                return frozenset(listed)
            case None:
                return frozenset()
            case found if found is _LEFT_OUT:
                return frozenset()
        raise _unusable(self.roles, "is neither a list of roles nor a text")

    @staticmethod
    def _at(claims: Mapping[str, Any], path: str) -> Any:
        if path in claims:  # the name of a claim may be a URL, which has dots
            return claims[path]
        found: Any = claims
        for part in path.split("."):
            if not isinstance(found, Mapping):
                raise _unusable(path, "is not where it is said to be")
            if part not in found:
                return _LEFT_OUT
            found = found[part]
        return found


def _unusable(name: str, why: str) -> PrincipalError:
    return PrincipalError(
        f"The token's claim {name!r} {why}. Nothing was done. Get a new token; or have the authorization server put it in, or say "
        "which claim it is.",
        code="invalid_token",
    )


__all__ = ["PrincipalClaims"]
