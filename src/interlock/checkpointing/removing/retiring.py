"""Retires finished instances that are old enough: deletes all their data, except the end of the audit trail.

Each instance has its own transaction, so that a run can be stopped and repeated at any time, concurrently with workers. There are
three steps: export the trail, delete the thread, and delete the rows under the lock of the instance's row if nothing changed. The next
run completes an interrupted one.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from langgraph.checkpoint.base import BaseCheckpointSaver
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject
from ..checkpointer import SQLCheckpointer
from ..saver.keeping.policy import Progress
from ..saver.threads import slices
from ..store import trail
from ..store.heads import HeadSigner
from ..store.instances import Instance, from_row
from ..store.ledger import LedgerStatus
from ..store.workflow_store import WorkflowStore
from ..tables import inputs as waiting
from ..tables.feedback import feedback
from ..tables.retired import retired
from ..tables.webhooks import webhooks
from ..tables.workflow import audit, inbox, instances, ledger, outbox
from . import rows
from .policy import Retirement, RetirementReport

Export = Callable[[Instance, Sequence[str]], None]
"""Stores the trail of an instance, as the lines of JSON from `WorkflowStore.export_audit`, and returns once it is stored permanently."""
_PAGE = 200
_SHOWN = 100


class _Kept(NamedTuple):
    """Raised with the reason why an instance stays for now."""

    reason: str
    is_broken: bool = False


def retire_instances(
    store: WorkflowStore,
    policy: Retirement,
    *,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    export: Export | None = None,
    signer: HeadSigner | None = None,
    limit: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> RetirementReport:
    """Delete finished instances that a retirement does not keep, with all their rows. Run it again to continue after a stop.

    The thread of an instance goes with it, conversation and checkpoints, unless the instance ran inside another graph, whose thread it is:
    that one stays for `Retention`. An instance stays while its thread is in use.

    Args:
        store: Where the instances are.
        policy: How long they are kept.
        checkpointer: Where their threads are.
        export: Keeps each trail before it is deleted; called again for an instance if this is stopped after it.
        signer: Signs the last line of each export, which has the number of records.
        limit: So many go at most.
        dry_run: Only report what would be deleted; nothing is exported.
        progress: Called for each instance that is old enough, with its number, the number of all of them, and its id.
    """
    kept: Counter[str] = Counter()
    broken: list[str] = []
    with store.read() as connection:
        now = store.now(connection)
        old = _old_enough(policy, now)
        total = int(connection.execute(sa.select(sa.func.count()).select_from(instances).where(old)).scalar_one())
    seen = gone = 0
    for found in _pages(store, old):
        for instance in found:
            if limit is not None and gone >= limit:
                break
            seen += 1
            why = _retire(store, policy, instance, checkpointer, export, signer, dry_run=dry_run)
            if why is None:
                gone += 1
            else:
                kept[why.reason] += 1
                if why.is_broken and len(broken) < _SHOWN:
                    broken.append(instance.workflow_id)
            if progress is not None:
                progress(seen, max(total, seen), instance.workflow_id)
    return RetirementReport(seen, gone, dict(kept), tuple(broken), dry_run)


def _old_enough(policy: Retirement, now: int) -> sa.ColumnElement[bool]:
    """The query for finished instances that are old enough, in the order of their start, which has an index."""
    c = instances.c
    named = {name: policy.cutoff(name, now) for name in policy.workflows}
    cutoffs = [(c.workflow == name, cutoff) for name, cutoff in named.items() if cutoff is not None]
    others = policy.ages().get(None)
    if others is not None:
        cutoffs.append((c.workflow.not_in(named), now - int(others * 1e6)))
    latest = max(cutoff for _, cutoff in cutoffs)
    # An instance cannot change before its start, so this bounds the scan.
    return sa.and_(
        c.created_at < latest,
        c.finished == 1,
        sa.or_(*(sa.and_(which, c.updated_at < cutoff) for which, cutoff in cutoffs)),
    )


def _pages(store: WorkflowStore, old: sa.ColumnElement[bool]) -> Iterator[list[Instance]]:
    c = instances.c
    query = sa.select(instances).where(old).order_by(c.created_at, c.workflow_id).limit(_PAGE)
    after: Instance | None = None
    while True:
        page = query
        if after is not None:
            # Two conditions instead of a row comparison, so that every database walks its index instead of sorting.
            page = query.where(
                c.created_at >= after.created_at,
                sa.or_(c.created_at > after.created_at, c.workflow_id > after.workflow_id),
            )
        with store.read() as connection:
            found = [from_row(row) for row in connection.execute(page)]
        yield found
        if len(found) < _PAGE:
            return
        after = found[-1]


def _retire(  # noqa: PLR0917 -- one instance
    store: WorkflowStore,
    policy: Retirement,
    instance: Instance,
    checkpointer: BaseCheckpointSaver[Any] | None,
    export: Export | None,
    signer: HeadSigner | None,
    *,
    dry_run: bool,
) -> _Kept | None:
    """Retire an instance; returns the reason if it stays."""
    with store.read() as connection:
        now = store.now(connection)
        why = _holds(connection, policy, instance)
        records = [] if why is not None else trail.rows(connection, instance.workflow_id)
    if why is not None:
        return why
    if trail.check(records, count=instance.audit_count, head=instance.audit_head):
        return _Kept("its audit trail does not verify", is_broken=True)
    cutoff = policy.cutoff(instance.workflow, now)
    if cutoff is None or not _is_unused(checkpointer, instance, cutoff):
        return _Kept("its thread is in use")
    if dry_run:
        return None
    if export is not None:
        export(instance, [*trail.export(records, head=_signed(signer, instance, now))])
    _delete_thread(store, checkpointer, instance, cutoff)
    with store.write() as connection:
        rows.overwrite_what_is_deleted(store.database, connection)
        c = instances.c
        row = connection.execute(
            sa.select(instances).where(c.workflow_id == instance.workflow_id).with_for_update()
        ).first()
        if row is None or _differs(from_row(row), instance):
            return _Kept("it changed meanwhile")
        if (why := _holds(connection, policy, instance)) is not None:
            return why
        _delete(connection, instance, now=store.now(connection), exported=export is not None)
    return None


def _signed(signer: HeadSigner | None, instance: Instance, now: int) -> JsonObject | None:
    if signer is None:
        return None
    mine, number, last = instance.workflow_id, instance.audit_count, instance.audit_head
    return signer.sign(workflow_id=mine, tenant=instance.tenant, number=number, last=last, at=now).to_json()


def _differs(now: Instance, then: Instance) -> bool:
    return (now.audit_count, now.audit_head, now.revision, now.updated_at, now.definition) != (
        then.audit_count,
        then.audit_head,
        then.revision,
        then.updated_at,
        then.definition,
    )


def _holds(connection: Connection, policy: Retirement, instance: Instance) -> _Kept | None:
    """Why an instance cannot be retired yet, or None."""
    mine = instance.workflow_id
    unsettled = [LedgerStatus.STARTED.value, LedgerStatus.UNKNOWN.value]
    looks: list[tuple[str, sa.Select[Any]]] = [
        (
            "an effect of it is not settled",
            sa.select(ledger.c.tool).where(ledger.c.workflow_id == mine, ledger.c.status.in_(unsettled)),
        )
    ]
    if not policy.unpublished:
        looks += [
            (
                "its events are not published",
                sa.select(outbox.c.position).where(outbox.c.workflow_id == mine, outbox.c.status != "published"),
            ),
            (
                "its webhooks are not delivered",
                sa.select(webhooks.c.hook).where(webhooks.c.workflow_id == mine, webhooks.c.status == "pending"),
            ),
            (
                "its feedback is not sent",
                sa.select(feedback.c.feedback_id).where(feedback.c.workflow_id == mine, feedback.c.status == "pending"),
            ),
        ]
    for reason, look in looks:
        if connection.execute(look.limit(1)).first() is not None:
            return _Kept(reason)
    if instance.thread_id is not None and waiting.has_inputs(connection):
        look = sa.select(waiting.inputs.c.input_id).where(waiting.inputs.c.thread_id == instance.thread_id).limit(1)
        if connection.execute(look, execution_options=waiting.BESIDE_THE_QUEUE).first() is not None:
            return _Kept("an input waits for its run")
    return None


def _is_unused(checkpointer: BaseCheckpointSaver[Any] | None, instance: Instance, cutoff: int) -> bool:
    if instance.thread_id is None or not isinstance(checkpointer, SQLCheckpointer):
        return True
    return checkpointer.delete_unused(instance.thread_id, cutoff, dry_run=True)


def _delete_thread(
    store: WorkflowStore, checkpointer: BaseCheckpointSaver[Any] | None, instance: Instance, cutoff: int
) -> None:
    if checkpointer is None or instance.thread_id is None or instance.checkpoint_ns:
        return
    c = instances.c
    others = sa.select(c.workflow_id).where(c.thread_id == instance.thread_id, c.workflow_id != instance.workflow_id)
    with store.read() as connection:
        if connection.execute(others.limit(1)).first() is not None:
            return  # deleted with the last instance of the thread
    if isinstance(checkpointer, SQLCheckpointer):
        checkpointer.delete_unused(instance.thread_id, cutoff)
    else:
        checkpointer.delete_thread(instance.thread_id)


def _delete(connection: Connection, instance: Instance, *, now: int, exported: bool) -> None:
    mine = instance.workflow_id
    taken_in = rows.taken_in(connection, mine, workflow=instance.workflow)
    rows.delete(connection, instance)
    for some in slices(taken_in):
        connection.execute(sa.delete(inbox).where(inbox.c.position.in_(some)))
    for table in (audit, instances):
        connection.execute(sa.delete(table).where(table.c.workflow_id == mine))
    end = {"audit_count": instance.audit_count, "audit_head": instance.audit_head, "exported": int(exported)}
    whose = {"workflow_id": mine, "tenant": instance.tenant, "workflow": instance.workflow}
    connection.execute(sa.insert(retired).values(**whose, **end, retired_at=now))


__all__ = ["Export", "retire_instances"]
