"""The benchmark's tasks, replayed on the shop without any workflow around it.

The data is that of tau2-bench, repository sierra-research/tau2-bench, commit a2c0247 (MIT); `tests/workflows/retail/tau2.py` says
which files, and where they are looked for. Without them these tests are skipped.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from interlock.tools.errors import Refused
from interlock.workflows.retail.shop import read_order, read_shop, record
from tests.workflows.retail import tau2

pytestmark = tau2.needs_tau2

Write = tuple[str, dict[str, Any], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def untouched(tau2_engine: Any) -> tau2.Fingerprint:
    with tau2_engine.connect() as connection:
        return tau2.fingerprint(connection)


def by_id(task: dict[str, Any]) -> str:
    return f"task-{task['id']}"


def the_writes() -> Iterator[Any]:
    """Every writing call that succeeds, with the calls before it in its task."""
    for task in tau2.tasks():
        before: list[dict[str, Any]] = []
        for place, call in enumerate(task["calls"]):
            if call["name"] in tau2.WRITES and call["error"] is None:
                yield pytest.param((call["name"], call["arguments"], list(before)), id=f"task-{task['id']}-{place}")
            before.append(call)


def changes(session: Session) -> int:
    """How many rows were ever written on this connection."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection.total_changes


WRITES = list(the_writes())
ORDER_WRITES = [write for write in WRITES if "order_id" in write.values[0][1]]
ITEM_MODIFICATIONS = [write for write in WRITES if write.values[0][0] == "modify_pending_order_items"]


def owner_of(write: Write) -> str:
    _, arguments, _ = write
    owner: str = arguments.get("user_id") or tau2.shop_json()["orders"][arguments["order_id"]]["user_id"]
    return owner


def replay(session: Session, calls: list[dict[str, Any]]) -> None:
    for call in calls:
        if call["name"] in tau2.WRITES and call["error"] is None:
            tau2.call(session, call["name"], call["arguments"])


@pytest.mark.parametrize("task", tau2.tasks(), ids=by_id)
def test_a_task_leaves_the_shop_as_the_benchmark_does(
    task: dict[str, Any], tau2_session: Session, untouched: tau2.Fingerprint
) -> None:
    for call in task["calls"]:
        if call["error"] is None:
            tau2.call(tau2_session, call["name"], call["arguments"])
        else:
            stands = changes(tau2_session)
            with pytest.raises(Refused, match=call["error"].split(" to pay")[0]):
                tau2.call(tau2_session, call["name"], call["arguments"])
            assert changes(tau2_session) == stands

    expected = task["expected"]
    defective = tau2.modified_item_ids(task)
    for kind in ("users", "orders"):
        for record_id, wanted in expected[kind].items():
            found = record(tau2_session, kind, record_id)
            assert found is not None
            assert tau2.comparable(found, defective=defective) == tau2.comparable(wanted, defective=defective)
    after = tau2.fingerprint(tau2_session)
    assert {key for key in after.keys() | untouched.keys() if after.get(key) != untouched.get(key)} == {
        *(("user_id", user_id) for user_id in expected["users"]),
        *(("order_id", order_id) for order_id in expected["orders"]),
    }


def test_the_tasks_are_the_whole_benchmark() -> None:
    writes = [call for task in tau2.tasks() for call in task["calls"] if call["name"] in tau2.WRITES]
    assert len(tau2.tasks()) == 74
    assert sum(any(task["expected"].values()) for task in tau2.tasks()) == 67
    assert sum(call["error"] is None for call in writes) == 119


def test_the_shop_reads_back_exactly_as_it_was_loaded(tau2_session: Session) -> None:
    assert read_shop(tau2_session).as_record() == tau2.shop_json()


@pytest.mark.parametrize("write", WRITES)
def test_a_check_agrees_with_the_operation_and_writes_nothing(write: Write, tau2_session: Session) -> None:
    name, arguments, before = write
    replay(tau2_session, before)
    stands = changes(tau2_session)

    assert tau2.check(tau2_session, name, arguments, customer_id=owner_of(write)) is None
    assert changes(tau2_session) == stands
    tau2.call(tau2_session, name, arguments, customer_id=owner_of(write))
    if not name.endswith("_address"):
        assert tau2.check(tau2_session, name, arguments) is not None, "it can be done once"


@pytest.mark.parametrize("write", WRITES)
def test_nobody_changes_what_is_another_customers(write: Write, tau2_session: Session) -> None:
    name, arguments, _ = write
    stranger = next(user_id for user_id in tau2.shop_json()["users"] if user_id != owner_of(write))

    stands = changes(tau2_session)
    reason = tau2.check(tau2_session, name, arguments, customer_id=stranger)

    assert reason is not None
    assert "not found" in reason
    with pytest.raises(Refused, match="not found"):
        tau2.call(tau2_session, name, arguments, customer_id=stranger)
    assert changes(tau2_session) == stands


@pytest.mark.parametrize("write", ORDER_WRITES)
def test_an_order_in_another_status_is_left_alone(write: Write, tau2_session: Session) -> None:
    name, arguments, _ = write
    order = read_order(tau2_session, arguments["order_id"])
    assert order is not None
    for status in {"pending", "processed", "delivered", "cancelled", "pending (item modified)"} - {order.status.value}:
        tau2_session.execute(
            text("UPDATE retail_orders SET status = :status WHERE order_id = :id"),
            {"status": status, "id": order.order_id},
        )
        stands = changes(tau2_session)
        assert tau2.check(tau2_session, name, arguments) is not None
        with pytest.raises(Refused, match="can be"):
            tau2.call(tau2_session, name, arguments)
        assert changes(tau2_session) == stands


@pytest.mark.parametrize("write", ITEM_MODIFICATIONS)
def test_after_its_items_were_modified_nothing_more_is_done_to_an_order(write: Write, tau2_session: Session) -> None:
    name, arguments, before = write
    replay(tau2_session, before)
    tau2.call(tau2_session, name, arguments)
    order_id = arguments["order_id"]
    address = tau2.shop_json()["orders"][order_id]["address"]
    user = tau2.shop_json()["users"][owner_of(write)]

    reasons = [
        tau2.check(tau2_session, name, arguments),
        tau2.check(tau2_session, "modify_pending_order_address", {"order_id": order_id, **address}),
        tau2.check(tau2_session, "cancel_pending_order", {"order_id": order_id, "reason": "no longer needed"}),
        *(
            tau2.check(
                tau2_session, "modify_pending_order_payment", {"order_id": order_id, "payment_method_id": method}
            )
            for method in user["payment_methods"]
        ),
    ]

    assert all(reason is not None and "were modified" in reason for reason in reasons), json.dumps(reasons, indent=1)
