"""Starts and ends waits: the effects of events, deadlines and transitions, inside one transaction over the instance.

The first cause ends a wait: a compare-and-set on its row, in the same transaction as the following transition. Deadlines use the
database's clock: after the deadline an event is late, even if nobody has checked the deadline yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, Instance, Unit
from ...checkpointing.store import inbox as inbox_rows
from ...checkpointing.store import waits as wait_rows
from ...checkpointing.store.inbox import InboxStatus
from ...checkpointing.store.waits import Wait, WaitItem, WaitStatus
from ...events.envelopes import envelope_of, moment_text, source_of
from ...rules.stored_data import NotKeptError, stored
from ...rules.waits import Ending, Role, WaitRule, ending
from ...tools.canonical import JsonObject
from ...tools.errors import ConflictError, InterlockError, RunError, StoreError
from ...tools.events import EventEnvelope
from ...tools.ids import derive
from ...tools.kinds import ItemStatus
from ...tools.principal import Principal, RuntimeActor
from ...tools.storable import described, storable_text
from ..running import needed
from ..running.engine import Engine, logger


@dataclass(frozen=True)
class Counted:
    """The effect of an event on a wait."""

    taken: bool
    """Whether it counted; if not, its item was already settled."""
    ended: bool = False


def arrive(engine: Engine, unit: Unit) -> Instance:
    """Follow a transition: end the wait of the old state, start the wait of the new one, and give it the kept events.

    Args:
        engine: The workflow.
        unit: After the transition, flushed.

    Returns:
        The instance, which may have moved again immediately.
    """
    if not engine.definition.waits:
        return unit.instance
    wait = wait_rows.open_of(unit.connection, unit.instance.workflow_id)
    if wait is not None and wait.state != unit.instance.state:
        wait_rows.end(unit.connection, wait.wait_id, WaitStatus.LEFT, now=unit.now, resumed=False)
        wait = None
    rule = engine.definition.waits.get(unit.instance.state)
    if rule is None:
        return unit.instance
    if wait is None:
        wait = _begin(engine, unit, rule)
    take_kept(engine, unit, rule, wait)
    return unit.instance


def take_kept(engine: Engine, unit: Unit, rule: WaitRule, wait: Wait) -> None:
    """Give an open wait the events that arrived before it."""
    if not rule.roles or unit.instance.running_key is not None:
        return
    correlation = rule.correlation(unit.instance.workflow_id, unit.instance.data)
    for event in inbox_rows.waiting(
        unit.connection, consumer=engine.definition.name, correlation=correlation, names=[*rule.roles]
    ):
        if event.tenant != unit.instance.tenant:
            continue
        try:
            envelope = envelope_of(event.envelope)
            if not rule.trusts(source_of(envelope)):
                continue
            with unit.trial():
                # Recorded before it is counted, so that a wait that starts when this one ends does not take it too.
                inbox_rows.settle(
                    unit.connection, event, InboxStatus.TAKEN, note=None, now=unit.now, correlation=correlation
                )
                counted = count(engine, unit, rule, wait, envelope)
        except (StoreError, ConflictError, sa.exc.SQLAlchemyError):
            raise
        except Exception as error:  # an event that cannot be processed must not block the transition
            logger.exception("the event %s that was kept for %s could not be taken in", event.event_id, rule.state)
            inbox_rows.settle(
                unit.connection, event, InboxStatus.FAILED, note=why(error), now=unit.now, correlation=None
            )
            continue
        if not counted.taken:
            note = "what it is about was settled already"
            inbox_rows.settle(
                unit.connection, event, InboxStatus.LATE, note=note, now=unit.now, correlation=correlation
            )
        if counted.ended:
            return


def why(error: Exception) -> str:
    """The error of an event, for its inbox row."""
    return storable_text(error.message) if isinstance(error, InterlockError) else described(error)


def count(engine: Engine, unit: Unit, rule: WaitRule, wait: Wait, envelope: EventEnvelope) -> Counted:
    """Count an event for an open wait, and end the wait if that is enough.

    Raises:
        InvalidInput: The event does not fit its class.
    """
    event = rule.read(envelope)
    role = rule.roles[envelope.event_name]
    touched = _touched(unit.connection, rule, wait, envelope, role)
    status = {Role.SETTLES: rule.settled_as, Role.DELIVERED: ItemStatus.DELIVERED, Role.FAILED: ItemStatus.FAILED}[role]
    marked = sum(
        wait_rows.mark_item(unit.connection, item, status, event_id=envelope.event_id, now=unit.now) for item in touched
    )
    if not marked:
        return Counted(taken=False)
    now_at = wait_rows.count(
        unit.connection,
        wait.wait_id,
        settled=marked if role is Role.SETTLES else 0,
        failed=marked if role is Role.FAILED else 0,
    )
    if now_at is None:
        raise _raced(wait)
    by = RuntimeActor.event(source_of(envelope), unit.instance.tenant)
    unit.record(
        AuditKind.EVENT_IN,
        by,
        {
            "eventId": envelope.event_id,
            "eventName": envelope.event_name,
            "traceId": envelope.trace_id,
            "source": source_of(envelope),
            "waitId": wait.wait_id,
            "causedBy": envelope.metadata.get("trace"),
            "state": wait.state,
            "role": role.value,
            "part": rule.part_of(envelope),
            "settled": now_at.settled,
            "failed": now_at.failed,
            "needed": now_at.needed,
            "total": now_at.total,
        },
    )
    _apply(engine, unit, rule, event)
    how = ending(needed=now_at.needed, total=now_at.total, settled=now_at.settled, failed=now_at.failed)
    target = {Ending.DONE: rule.then, Ending.FAILED: rule.on_failure, None: None}[how]
    if target is None:
        unit.flush()
        return Counted(taken=True)
    reached = WaitStatus.DONE if how is Ending.DONE else WaitStatus.FAILED
    _end(
        engine,
        unit,
        wait,
        reached,
        target,
        by=by,
        because={"eventId": envelope.event_id, "eventName": envelope.event_name},
    )
    return Counted(taken=True, ended=True)


def expire(engine: Engine, unit: Unit, wait: Wait) -> bool:
    """End a wait whose deadline has passed, if nothing else has ended it.

    Returns:
        Whether this call ended it.
    """
    rule = engine.definition.waits.get(wait.state)
    late = wait.status is WaitStatus.OPEN and wait.due_at is not None and unit.now >= wait.due_at
    if rule is None or rule.on_timeout is None or not late:
        return False
    if unit.instance.state != wait.state or unit.instance.running_key is not None:
        return False
    by = RuntimeActor.clock(unit.instance.tenant)
    needed.timed_out(engine, unit, wait, by)
    _end(engine, unit, wait, WaitStatus.TIMED_OUT, rule.on_timeout, by=by, because={"dueAt": wait.due_at})
    return True


def payload(engine: Engine, connection: Connection, wait: Wait) -> JsonObject:
    """The description of a wait: expected items, progress, and following states."""
    rule = engine.definition.waits[wait.state]
    progress = wait_rows.progress(connection, wait.wait_id)
    until = "" if wait.due_at is None else f", until {moment_text(wait.due_at)}"
    return {
        "type": "wait",
        "schemaVersion": 1,
        "waitId": wait.wait_id,
        "workflowId": wait.workflow_id,
        "workflow": wait.workflow,
        "state": wait.state,
        "status": wait.status.value,
        "expects": rule.to_json(),
        "needed": wait.needed,
        "total": wait.total,
        "progress": {status.value: number for status, number in progress.items()},
        "items": [_item(item) for item in wait_rows.items(connection, wait.wait_id, limit=SHOWN)],
        "openedAt": wait.opened_at,
        "dueAt": wait.due_at,
        "next": {"events": rule.then, "deadline": rule.on_timeout, "failure": rule.on_failure},
        "description": f"The workflow waits in {wait.state!r} for {', '.join(rule.roles) or 'its deadline'}{until}. "
        "This is not a question: an answer changes nothing.",
    }


def open_wait(engine: Engine, instance: Instance) -> tuple[JsonObject, ...]:
    """The description of an instance's open wait; empty if there is none."""
    if instance.state not in engine.definition.waits:
        return ()
    with engine.store.read() as connection:
        wait = wait_rows.open_of(connection, instance.workflow_id)
        return () if wait is None else (payload(engine, connection, wait),)


SHOWN = 100
"""The maximum number of listed items of a wait; all of them are counted."""


def _begin(engine: Engine, unit: Unit, rule: WaitRule) -> Wait:
    instance = unit.instance
    expected = rule.items(engine.definition.parse_data(instance.data))
    needed = rule.needed(len(expected))
    wait = Wait(
        wait_id=derive("wait", instance.workflow_id, instance.state, instance.revision),
        workflow_id=instance.workflow_id,
        tenant=instance.tenant,
        workflow=engine.definition.name,
        state=instance.state,
        revision=instance.revision,
        status=WaitStatus.OPEN,
        needed=needed,
        total=len(expected),
        settled=0,
        failed=0,
        resumed=1,  # no resume is needed; with 0, PostgreSQL would estimate as many unresumed rows as open ones
        opened_at=unit.now,
        due_at=rule.due(engine.view(instance, instance.proposer, unit), unit.now),
        ended_at=None,
    )
    correlation = rule.correlation(instance.workflow_id, instance.data)
    wait_rows.insert(unit.connection, wait, expected, dict.fromkeys(rule.roles, correlation))
    return wait


def _touched(
    connection: Connection, rule: WaitRule, wait: Wait, envelope: EventEnvelope, role: Role
) -> Iterable[WaitItem]:
    """The items that an event refers to and may still change."""
    part = rule.part_of(envelope)
    if rule.part is not None and part is None:
        return []
    standing = (ItemStatus.REQUESTED,) if role is Role.DELIVERED else rule.unsettled
    name = envelope.event_name if role is Role.SETTLES else None
    counted = rule.each is None and isinstance(rule.expect, int) and len(rule.events) == 1
    one = role is Role.SETTLES or counted
    return wait_rows.items(
        connection, wait.wait_id, part=part, event_name=name, standing=standing, limit=1 if one else 1_000
    )


def _apply(engine: Engine, unit: Unit, rule: WaitRule, event: Any) -> None:
    model = engine.definition.data_model
    if rule.apply is None or model is None:
        return
    data = engine.definition.parse_data(unit.instance.data)
    rule.apply(data, event)
    try:
        after = stored(model, data)
    except NotKeptError as error:
        raise RunError(
            f"apply= of the wait {rule.state!r} left data behind that {error}. Nothing of the event was kept; fix apply, then deliver it again.",
            code="wait_error",
        ) from error
    if after != unit.instance.data:
        unit.move(state=unit.instance.state, data=after, finished=unit.instance.finished)


def _end(
    engine: Engine,
    unit: Unit,
    wait: Wait,
    status: WaitStatus,
    target: str,
    *,
    by: Principal,
    because: JsonObject,
) -> None:
    timed_out = engine.definition.waits[wait.state].unsettled if status is WaitStatus.TIMED_OUT else ()
    if not wait_rows.end(unit.connection, wait.wait_id, status, now=unit.now, resumed=False, timed_out=timed_out):
        raise _raced(wait)
    before = unit.instance
    unit.move(state=target, data=before.data, finished=engine.definition.state(target).is_final)
    progress = wait_rows.progress(unit.connection, wait.wait_id)
    unit.record(
        AuditKind.TRANSITION,
        by,
        {
            **because,
            "waitId": wait.wait_id,
            "ended": status.value,
            "previousState": before.state,
            "currentState": target,
            "nextAllowedTools": [*engine.offered_for(unit, before.started_by)],
            "progress": {standing.value: number for standing, number in progress.items()},
            "data": unit.hide(before.data, engine.definition.sensitive),
        },
    )
    unit.flush()
    arrive(engine, unit)


def _raced(wait: Wait) -> ConflictError:
    return ConflictError(
        f"The wait {wait.wait_id} in {wait.state!r} was ended by someone else at the same moment. Nothing of this was kept; read the new state.",
        details={"waitId": wait.wait_id, "workflowId": wait.workflow_id},
    )


def _item(item: WaitItem) -> JsonObject:
    return {
        "event": item.event_name,
        "part": item.part,
        "status": item.status.value,
        "eventId": item.event_id,
        "changedAt": item.changed_at,
    }


__all__ = ["Counted", "arrive", "count", "expire", "open_wait", "payload", "take_kept", "why"]
