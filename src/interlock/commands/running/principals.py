"""Who acts in a run: from the server's authentication where there is one, else from the application's run context.

Never from the model, the conversation or the answer to an interrupt. On LangGraph Server the run's context is part of the
client's request, so it says nothing of who sends it; the server's own authentication does, and it wins.
"""

from collections.abc import Mapping
from typing import Any

from ...tools.errors import PrincipalError
from ...tools.principal import Principal

SERVER_USER = "langgraph_auth_user"
"""Where LangGraph Server puts the authenticated user into a run's config; no client can set it."""


def principal_of(configurable: Mapping[str, Any], context: object) -> Principal:
    """The principal of a run.

    Args:
        configurable: Of the run's config.
        context: The run's context.

    Raises:
        PrincipalError: Neither says it in a usable way.
    """
    user = configurable.get(SERVER_USER)
    return Principal.coerce(context) if user is None else server_principal(user)


def server_principal(user: object) -> Principal:
    """The principal that a user of LangGraph Server is.

    Args:
        user: What the server's `@auth.authenticate` handler gave, as an object or a mapping: `identity` is the
            principal's id, `permissions` are its roles, and `tenant`, where the handler gives one, is its tenant.

    Raises:
        PrincipalError: It has no identity.
    """
    identity = _part(user, "identity")
    if not isinstance(identity, str) or not identity:
        raise PrincipalError(
            "The server's authenticated user has no `identity`, so nobody knows who acts. Nothing was done; return one from the "
            "@auth.authenticate handler: {'identity': 'ada', 'permissions': ['supervisor']}."
        )
    tenant = _part(user, "tenant")
    return Principal(
        identity,
        roles=frozenset(_part(user, "permissions") or ()),
        **({} if tenant is None else {"tenant": tenant}),
    )


def _part(user: object, name: str) -> Any:
    if isinstance(user, Mapping):
        return user.get(name)
    try:
        return getattr(user, name)
    except AttributeError:
        pass
    try:
        return user[name]  # type: ignore[index]  # the server's proxy answers to both
    except (KeyError, TypeError):
        return None


__all__ = ["SERVER_USER", "principal_of", "server_principal"]
