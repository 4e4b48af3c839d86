"""A database of the last release, as its files have it, goes on with everything that was under way; and tables change by migrations alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import Principal
from interlock.checkpointing import Database, schema
from interlock.operations.deliveries import Deliveries
from tests.checkpointing.upgrading import frozen
from tests.checkpointing.upgrading.under_way import ANN, BOB, THREAD, Paid, bill, graph_on
from tests.support.fast_schema import real_migrations

ADDED: list[str] = []
"""Tables and columns that migrations after the release added, as `table` or `table.column`."""
CHANGED = "the tables differ from the frozen ones: add a migration (before the release, freeze again: python -m tests.checkpointing.upgrading.frozen)"


@pytest.fixture(autouse=True)
def _migrations_as_they_are() -> Iterator[None]:
    with real_migrations():
        yield


@pytest.fixture
def old(database_url: str) -> str:
    """A database of the release, on each database in turn."""
    frozen.restore(database_url)
    return database_url


@pytest.mark.parametrize("name", [*frozen.DIALECTS])
def test_the_tables_change_by_migrations_alone(name: str) -> None:
    made = (frozen.RELEASE / f"{name}.sql").read_text("utf-8")

    if schema.HEAD == "0001":
        assert frozen.ddl(frozen.DIALECTS[name]) == made, CHANGED
    else:
        assert ADDED, "name here what the migrations after the release add"


def test_the_first_migration_is_frozen() -> None:
    assert not any("tables import" in line for line in frozen.TARGET.read_text("utf-8").splitlines())
    if schema.HEAD == "0001":
        assert frozen.TARGET.read_text("utf-8") == frozen.formatted(frozen.migration()), CHANGED


def test_a_database_of_the_release_has_what_was_under_way_after_the_upgrade(old: str) -> None:
    with graph_on(old) as graph:
        database = graph.engine.store.database
        schema.setup(database)
        assert schema.version(database) == schema.HEAD
        instances = graph.instances

        # An open approval of a thread, and one beside it.
        (on_thread,) = instances.snapshot(THREAD).pending_approvals
        instances.decide(str(on_thread["approvalId"]), "approve", by=BOB)
        assert graph.invoke(None, THREAD, context=ANN)["state"] == "closed"
        assert instances.snapshot(THREAD).data == {"amount": 1}
        (asked,) = instances.snapshot("case-asked").pending_approvals
        instances.decide(str(asked["approvalId"]), "approve", by=BOB)
        assert instances.proposal(str(asked["approvalId"]), by=ANN).current_state == "closed"

        # A wait, which its event ends.
        assert instances.snapshot("case-waits").state == "billed"
        Deliveries(graph).deliver(Paid(order_id="W3"), workflow_id="case-waits", resume=False)
        assert instances.snapshot("case-waits").state == "closed"

        # An effect that ran, of which nobody knows what became: it is not repeated, and a person says.
        again = _resolved(graph)
        assert again["ok"] is True
        assert instances.snapshot("case-runs").state == "sent"

        # What was carried out counts once, whatever is proposed again under its key.
        repeated: Any = instances.propose("case-waits", bill, {"orderId": "W3"}, principal=ANN, key="k-waits")
        assert repeated.replayed
        for which in (THREAD, "case-asked", "case-waits", "case-runs"):
            assert graph.engine.store.verify(instances.id_of(which)) == []


def _resolved(graph: Any) -> Any:
    return graph.instances.resolve("case-runs", "happened", by=Principal("op"), output="W4")


def test_reading_the_files_needs_no_table_of_the_code(old: str) -> None:
    database = Database.open(old)
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM workflow_instances")) == 4
    database.close()
