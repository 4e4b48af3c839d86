"""Finds the people for whom somebody may decide now, by their delegations and by the store's rule."""

from collections.abc import Iterable

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, Unit, WorkflowStore
from ...checkpointing.store.delegating import delegations as delegation_rows
from ...tools.approvals import Approval
from ...tools.approvals.deciders import ids_of
from ...tools.events import moment_of
from ...tools.principal import Principal
from ..running.engine import Engine, logger
from ..running.needed import named_in


def acts_for(
    engine: Engine,
    at: Unit | Connection,
    approval: ApprovalRequest,
    by: Principal,
    *,
    rules: Iterable[Approval] | None = None,
) -> frozenset[str]:
    """The ids of the people named by a request for whom somebody may decide now as their delegate.

    Delegations are not transitive. If the store's rule raises, it names nobody, and the error is logged.

    Args:
        engine: The workflow.
        at: The transaction.
        approval: The request.
        by: The person who decides or looks.
        rules: The rules with the named people; by default the current one.
    """
    asking = [approval.rule] if rules is None else [*rules]
    people = frozenset[str]().union(*map(named_in, asking)) - {by.id}
    if not people or not by.is_known or by.tenant != approval.tenant:
        return frozenset()
    connection = at.connection if isinstance(at, Unit) else at
    now = at.now if isinstance(at, Unit) else engine.store.now(connection)
    made = delegation_rows.of_people(connection, approval.tenant, people, now)
    found = {one.person for one in made if one.delegate == by.id}
    return frozenset(found | {person for person in people - found if _names(engine, person, by, now)})


def delegators(store: WorkflowStore, connection: Connection, by: Principal) -> frozenset[str] | None:
    """The ids of all people for whom somebody may decide now as their delegate; None if a rule of the application also decides this."""
    if store.delegates is not None:
        return None
    return delegation_rows.of_delegate(connection, by.tenant, by.id, store.now(connection))


def _names(engine: Engine, person: str, by: Principal, now: int) -> bool:
    """Whether the store's rule makes somebody the delegate of a person."""
    rule = engine.store.delegates
    if rule is None:
        return False
    try:
        answer = rule(Principal(person, tenant=by.tenant), moment_of(now))
        return answer is not None and by.id in ids_of(answer)
    except Exception:  # a rule of the application may raise anything, and then nobody may decide by it
        logger.exception("the rule of delegates failed for %s; nobody decides for them by it", person)
        return False


__all__ = ["acts_for", "delegators"]
