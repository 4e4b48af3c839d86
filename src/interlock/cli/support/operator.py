"""Who acts on the command line: it knows nobody but its operator, who says as whom they act."""

import getpass
from collections.abc import Iterable
from typing import Annotated

import typer

from ...tools.principal import Principal

As = Annotated[
    str | None,
    typer.Option(
        "--as", envvar="INTERLOCK_AS", metavar="ID", help="The id of the person who acts. Default: your login name."
    ),
]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", envvar="INTERLOCK_ROLES", metavar="ROLE", help="A role that you have. Repeatable."),
]
Tenant = Annotated[str, typer.Option(help="The tenant.")]


def named_or_login(who: str | None) -> str:
    """The id of the operator: as they say, or their login name."""
    return who or getpass.getuser()


def principal_of(who: str | None, roles: Iterable[str] | None, tenant: str) -> Principal:
    """The principal of the operator."""
    return Principal(named_or_login(who), roles=frozenset(roles or ()), tenant=tenant)


__all__ = ["As", "Roles", "Tenant", "named_or_login", "principal_of"]
