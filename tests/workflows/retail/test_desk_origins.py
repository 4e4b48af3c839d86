"""The desk with `TrustedOrigins`: every task comes out as the benchmark has it, and what it asks a supervisor beside the customer is counted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Approval, Principal
from interlock.checkpointing import SQLCheckpointer
from interlock.rules.origins import TrustedOrigins
from interlock.rules.origins.policy import DEFAULT
from interlock.workflows.retail import OWN_RECORDS, open_shop
from interlock.workflows.retail.shop import Shop
from tests.workflows.retail import desk as desks
from tests.workflows.retail import tau2
from tests.workflows.retail.desk import Desk
from tests.workflows.retail.test_desk_replay import (
    assert_as_expected,
    assert_changed_as_expected,
    by_id,
    owner_of,
    refill,
)

pytestmark = tau2.needs_tau2

SUPERVISOR = Principal("sue", roles=frozenset({"supervisor"}))
STRANGE = {"address1": "13 Evil Street", "city": "Nowhere", "state": "NV", "country": "USA", "zip": "00000"}


def asking(accepts: Iterable[str]) -> TrustedOrigins:
    return TrustedOrigins(accepts=accepts, otherwise=Approval(role="supervisor"))


def as_it_stands(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The benchmark's calls, some of which change an order that nobody looked up."""
    return [*task["calls"]]


def looked_up(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The same by a model that looks up whatever it changes: the profile, the order, and the products that take others' places."""
    products = {item: one["product_id"] for one in tau2.shop_json()["products"].values() for item in one["variants"]}
    calls: list[dict[str, Any]] = []
    for call in task["calls"]:
        given = call["arguments"]
        reads = [("get_user_details", {"user_id": owner_of(task)})]
        reads += [("get_order_details", {"order_id": given["order_id"]})] if "order_id" in given else []
        reads += [("get_product_details", {"product_id": products[item]}) for item in given.get("new_item_ids", ())]
        calls += [{"name": name, "arguments": more} for name, more in reads if call["name"] in tau2.WRITES]
        calls.append(call)
    return calls


def questions(desk: Desk, task: dict[str, Any], calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let the model make the calls, the customer and then the supervisor agree to everything; what the supervisor was asked."""
    desk.begin()
    proposals = [desks.proposal(call["name"], call["arguments"]) for call in calls]
    owner = owner_of(task)
    if owner is not None and not task["calls"][0]["name"].startswith("find_user"):
        proposals = [desks.identification(owner), *proposals]
    waiting, asked = desk.says(*proposals, hears=json.dumps(task["request"])), []
    while waiting:
        ((interrupt_id, shown),) = waiting.items()
        if shown["type"] == "confirmation":
            waiting = desk.resumes(Command(resume={interrupt_id: {"type": "approve"}}))
        else:
            asked.append(shown)
            desk.graph.instances.decide(shown["approvalId"], "approve", by=SUPERVISOR)
            waiting = desk.resumes()
    return asked


ALL = os.environ.get("INTERLOCK_ATTACKS") == "all" or bool(os.environ.get("INTERLOCK_FULL"))
TASKS = tau2.tasks() if ALL else tau2.tasks()[::6]
"""All of them with `make attacks` and `make test-full`."""
ASKED = {
    ("the default", looked_up): (DEFAULT, (109, 64) if ALL else (24, 12)),
    ("the default", as_it_stands): (DEFAULT, (111, 64) if ALL else (24, 12)),
    ("the desk's own records", as_it_stands): (OWN_RECORDS, (58, 33) if ALL else (11, 5)),
}
"""By what is accepted, and by whether the model looks up what it changes: how many questions more there are, and in how many tasks."""


def asked_in_tasks(
    accepts: Iterable[str], calls_of: Callable[[dict[str, Any]], list[dict[str, Any]]]
) -> tuple[int, int]:
    """How many questions more there are, and in how many tasks; each comes out as the benchmark has it."""
    desk = desks.make_desk(origins=asking(accepts))
    found = []
    for task in TASKS:
        desks.fill(desk.store.database)
        found.append(len(questions(desk, task, calls_of(task))))
        with desk.store.read() as connection:
            assert_as_expected(connection, task)
    desk.store.close()
    return sum(found), sum(map(bool, found))


def test_a_desk_that_looks_up_what_it_changes_asks_6_questions_more_in_74_tasks() -> None:
    assert asked_in_tasks(OWN_RECORDS, looked_up) == ((6, 6) if ALL else (2, 2))


@pytest.mark.parametrize("name", ASKED, ids=lambda name: f"{name[0]}-{name[1].__name__}")
def test_other_rules_and_other_models_ask_more(name: Any) -> None:
    accepts, expected = ASKED[name]

    assert asked_in_tasks(accepts, name[1]) == expected


@pytest.fixture(scope="module")
def on_postgres(postgres_worker_database: str) -> Iterator[Desk]:
    with SQLCheckpointer(postgres_worker_database) as checkpointer:
        checkpointer.setup()
        open_shop(checkpointer.database, Shop.model_validate(tau2.shop_json()))
        yield desks.make_desk(checkpointer, origins=asking(OWN_RECORDS))


@pytest.mark.parametrize("task", tau2.tasks()[::25], ids=by_id)
def test_on_postgresql_the_same(task: dict[str, Any], on_postgres: Desk) -> None:
    refill(on_postgres)

    assert len(questions(on_postgres, task, looked_up(task))) <= 1
    with on_postgres.store.read() as connection:
        assert_changed_as_expected(connection, task)


@pytest.mark.parametrize("accepts", [OWN_RECORDS, DEFAULT], ids=len)
def test_an_address_that_nobody_named_is_asked_about_and_one_of_the_shops_is_not(accepts: Any) -> None:
    desk = desks.make_desk(origins=asking(accepts))
    desks.fill(desk.store.database)
    order_id, order = next((key, one) for key, one in tau2.shop_json()["orders"].items() if one["status"] == "pending")
    named = f"I am {tau2.shop_json()['users'][order['user_id']]['email']}. Send order {order_id} home."
    reads = [desks.identification(order["user_id"]), desks.proposal("get_order_details", {"order_id": order_id})]
    task = {"request": named, "calls": [{"name": "find_user_id_by_email", "arguments": {}}]}

    def asked(address: dict[str, Any]) -> list[str]:
        change = desks.proposal("modify_pending_order_address", {"order_id": order_id, "address2": "", **address})
        desk.begin()
        waiting = desk.says(*reads, change, hears=task["request"])
        return [reason for shown in waiting.values() for reason in shown["reasons"]]

    assert asked(order["address"]) == []
    (reason,) = asked(STRANGE)
    assert all(f"the argument {part} comes from no trusted source" in reason for part in STRANGE)
