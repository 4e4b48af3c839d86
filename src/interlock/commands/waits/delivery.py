"""Receives events: one transaction writes an event into the inbox, finds the waits that expect it, and applies it to them."""

from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.engine import Connection

from ...checkpointing.store import Instance, Unit
from ...checkpointing.store import inbox as inbox_rows
from ...checkpointing.store import instances as instance_rows
from ...checkpointing.store import waits as wait_rows
from ...checkpointing.store.inbox import InboxEvent, InboxStatus
from ...checkpointing.store.waits import Wait, WaitStatus
from ...checkpointing.transactions.lost_commits import PAUSES
from ...events.envelopes import source_of, tenant_of
from ...rules.waits import WaitRule
from ...tools.canonical import canonical_json
from ...tools.errors import BusError, CommitUnknown, InputError, InvalidInput, StoreError, StoreUnavailable
from ...tools.events import EventEnvelope
from ...tools.storable import storable_text
from ..running.engine import Engine, logger
from .settling import Counted, arrive, count, expire, why


class DeliveryStatus(StrEnum):
    """What happened to a delivered event."""

    TAKEN = "taken"
    """A wait took it."""
    KEPT = "kept"
    """The event came before its wait began. It is kept, and the wait will take it."""
    LATE = "late"
    """The wait for it has ended, or has this event already."""
    UNMATCHED = "unmatched"
    """No workflow expects it. It is kept in the inbox, and can be delivered again."""
    FAILED = "failed"
    """Processing it raised an error, which the inbox keeps with it. It can be delivered again."""
    DUPLICATE = "duplicate"
    """The same event was delivered before; nothing was done."""


@dataclass(frozen=True)
class Delivery:
    """The result of delivering one event to one workflow."""

    event_id: str
    workflow: str
    status: DeliveryStatus
    note: str | None = None
    workflow_ids: tuple[str, ...] = ()
    """The IDs of the instances whose waits took the event."""
    ended: tuple[str, ...] = ()
    """The IDs of the waits that it ended."""


OVERLAP = 15 * 60 * 1_000_000
"""The overlap between two scans of the inbox, in microseconds: no receiving transaction is open for longer."""
LOOKS_APART = 60 * 1_000_000
"""The microseconds between two recorded scans."""
NOT_NOW = "its wait could not be moved when it came"
"""The note on a kept event whose wait is already open."""
NOT_TRUSTED = "it comes from a source that no wait for it trusts"


@dataclass
class _Found:
    """The result of a search for waits."""

    status: InboxStatus
    note: str | None = None
    workflow_ids: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    ended_of: list[str] = field(default_factory=list)
    """The instance of each of these waits."""


def take_in(engine: Engine, envelope: EventEnvelope, connection: Connection | None = None) -> Delivery:
    """Receive an event once; an error of its processing is stored with it in the inbox.

    Args:
        engine: The workflow.
        envelope: The event.
        connection: The caller's transaction; None for a separate one.

    Raises:
        StoreError: The database failed; nothing was stored, and the event has to be delivered again.
    """
    return _attempt(engine, envelope, None, connection)


def take_again(engine: Engine, event: InboxEvent, envelope: EventEnvelope) -> Delivery:
    """Search again for the waits of an event in the inbox that no wait has taken."""
    if event.status is InboxStatus.TAKEN:
        return Delivery(event.event_id, engine.definition.name, DeliveryStatus.DUPLICATE)
    return _attempt(engine, envelope, event)


def _attempt(
    engine: Engine, envelope: EventEnvelope, known: InboxEvent | None, given: Connection | None = None
) -> Delivery:
    try:
        if given is None:
            return _delivered(engine, envelope, known)
        with engine.store.joined(given) as connection, connection.begin_nested():
            return _deliver(engine, connection, envelope, known)
    except (StoreError, BusError):
        raise
    except InputError as error:
        if known is None:
            raise
        note = error.message
    except Exception as error:
        logger.exception("taking in the event %s (%s) failed", envelope.event_id, envelope.event_name)
        note = why(error)
    with engine.store.joined(given) as connection:
        now = engine.store.now(connection)
        event = known or _event(engine, envelope, now)
        if known is None and not inbox_rows.insert(connection, event):
            return Delivery(envelope.event_id, engine.definition.name, DeliveryStatus.DUPLICATE)
        note = storable_text(note)
        inbox_rows.settle(connection, event, InboxStatus.FAILED, note=note, now=now, correlation=None)
    return Delivery(envelope.event_id, engine.definition.name, DeliveryStatus.FAILED, note)


def _delivered(engine: Engine, envelope: EventEnvelope, known: InboxEvent | None) -> Delivery:
    """Receive an event. After a lost answer to the COMMIT it is retried, because the inbox shows whether it was stored."""
    made: list[Delivery] = []
    lost: CommitUnknown | None = None
    for pause in PAUSES:
        engine.store.wait_until(lambda: False, pause)
        try:
            with engine.store.write() as connection:
                if lost is not None and known is not None and _was_settled(connection, known):
                    return made[0]
                found = _deliver(engine, connection, envelope, known)
                made.append(found)
        except CommitUnknown as error:
            lost = lost or error
        except StoreUnavailable:
            if lost is None:
                raise
        else:
            # If the first transaction committed, the retry sees its row as a duplicate.
            return made[0] if lost is not None and found.status is DeliveryStatus.DUPLICATE else found
    assert lost is not None  # noqa: S101 -- nothing else goes round again
    raise lost


def _was_settled(connection: Connection, known: InboxEvent) -> bool:
    """Whether an inbox event was processed since it was read."""
    same = (known.source, known.position)
    return any(
        (one.source, one.position) == same and (one.status, one.settled_at) != (known.status, known.settled_at)
        for one in inbox_rows.find(connection, known.event_id, consumer=known.consumer)
    )


def _deliver(engine: Engine, connection: Connection, envelope: EventEnvelope, known: InboxEvent | None) -> Delivery:
    now = engine.store.now(connection)
    name = engine.definition.name
    event = known or _event(engine, envelope, now)
    # Inserted first, so that the second of two deliveries of one event waits here until the first has committed.
    if known is None and not inbox_rows.insert(connection, event):
        return Delivery(envelope.event_id, name, DeliveryStatus.DUPLICATE)
    rules = {rule.state: rule for rule in engine.definition.waits.values() if envelope.event_name in rule.roles}
    correlation = None
    if not rules:
        found = _Found(InboxStatus.UNMATCHED, f"no wait of the workflow {name} expects {envelope.event_name}")
    else:
        rule = next(iter(rules.values()))
        correlation = rule.correlation_of(envelope)
        found = _match(engine, connection, envelope, rules, correlation)
    inbox_rows.settle(connection, event, found.status, note=found.note, now=now, correlation=correlation)
    for workflow_id, wait_id in zip(found.ended_of, found.ended, strict=True):
        engine.store.note_due(connection, workflow_id, f"wait/{wait_id}")
    return Delivery(
        envelope.event_id,
        name,
        DeliveryStatus(found.status.value),
        found.note,
        tuple(found.workflow_ids),
        tuple(found.ended),
    )


def _match(
    engine: Engine,
    connection: Connection,
    envelope: EventEnvelope,
    rules: dict[str, WaitRule],
    correlation: str | None,
) -> _Found:
    rule = next(iter(rules.values()))
    try:
        rule.read(envelope)
    except InvalidInput as error:
        return _Found(InboxStatus.FAILED, error.message)
    if correlation is None:
        fields = ", ".join(field for field, _ in rule.key)
        return _Found(InboxStatus.UNMATCHED, f"it lacks {fields}, by which {envelope.event_name} finds its workflow")
    if not rule.key:
        # Locked before any other check, so that no wait can start meanwhile.
        unit = engine.store.unit(connection, envelope.workflow_id)
        if unit is None or unit.instance.workflow != engine.definition.name:
            return _Found(InboxStatus.UNMATCHED, f"there is no instance {envelope.workflow_id!r} of this workflow")
        if unit.instance.tenant != tenant_of(envelope):
            return _Found(InboxStatus.UNMATCHED, "its instance belongs to another tenant")
    known = [
        wait
        for wait in wait_rows.expecting(
            connection, workflow=engine.definition.name, correlation=correlation, event_name=envelope.event_name
        )
        if wait.tenant == tenant_of(envelope)
    ]
    if not any(one.trusts(source_of(envelope)) for one in rules.values()):
        return _Found(InboxStatus.UNMATCHED, NOT_TRUSTED)
    found = _Found(InboxStatus.LATE, "what it is about was settled already")
    looked = False
    # In a fixed order, so that two events never deadlock on instances.
    for wait in sorted((wait for wait in known if wait.status is WaitStatus.OPEN), key=lambda wait: wait.workflow_id):
        counted = _count(engine, connection, wait, rules, envelope)
        if counted is None:
            continue
        looked = True
        if counted.taken:
            found.status, found.note = InboxStatus.TAKEN, None
            found.workflow_ids.append(wait.workflow_id)
            if counted.ended:
                found.ended.append(wait.wait_id)
                found.ended_of.append(wait.workflow_id)
    if looked:
        return found
    return _unmatched(engine, connection, envelope, rules, known)


def _count(
    engine: Engine, connection: Connection, wait: Wait, rules: dict[str, WaitRule], envelope: EventEnvelope
) -> Counted | None:
    """Count the event for one wait; None if the wait cannot take it any more, or not now."""
    unit = engine.store.unit(connection, wait.workflow_id)
    fresh = wait_rows.load(connection, wait.wait_id)
    rule = rules.get(wait.state)
    if unit is None or fresh is None or rule is None or fresh.status is not WaitStatus.OPEN:
        return None
    if unit.instance.running_key is not None or unit.instance.state != fresh.state:
        return None
    if expire(engine, unit, fresh) or not rule.trusts(source_of(envelope)):
        return None
    return count(engine, unit, rule, fresh, envelope)


def _unmatched(
    engine: Engine,
    connection: Connection,
    envelope: EventEnvelope,
    rules: dict[str, WaitRule],
    known: list[Wait],
) -> _Found:
    if known:
        last = wait_rows.load(connection, known[0].wait_id) or known[0]
        if last.status in {WaitStatus.TIMED_OUT, WaitStatus.FAILED, WaitStatus.LEFT}:
            return _Found(InboxStatus.LATE, f"the wait in {last.state!r} has ended: {last.status.value}")
        if last.status is WaitStatus.OPEN:
            return _Found(InboxStatus.KEPT, NOT_NOW)
        workflow_id = last.workflow_id
    elif next(iter(rules.values())).key:
        return _Found(InboxStatus.KEPT)
    else:
        workflow_id = envelope.workflow_id
    instance = instance_rows.load(connection, workflow_id)
    if instance is None or instance.finished or not _may_still_come(engine, instance, rules):
        return _Found(InboxStatus.LATE, "the workflow does not come to a wait for it any more")
    return _Found(InboxStatus.KEPT)


def _may_still_come(engine: Engine, instance: Instance, rules: dict[str, WaitRule]) -> bool:
    if instance.state not in engine.definition.states:
        return True
    ahead = {instance.state} | engine.definition.reachable(instance.state)
    return not ahead.isdisjoint(rules)


@dataclass(frozen=True)
class Settled:
    """The result of settling waits."""

    ended: list[Wait] = field(default_factory=list)
    """The ended waits."""
    failed: list[tuple[Wait, Exception]] = field(default_factory=list)
    """The waits that could not be settled, with their errors. They stay unchanged, and are retried."""


def settle_due(engine: Engine, *, limit: int = 1_000) -> Settled:
    """End every overdue wait, each in its own transaction, and give open waits the events that they missed.

    Args:
        engine: The workflow.
        limit: The number per query; a wait that cannot be settled does not block later ones.

    Raises:
        StoreUnavailable: The database cannot be reached.
    """
    engine.store.refuse_held()
    done, seen, name = Settled(), set[str](), engine.definition.name
    with engine.store.read() as connection:
        began, before = engine.store.now(connection), wait_rows.looked_until(connection, name)
    while True:
        with engine.store.read() as connection:
            now, most = engine.store.now(connection), limit + len(seen)
            due = wait_rows.due(connection, workflow=name, now=now, limit=most)
            missed = wait_rows.missed(connection, workflow=name, since=before - OVERLAP, limit=most)
        found = {wait.wait_id: wait for wait in [*due, *missed] if wait.wait_id not in seen}
        if not found:
            if began - before > LOOKS_APART:
                with engine.store.write() as connection:
                    wait_rows.note_look(connection, name, began)
            return done
        seen.update(found)
        for wait in found.values():
            _settle(engine, wait, done)


def _settle(engine: Engine, wait: Wait, done: Settled) -> None:
    try:
        after = settle(engine, wait)
    except StoreUnavailable:
        raise
    except Exception as error:
        logger.exception("the wait %s of %s could not be settled", wait.wait_id, wait.workflow_id)
        done.failed.append((wait, error))
        return
    if after is not None:
        done.ended.append(after)


def settle(engine: Engine, wait: Wait) -> Wait | None:
    """End one wait if it is due, or give it the events that it missed; None if it continues, or had ended."""
    with engine.store.write() as connection:
        unit: Unit | None = engine.store.unit(connection, wait.workflow_id)
        fresh = wait_rows.load(connection, wait.wait_id)
        if unit is None or fresh is None or fresh.status is not WaitStatus.OPEN:
            return None
        if not expire(engine, unit, fresh):
            arrive(engine, unit)
        after = wait_rows.load(connection, wait.wait_id)
        if after is not None and after.status is not WaitStatus.OPEN:
            engine.store.note_due(connection, wait.workflow_id, f"wait/{wait.wait_id}")
    return after if after is not None and after.status is not WaitStatus.OPEN else None


def _event(engine: Engine, envelope: EventEnvelope, now: int) -> InboxEvent:
    return InboxEvent(
        position=0,
        consumer=engine.definition.name,
        source=source_of(envelope),
        event_id=envelope.event_id,
        tenant=tenant_of(envelope),
        event_name=envelope.event_name,
        workflow_id=envelope.workflow_id or None,
        correlation=None,
        trace_id=envelope.trace_id,
        envelope=canonical_json(envelope.to_json()),
        status=InboxStatus.UNMATCHED,
        note=None,
        repeats=0,
        received_at=now,
        settled_at=None,
    )


__all__ = ["Delivery", "DeliveryStatus", "Settled", "settle", "settle_due", "take_again", "take_in"]
