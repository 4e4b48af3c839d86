"""Who acts in a run: decided here for every entry point, and by nothing that a client can write.

On LangGraph's server the run's context is part of the client's request, so it says nothing of who sends it. The server's own
authentication does: it puts an object into the run's config. Where it ran without authentication it puts None there, and then
nobody in particular acts. Elsewhere the application's run context says who acts.

Never the model, the conversation, the graph's state, or the answer to an interrupt.
"""

import sys
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from ...tools.errors import PrincipalError
from ...tools.principal import Principal, RuntimeActor, name_of
from ...tools.sinks import logger_of

SERVER_USER = "langgraph_auth_user"
"""Where LangGraph's server puts the authenticated user into a run's config, or None where it has no authentication."""
ACTOR = "__interlock_actor"
"""Where the library puts itself into a run's config when it resumes a thread; it counts as an object, and not as anything
that JSON can say."""
_JSON = (str, int, float, list, dict)

logger = logger_of("interlock")


def principal_of(configurable: Mapping[str, Any], context: object) -> Principal:
    """The principal of a run.

    Args:
        configurable: Of the run's config.
        context: The run's context. It does not count on LangGraph's server.

    Raises:
        PrincipalError: Neither says it in a usable way.
    """
    actor = configurable.get(ACTOR)
    if isinstance(actor, RuntimeActor):
        return actor
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
            "%s in a run's config is plain JSON (%s), which any client can write, and not the user object of LangGraph's server. The run continues with an anonymous principal. An "
            "application that runs the graph itself names the principal with context=Principal(...).",
            SERVER_USER,
            type(user).__name__,
        )
        return Principal.ANONYMOUS
    return server_principal(user)


def user_of_request(configurable: Mapping[str, Any]) -> Principal | None:
    """The user for whom LangGraph's server shows or changes a thread's state; None where it is not the server that asks.

    The server puts its user into the config of a run, and into none with which it looks at or changes a state: there only the
    request that it is in the middle of knows. What looks from inside of a run is the application's own code.

    Raises:
        PrincipalError: The user has no identity.
    """
    user = user_of_server(configurable)
    if user is not None or var_child_runnable_config.get() is not None:
        return user
    server = sys.modules.get("langgraph_api.utils")  # there only in the server's own process
    known = getattr(server, "get_auth_ctx", lambda: None)()
    return None if known is None else user_of_server({SERVER_USER: known.user})


def is_named(configurable: Mapping[str, Any], context: object) -> bool:
    """Whether anybody was named who acts in a run, if only as nobody in particular; otherwise it is the application that does."""
    return context is not None or SERVER_USER in configurable or isinstance(configurable.get(ACTOR), RuntimeActor)


def served_of(configurable: Mapping[str, Any], context: object) -> str | None:
    """The id of the person whom an instance is to serve that begins in a run, where the application says so.

    It says so in the run's context, as an attribute or a key `served` beside `principal`: the person's id, or their `Principal`. On
    LangGraph Server the context is part of the client's request and says nothing.

    Raises:
        PrincipalError: It says so in no usable way, or of somebody of another tenant.
    """
    if context is None or isinstance(context, Principal) or user_of_server(configurable) is not None:
        return None
    given = context.get("served") if isinstance(context, Mapping) else getattr(context, "served", None)
    return None if given is None else served_by(given, principal_of(configurable, context))


def served_by(given: object, principal: Principal) -> str | None:
    """The id of a person served, as the application gives it; None for nobody in particular.

    Raises:
        PrincipalError: It is neither an id nor a principal, or a principal of another tenant than who acts.
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
