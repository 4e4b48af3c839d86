"""The rights of operators beyond a workflow's own rules: every instance of their tenant."""

from ..commands.running.access import looked_at
from ..tools.errors import PrincipalError
from .context import Service
from .identity import Caller
from .workflows import Found


def operators_only(caller: Caller, what: str) -> None:
    """Refuse callers who are not operators.

    Raises:
        PrincipalError: The caller is not an operator.
    """
    if not caller.is_operator:
        raise PrincipalError(
            f"{caller.principal.id} may not see or do this: {what} takes the role of an operator. Nothing was done.",
            code="not_entitled",
        )


def seen(service: Service, workflow_id: str, caller: Caller) -> Found:
    """An instance that the caller may see; blocks.

    Raises:
        RunError: Their tenant has no such instance.
        PrincipalError: It serves somebody else; that is recorded.
    """
    found = service.workflows.of_instance(workflow_id, caller)
    if not caller.is_operator:
        looked_at(found.graph.engine, {"workflow_id": workflow_id}, caller.principal)
    return found


__all__ = ["operators_only", "seen"]
