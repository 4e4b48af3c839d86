"""Searches instances by id, thread, person, or a word of their data."""

import json

import sqlalchemy as sa

from ...checkpointing.reports.instance_listing import Listed, Wanted, page, waits_for
from ...checkpointing.store import Instance
from ...checkpointing.store import instances as instance_rows
from ...checkpointing.store.sql.json_text import read_json
from ...checkpointing.tables.workflow import instances
from ...tools.canonical import JSON
from ...tools.redaction import redact
from ..context import Service
from ..identity import Caller

SHOWN = 50
LOOKED_AT = 2000
"""The number of newest instances whose data is searched. It may be encrypted, so there is no index."""
SHORTEST = 3
"""Shorter texts are not searched in data, because they match too often."""


def find(service: Service, caller: Caller, text: str) -> list[Listed]:
    """Instances with this id, thread or person served, or with this text in their data. Blocking.

    Operators find all instances of the tenant, others those that serve them. Sensitive fields are not searched.
    """
    tenant, person = caller.principal.tenant, caller.principal.id
    found: dict[str, Listed] = {}
    for store in service.workflows.stores:
        with store.read() as connection:
            for wanted in (
                Wanted(tenant, workflow_id=text),
                Wanted(tenant, thread_id=text),
                Wanted(tenant, served=text),
            ):
                for one in page(connection, wanted, limit=SHOWN).instances:
                    if caller.is_operator or one.instance.served == person:
                        found.setdefault(one.instance.workflow_id, one)
            if len(text) >= SHORTEST and len(found) < SHOWN:
                with_it = _with_data(connection, service, caller, text)
                held = waits_for(connection, [one.workflow_id for one in with_it])
                for instance in with_it:
                    found.setdefault(instance.workflow_id, Listed(instance, held.get(instance.workflow_id)))
    return [*found.values()][:SHOWN]


def _with_data(connection: sa.Connection, service: Service, caller: Caller, text: str) -> list[Instance]:
    columns = instances.c
    statement = (
        sa.select(columns.workflow_id, columns.workflow, columns.data)
        .where(columns.tenant == caller.principal.tenant, columns.definition != instance_rows.ERASED)
        .order_by(columns.created_at.desc(), columns.workflow_id.desc())
        .limit(LOOKED_AT)
    )
    if not caller.is_operator:
        statement = statement.where(columns.served == caller.principal.id)
    wanted, ids = text.casefold(), []
    is_plain = json.dumps(wanted) == f'"{wanted}"'  # the text is the same in JSON
    for workflow_id, workflow, data in connection.execute(statement):
        if is_plain and wanted not in str(data).casefold():
            continue
        graph = service.workflows.by_name.get(workflow)
        if graph is not None and _contains(redact(read_json(data), graph.engine.definition.sensitive), wanted):
            ids.append(workflow_id)
            if len(ids) == SHOWN:
                break
    rows = connection.execute(sa.select(instances).where(columns.workflow_id.in_(ids))) if ids else ()
    found = {one.workflow_id: one for one in map(instance_rows.from_row, rows)}
    return [found[one] for one in ids if one in found]


def _contains(value: JSON, wanted: str) -> bool:
    match value:
        case dict():
            return any(_contains(one, wanted) for one in value.values())
        case list():
            return any(_contains(one, wanted) for one in value)
        case None | bool():
            return False
        case _:
            return wanted in str(value).casefold()


__all__ = ["LOOKED_AT", "SHORTEST", "find"]
