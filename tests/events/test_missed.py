"""Events that a wait which is open missed: a tick finds them, however long ago, and leaves alone what waits in the inbox for good."""

from __future__ import annotations

import sqlalchemy as sa

from interlock.checkpointing.store import waits as wait_rows
from interlock.checkpointing.store.inbox import InboxStatus
from interlock.checkpointing.tables.workflow import inbox, instances
from interlock.commands.waits.delivery import NOT_NOW
from tests.events.support import Answered, Desk, envelope, waiting_flow


def held(desk: Desk, key: str | None) -> None:
    """Let an effect be under way on every instance, or none any more."""
    with desk.store.write() as connection:
        connection.execute(sa.update(instances).values(running_key=key))


def test_an_event_that_came_while_its_wait_could_not_be_moved_is_found_days_later() -> None:
    desk = Desk(waiting_flow(within="90d"))
    workflow_id = desk.ask()
    held(desk, "an effect")
    delivery = desk.deliveries.deliver(envelope(Answered(), workflow_id))
    assert (delivery.status, delivery.note) == ("kept", NOT_NOW)

    for _ in range(3):
        desk.clock.forward(days=1)  # type: ignore[union-attr]
        desk.deliveries.tick()
    assert desk.state(workflow_id) == "asked"
    held(desk, None)
    desk.deliveries.tick()

    assert desk.state(workflow_id) == "answered"


def test_a_race_is_found_by_the_next_look_and_what_is_older_than_the_last_one_is_not_read_again() -> None:
    desk = Desk(waiting_flow(within="90d"))
    desk.deliveries.tick()  # the last look
    desk.clock.forward(hours=2)  # type: ignore[union-attr]
    workflow_id = desk.ask()
    held(desk, "an effect")
    desk.deliveries.deliver(envelope(Answered(), workflow_id))
    held(desk, None)
    with desk.store.write() as connection:  # as two leave it that did not see each other
        connection.execute(sa.update(inbox).values(note=None))

    def missed(since: int) -> int:
        with desk.store.read() as connection:
            return len(wait_rows.missed(connection, workflow="probe", since=since, limit=10))

    now = desk.clock.now  # type: ignore[union-attr]
    assert (missed(now - 1), missed(now)) == (1, 0)
    desk.deliveries.tick()
    assert desk.state(workflow_id) == "answered"
    with desk.store.read() as connection:
        assert wait_rows.looked_until(connection, "probe") == now
        assert connection.execute(sa.select(inbox.c.status)).scalar_one() == InboxStatus.TAKEN.value
