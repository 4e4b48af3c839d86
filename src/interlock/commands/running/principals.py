"""Who acts in a run: decided here for every entry point, and by nothing that a client can write.

On LangGraph's server the run's context is part of the client's request, so it says nothing of who sends it. The server's own
authentication does: it puts an object into the run's config. Where it ran without authentication it puts None there, and then
nobody in particular acts. Elsewhere the application's run context says who acts.

Never the model, the conversation, the graph's state, or the answer to an interrupt.
"""

import logging
from collections.abc import Mapping
from typing import Any

from ...tools.errors import PrincipalError
from ...tools.principal import Principal

SERVER_USER = "langgraph_auth_user"
"""Where LangGraph's server puts the authenticated user into a run's config, or None where it has no authentication."""
_JSON = (str, int, float, list, dict)

logger = logging.getLogger("interlock")


def principal_of(configurable: Mapping[str, Any], context: object) -> Principal:
    """The principal of a run.

    Args:
        configurable: Of the run's config.
        context: The run's context. It does not count on LangGraph's server.

    Raises:
        PrincipalError: Neither says it in a usable way.
    """
    user = user_of_server(configurable)
    return Principal.coerce(context) if user is None else user


def user_of_server(configurable: Mapping[str, Any]) -> Principal | None:
    """The user of LangGraph's server, or nobody in particular where it does not know; None in a run outside of it.

    Raises:
        PrincipalError: The user has no identity.
    """
    if SERVER_USER not in configurable:
        return None
    user = configurable[SERVER_USER]
    if user is None or _part(user, "is_authenticated") is False:
        return Principal.ANONYMOUS
    if isinstance(user, _JSON):
        logger.warning(
            "%s in a run's config is plain JSON (%s), which any client can write, and not the user object of LangGraph's server. The "
            "run goes on for nobody in particular. An application that runs the graph itself names the principal by context=Principal(...).",
            SERVER_USER,
            type(user).__name__,
        )
        return Principal.ANONYMOUS
    return server_principal(user)


def server_principal(user: object) -> Principal:
    """The principal that a user of LangGraph's server is.

    Args:
        user: What the server's `@auth.authenticate` handler gave, as an object or a mapping: `identity` is the principal's id,
            `permissions` are its roles, and `tenant`, where the handler gives one, is its tenant.

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


__all__ = ["SERVER_USER", "principal_of", "server_principal", "user_of_server"]
