"""The benchmark's tasks through the compiled desk: a scripted model proposes, the customer confirms each write as shown.

The data is that of tau2-bench, repository sierra-research/tau2-bench, commit a2c0247 (MIT); `tests/workflows/retail/tau2.py` says
which files, and where they are looked for (`INTERLOCK_TAU2_DIR`). Without them these tests are skipped.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langgraph.types import Command
from sqlalchemy import Connection

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.store import AuditKind
from interlock.workflows.retail import BY_TAU2_NAME, open_shop
from interlock.workflows.retail.shop import Shop, load, metadata, record
from tests.workflows.retail import desk as desks
from tests.workflows.retail import tau2
from tests.workflows.retail.desk import Desk, Run

pytestmark = tau2.needs_tau2

ALL = os.environ.get("INTERLOCK_ATTACKS") == "all"
ON_POSTGRES = tau2.tasks() if ALL else tau2.tasks()[::12]
"""A share of the tasks, on a server whose database cannot be copied in milliseconds."""
IN_MEMORY = [
    (run, task)
    for first, run in enumerate(desks.RUNS)
    for task in (tau2.tasks() if ALL or run is Run else tau2.tasks()[first - 1 :: 2])
]
"""Every task by `invoke`; of `ainvoke` and `stream` each takes one half, or all with `INTERLOCK_ATTACKS=all`."""


def by_id(task: dict[str, Any]) -> str:
    return f"task-{task['id']}"


def owner_of(task: dict[str, Any]) -> str | None:
    """Whose request the task is."""
    for call in task["calls"]:
        arguments = call["arguments"]
        if "user_id" in arguments:
            return str(arguments["user_id"])
        if (order := tau2.shop_json()["orders"].get(arguments.get("order_id"))) is not None:
            return str(order["user_id"])
    return None


def replay(desk: Desk, task: dict[str, Any]) -> None:
    """Let the model propose the task's calls, identifying the customer first, and the customer confirm each write."""
    proposals = [desks.proposal(call["name"], call["arguments"]) for call in task["calls"]]
    wanted = [call["error"] is None for call in task["calls"]]
    owner = owner_of(task)
    if owner is not None and not task["calls"][0]["name"].startswith("find_user"):
        proposals, wanted = [desks.identification(owner), *proposals], [True, *wanted]
    writes = [call for call in task["calls"] if call["name"] in tau2.WRITES and call["error"] is None]

    with desks.counted() as reached:
        waiting = desk.says(*proposals, hears=json.dumps(task["request"]))
        for write in writes:
            ((interrupt_id, shown),) = waiting.items()
            contract = BY_TAU2_NAME[write["name"]]
            assert (shown["type"], shown["tool"]) == ("confirmation", contract.name)
            assert shown["arguments"] == contract.canonical_arguments(contract.parse(write["arguments"]))
            assert "changes" in shown["preview"], "the customer is shown what would change"
            waiting = desk.resumes(Command(resume={interrupt_id: {"type": "approve"}}))

    assert not waiting
    assert not desk.script.left
    assert sum(reached.values()) == len(writes)
    answers = [
        json.loads(message.content)
        for message in desk.graph.get_state(desk.config).values["messages"]
        if isinstance(message, ToolMessage)
    ]
    assert [answer["ok"] for answer in answers] == wanted
    assert all(answer["error"]["code"] in {"refused", "check_failed"} for answer in answers if not answer["ok"])
    kinds = [entry.kind for entry in desk.audit]
    assert kinds.count(AuditKind.DENIAL) + kinds.count(AuditKind.REFUSAL) == wanted.count(False)
    assert kinds.count(AuditKind.APPROVAL) == kinds.count(AuditKind.DECISION) == len(writes)
    assert desk.store.verify(desk.graph.instances.id_of(desk.config)) == []


def assert_changed_as_expected(connection: Connection, task: dict[str, Any]) -> None:
    """Every record that the benchmark changes is as the benchmark leaves it."""
    expected, defective = task["expected"], tau2.modified_item_ids(task)
    for kind in ("users", "orders"):
        for record_id, wanted in expected[kind].items():
            found = record(connection, kind, record_id)  # type: ignore[arg-type]
            assert found is not None
            assert tau2.comparable(found, defective=defective) == tau2.comparable(wanted, defective=defective)


def assert_as_expected(connection: Connection, task: dict[str, Any]) -> None:
    """Every record that differs is one that the benchmark changes, and is as the benchmark leaves it."""
    assert_changed_as_expected(connection, task)
    expected = task["expected"]
    assert desks.changed(connection) == {
        *(("user_id", user_id) for user_id in expected["users"]),
        *(("order_id", order_id) for order_id in expected["orders"]),
    }


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Desk]:
    """The desk as `compile()` makes it when it is given nothing."""
    desk = desks.make_desk()
    yield desk
    desk.store.close()


@pytest.mark.parametrize(
    ("run", "task"), [pytest.param(run, task, id=f"{run.name}-{by_id(task)}") for run, task in IN_MEMORY]
)
def test_a_task_leaves_the_shop_as_the_benchmark_does_in_memory(
    run: type[Run], task: dict[str, Any], in_memory: Desk
) -> None:
    desks.fill(in_memory.store.database)
    in_memory.begin()
    with contextlib.closing(run()) as in_memory.run:
        replay(in_memory, task)
    with in_memory.store.read() as connection:
        assert_as_expected(connection, task)


@pytest.mark.parametrize("task", tau2.tasks(), ids=by_id)
def test_a_task_leaves_the_shop_as_the_benchmark_does_in_a_file(task: dict[str, Any], tmp_path: Path) -> None:
    with SQLCheckpointer(desks.copy_to(tmp_path / "desk.db")) as checkpointer:
        desk = desks.make_desk(checkpointer)
        replay(desk, task)
        with desk.store.read() as connection:
            assert_as_expected(connection, task)


@pytest.fixture(scope="module")
def on_postgres(postgres_worker_database: str) -> Iterator[Desk]:
    with SQLCheckpointer(postgres_worker_database) as checkpointer:
        checkpointer.setup()
        open_shop(checkpointer.database, Shop.model_validate(tau2.shop_json()))
        yield desks.make_desk(checkpointer)


def refill(desk: Desk) -> None:
    """Put the shop on a server back as it was."""
    with desk.store.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        load(connection, tau2.shop_json())


@pytest.mark.parametrize("task", ON_POSTGRES, ids=by_id)
def test_a_task_leaves_the_shop_as_the_benchmark_does_on_postgresql(task: dict[str, Any], on_postgres: Desk) -> None:
    refill(on_postgres)
    on_postgres.begin()
    replay(on_postgres, task)
    with on_postgres.store.read() as connection:
        assert_changed_as_expected(connection, task)


def test_67_tasks_change_the_shop_and_7_do_not() -> None:
    changing = [task for task in tau2.tasks() if any(task["expected"].values())]
    assert (len(changing), len(tau2.tasks())) == (67, 74)
