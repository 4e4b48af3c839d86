"""The benchmark's tasks through the door alone: a plain program proposes, and the customer confirms each write as shown.

The data is that of tau2-bench (`tests/workflows/retail/tau2.py`). A share of the tasks runs in CI, all of them with `INTERLOCK_FULL=1`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from interlock import ErrorResult
from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.store import AuditKind
from interlock.workflows.retail import open_shop
from interlock.workflows.retail.shop import Shop
from tests.workflows.retail import desk as desks
from tests.workflows.retail import tau2
from tests.workflows.retail.desk import Desk
from tests.workflows.retail.door import Program
from tests.workflows.retail.test_desk_replay import (
    assert_as_expected,
    assert_changed_as_expected,
    by_id,
    owner_of,
    refill,
)

pytestmark = tau2.needs_tau2

FULL = os.environ.get("INTERLOCK_FULL") == "1"
IN_MEMORY = tau2.tasks() if FULL else tau2.tasks()[::2]
ON_POSTGRES = tau2.tasks() if FULL else tau2.tasks()[1::25]


def replay(desk: Desk, task: dict[str, Any]) -> None:
    """Let the program make the task's calls, identifying the customer first, and the customer confirm each write."""
    program = Program.begin(desk)
    wanted = [call["error"] is None for call in task["calls"]]
    owner = owner_of(task)
    writes = [call for call in task["calls"] if call["name"] in tau2.WRITES and call["error"] is None]
    with desks.counted() as reached:
        if owner is not None and not task["calls"][0]["name"].startswith("find_user"):
            program.identify(owner)
            wanted = [True, *wanted]
        for call in task["calls"]:
            program.carry_out(call["name"], call["arguments"])

    assert [answer.ok for answer in program.answers] == wanted
    assert all(
        answer.error.code in {"refused", "check_failed"}
        for answer in program.answers
        if isinstance(answer, ErrorResult)
    )
    assert sum(reached.values()) == len(writes)
    kinds = [entry.kind for entry in desk.audit]
    assert kinds.count(AuditKind.DENIAL) + kinds.count(AuditKind.REFUSAL) == wanted.count(False)
    assert kinds.count(AuditKind.APPROVAL) == kinds.count(AuditKind.DECISION) == len(writes)
    assert desk.store.verify(program.case) == []


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Desk]:
    desk = desks.make_desk()
    yield desk
    desk.store.close()


@pytest.mark.parametrize("task", IN_MEMORY, ids=by_id)
def test_a_task_leaves_the_shop_as_the_benchmark_does(task: dict[str, Any], in_memory: Desk) -> None:
    desks.fill(in_memory.store.database)
    replay(in_memory, task)
    with in_memory.store.read() as connection:
        assert_as_expected(connection, task)


@pytest.fixture(scope="module")
def on_postgres(postgres_worker_database: str) -> Iterator[Desk]:
    with SQLCheckpointer(postgres_worker_database) as checkpointer:
        checkpointer.setup()
        open_shop(checkpointer.database, Shop.model_validate(tau2.shop_json()))
        yield desks.make_desk(checkpointer)


@pytest.mark.parametrize("task", ON_POSTGRES, ids=by_id)
def test_a_task_leaves_the_shop_as_the_benchmark_does_on_postgresql(task: dict[str, Any], on_postgres: Desk) -> None:
    refill(on_postgres)
    replay(on_postgres, task)
    with on_postgres.store.read() as connection:
        assert_changed_as_expected(connection, task)
