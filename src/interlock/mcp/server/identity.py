"""Determines the caller: from a verified token, the environment or the application, never from the client's data."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...tools.errors import PrincipalError
from ...tools.principal import Principal
from ...tools.tokens import PrincipalClaims

WHO, ROLES, TENANT, TOKEN = "INTERLOCK_AS", "INTERLOCK_ROLES", "INTERLOCK_TENANT", "INTERLOCK_TOKEN"
"""The environment variables that name the caller over standard input and output."""


@dataclass(frozen=True)
class Caller:
    """The known facts about the sender of a request. None of them come from arguments, `_meta` or the client's own name."""

    claims: Mapping[str, Any] | None = None
    """The claims of the verified access token; None without a token."""
    request: Any = None
    """The Starlette request, if there is one, for an application that authenticates in front of the server."""


PrincipalSource = Principal | Callable[[Caller], Principal]
"""The source of the caller: one principal for everybody who reaches the server, or a function of the known facts."""


class ClaimNames(PrincipalClaims):
    """The names of the claims that identify a caller, as a source of principals: `WorkflowServer(graph, principal=ClaimNames())`."""

    def __call__(self, caller: Caller) -> Principal:
        """Read the principal from a caller's claims.

        Raises:
            PrincipalError: There are no claims, they name nobody in particular, or one of them is invalid.
        """
        return known(self.principal_of(caller.claims or {}))


def from_environment(environment: Mapping[str, str] = os.environ) -> Principal:
    """Read the caller from the environment, which the client's configuration sets for the process.

    Raises:
        PrincipalError: The environment names no caller.
    """
    who = environment.get(WHO)
    if not who:
        raise PrincipalError(
            f"The caller is unknown: over standard input and output there are no tokens. Nothing was served. Set {WHO} in the client's "
            f"configuration of this server, and {ROLES} and {TENANT} where they matter."
        )
    if environment.get(TENANT) == "":
        raise PrincipalError(
            f"{TENANT} is set and names no tenant. Nothing was served. Set it to the tenant, or leave it out where there is one."
        )
    roles = frozenset(environment.get(ROLES, "").replace(",", " ").split())
    return known(Principal(who, roles=roles, tenant=environment.get(TENANT, "default")))


def known(principal: Principal) -> Principal:
    """The principal, unless it is anonymous.

    Raises:
        PrincipalError: It is anonymous.
    """
    if not principal.is_known:
        raise PrincipalError(
            "The caller is anonymous, and a server needs a named principal. Nothing was done. Name the principal."
        )
    return principal


def principal_of(source: PrincipalSource, caller: Caller) -> Principal:
    """The principal of a request.

    Raises:
        PrincipalError: The source names no usable principal.
    """
    if isinstance(source, Principal):
        return source
    found: object = source(caller)
    if not isinstance(found, Principal):
        raise PrincipalError(
            f"The function that says who calls gave a {type(found).__name__}. Nothing was done; let it return a Principal, or raise a PrincipalError."
        )
    return known(found)


def person_of(caller: Caller, names: ClaimNames) -> Principal:
    """The person whom a token names, for decisions, which only people may make.

    Raises:
        PrincipalError: The token was issued to a program, or to somebody who acts for the person.
    """
    claims = caller.claims or {}
    person = names(caller)
    if person.id in [claims.get("client_id"), claims.get("azp")]:
        raise PrincipalError(
            f"The access token of {person.id} was issued to a program for itself, and decisions are taken by people. Nothing was decided. "
            "Sign in as a person, who then lets the assistant connect."
        )
    if "act" in claims:
        raise PrincipalError(
            f"The access token lets someone else act for {person.id}, and decisions are taken by people themselves. Nothing was decided. "
            "Sign in as the person who decides."
        )
    return person


__all__ = [
    "ROLES",
    "TENANT",
    "TOKEN",
    "WHO",
    "Caller",
    "ClaimNames",
    "PrincipalSource",
    "from_environment",
    "known",
    "person_of",
    "principal_of",
]
