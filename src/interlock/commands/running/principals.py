"""Determines the principal of a run for every entry point, never from data that a client can write.

On LangGraph's server the run's context is part of the client's request, so it does not identify the sender. The server's
authentication does: it puts a user object into the run's config, or None without authentication, and then the principal is
anonymous. Elsewhere the application names the principal in the run's context.

The model, the conversation, the graph's state and the answer to an interrupt never determine the principal.
"""

import sys
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from ...tools.errors import PrincipalError
from ...tools.principal import Principal, RuntimeActor, name_of
from ...tools.sinks import logger_of

SERVER_USER = "langgraph_auth_user"
"""The key of the authenticated user in a run's config on LangGraph's server; None without authentication."""
ACTOR = "__interlock_actor"
"""The key under which the library marks its own resume of a thread in a run's config; only an object counts, not a value that
JSON can express."""
_JSON = (str, int, float, list, dict)

logger = logger_of("interlock")


def principal_of(configurable: Mapping[str, Any], context: object) -> Principal:
    """The principal of a run.

    Args:
        configurable: The `configurable` of the run's config.
        context: The run's context. It is ignored on LangGraph's server.

    Raises:
        PrincipalError: Neither names a usable principal.
    """
    actor = configurable.get(ACTOR)
    if isinstance(actor, RuntimeActor):
        return actor
    user = user_of_server(configurable)
    return Principal.coerce(context) if user is None else user


def user_of_server(configurable: Mapping[str, Any]) -> Principal | None:
    """The principal of LangGraph's server, anonymous without authentication; None outside the server.

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
            "%s in a run's config is plain JSON (%s), which any client can write, and not the user object of LangGraph's server. The run continues with an anonymous principal. An "
            "application that runs the graph itself names the principal with context=Principal(...).",
            SERVER_USER,
            type(user).__name__,
        )
        return Principal.ANONYMOUS
    return server_principal(user)


def user_of_request(configurable: Mapping[str, Any]) -> Principal | None:
    """The user for whom LangGraph's server reads or updates a thread's state; None outside such a request.

    The server puts its user into the config of a run, but not into configs that read or update a state: there only the current
    request has the user. Reads inside a run are made by the application's own code.

    Raises:
        PrincipalError: The user has no identity.
    """
    user = user_of_server(configurable)
    if user is not None or var_child_runnable_config.get() is not None:
        return user
    server = sys.modules.get("langgraph_api.utils")  # only importable in the server's process
    known = getattr(server, "get_auth_ctx", lambda: None)()
    return None if known is None else user_of_server({SERVER_USER: known.user})


def is_named(configurable: Mapping[str, Any], context: object) -> bool:
    """Whether a run names a principal, even an anonymous one; otherwise the application acts."""
    return context is not None or SERVER_USER in configurable or isinstance(configurable.get(ACTOR), RuntimeActor)


def served_of(configurable: Mapping[str, Any], context: object) -> str | None:
    """The id of the person served by an instance that starts in a run, if the application names one.

    The run's context has it as the attribute or key `served` beside `principal`: the person's id, or their `Principal`. On
    LangGraph Server the context is part of the client's request and does not count.

    Raises:
        PrincipalError: The value is not usable, or belongs to another tenant.
    """
    if context is None or isinstance(context, Principal) or user_of_server(configurable) is not None:
        return None
    given = context.get("served") if isinstance(context, Mapping) else getattr(context, "served", None)
    return None if given is None else served_by(given, principal_of(configurable, context))


def served_by(given: object, principal: Principal) -> str | None:
    """The id of the person served, from the application's value; None for nobody in particular.

    Raises:
        PrincipalError: It is neither an id nor a principal, or a principal of another tenant than the acting one.
    """
    person = given if isinstance(given, Principal) else None
    if person is None:
        if not isinstance(given, str) or not name_of(given):
            raise PrincipalError(f"served is {given!r}; give the id of the person served, or their Principal")
        person = Principal(given, tenant=principal.tenant)
    if person.tenant != principal.tenant:
        raise PrincipalError(
            f"{person.id} is to be served in the tenant {principal.tenant!r} and belongs to {person.tenant!r}. Nothing was started; a workflow "
            "instance and the person it serves are of one tenant."
        )
    return person.id if person.is_known else None


def server_principal(user: object) -> Principal:
    """The principal for a user of LangGraph's server.

    Args:
        user: The result of the server's `@auth.authenticate` handler, an object or a mapping: `identity` is the principal's id,
            `permissions` are its roles, and `tenant`, if present, is its tenant.

    Raises:
        PrincipalError: The user has no identity.
    """
    identity = _part(user, "identity")
    if not isinstance(identity, str) or not identity:
        raise PrincipalError(
            "The server's authenticated user has no `identity`, so the principal is unknown. Nothing was done; return one from the "
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


__all__ = ["SERVER_USER", "is_named", "principal_of", "server_principal", "user_of_request", "user_of_server"]
