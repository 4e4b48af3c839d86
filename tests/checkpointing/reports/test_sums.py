"""Outcomes that were added up are the same as read from every row, whatever is asked, decided and erased in between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from interlock import Approval, Principal, SQLCheckpointer, Workflow, command
from interlock.checkpointing import WorkflowStore, erase_instances
from interlock.checkpointing.encryption import Encryption
from interlock.checkpointing.reports import learning, sums
from interlock.checkpointing.reports.learning import GROUPS, Over, Row
from interlock.checkpointing.store.approvals import ApprovalStatus
from interlock.checkpointing.store.sql.json_text import write_json
from interlock.checkpointing.tables.outcomes import outcomes
from interlock.checkpointing.tables.workflow import approvals, decisions
from interlock.checkpointing.vault import placed
from interlock.testing import Clock, ScriptedChatModel, call

SECOND = 1_000_000
HOUR = sums.SETTLES_MICROSECONDS
BY = [("tool", "state", "approver"), ("tool",), ("approver",), ("state", "tool"), ()]
SETTLED = {
    ApprovalStatus.USED: "approve", ApprovalStatus.REJECTED: "reject", ApprovalStatus.RESPONDED: "respond",
    ApprovalStatus.EXPIRED: None, ApprovalStatus.WITHDRAWN: None, ApprovalStatus.VOID: None,
}  # fmt: skip


@pytest.fixture
def store(set_up_database_url: str) -> Iterator[WorkflowStore]:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        yield WorkflowStore(saver.database)


class Desk:
    """Requests of two tenants, asked and settled at random."""

    def __init__(self, connection: Connection, seed: int) -> None:
        self.connection, self.draw, self.now, self.count = connection, random.Random(seed), HOUR, 0
        self.open: list[tuple[str, int]] = []

    def ask(self) -> None:
        self.count += 1
        self.now += self.draw.randrange(1, 900) * SECOND
        name, tenant = f"appr_{self.count}", self.draw.choice(["a", "b"])
        tool, state = self.draw.choice(["x", "y"]), self.draw.choice(["s", "t"])
        by = write_json(Principal("ada", tenant=tenant).to_json())
        row = {
            "approval_id": name, "workflow_id": f"wf_{self.count}", "tenant": tenant, "idempotency_key": name, "workflow": "desk", "tool": tool,
            "tool_version": 1, "arguments": '{"n": 1, "m": 2}', "digest": "d", "state": state, "revision": 1, "shown": "{}",
            "rule": write_json(Approval(role="boss").to_json()), "status": "requested", "requester": by, "message_key": "k", "answers": 0,
            "requested_at": self.now,
        }  # fmt: skip
        self.connection.execute(sa.insert(approvals).values(placed(approvals, row)))
        self.open.append((name, self.now))

    def settle(self) -> None:
        if not self.open:
            return
        name, requested_at = self.open.pop(self.draw.randrange(len(self.open)))
        self.now += self.draw.randrange(1, 900) * SECOND
        status = self.draw.choice([*SETTLED])
        changes: dict[str, Any] = {"approval_id": name, "status": status.value, "settled_at": self.now}
        if status is ApprovalStatus.USED and self.draw.random() < 0.5:
            changes["edited_arguments"] = '{"n": 3, "m": 2}'
        values = placed(approvals, changes) if "edited_arguments" in changes else changes
        here = approvals.c.approval_id == name
        self.connection.execute(sa.update(approvals).where(here).values(values))
        if (kind := SETTLED[status]) is None:
            return
        people = (
            ["sue", "tom"] if kind == "approve" and self.draw.random() < 0.3 else [self.draw.choice(["sue", "tom"])]
        )
        for number, person in enumerate(people, 1):
            message = self.draw.choice([None, "too much", "no"])
            # Full seconds of three digits, which the sums keep as they are.
            took = min(self.now - requested_at, 999 * SECOND)
            row = {
                "approval_id": name,
                "number": number,
                "kind": kind,
                "principal_id": person,
                "principal": "{}",
                "arguments": None,
            }
            row |= {"message": message, "decided_at": requested_at + took}
            self.connection.execute(sa.insert(decisions).values(placed(decisions, row)))


def rows_alone(connection: Connection, over: Over, by: Any) -> list[Row]:
    """As before there were sums: whoever says since when reads rows."""
    return learning.outcomes(connection, replace(over, since=0), by=by)


@pytest.mark.parametrize("seed", range(3))
def test_sums_and_what_came_since_are_what_the_rows_say(store: WorkflowStore, seed: int) -> None:
    with store.database.write() as connection:
        desk = Desk(connection, seed)
        for step in range(120):
            desk.settle() if desk.draw.random() < 0.45 else desk.ask()
            if step % 20 == 10:
                for tenant in ("a", None):
                    while learning.is_worth_adding_up(connection, Over(tenant, "desk"), by=(), now=desk.now):
                        learning.add_up(connection, Over(tenant, "desk"), now=desk.now)
            if step % 12 == 11:
                for tenant in ("a", "b", None):
                    for by in BY:
                        for over in (Over(tenant, "desk"), Over(tenant, "desk", tools=["x"])):
                            assert learning.outcomes(connection, over, by=by) == rows_alone(connection, over, by)
        assert sums.load(connection, "desk", "b") is None  # nobody added them up
        kept = sums.load(connection, "desk", None)
        assert kept is not None
        assert kept.last
        over = Over(None, "desk")
        assert learning.outcomes(connection, over, by=GROUPS) == rows_alone(connection, over, GROUPS)


def test_what_is_younger_than_an_hour_is_not_added_up(store: WorkflowStore) -> None:
    with store.database.write() as connection:
        desk = Desk(connection, 1)
        desk.ask()
        learning.add_up(connection, Over("a", "desk"), now=desk.now + HOUR - 1)
        kept = sums.load(connection, "desk", "a") or sums.Sums()
        assert not +kept.requested
        assert kept.up_to < desk.now


def test_sums_go_with_any_request_that_may_be_in_them_and_are_encrypted(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url, encryption=Encryption({"k": b"0" * 32})) as saver:
        saver.setup()
        graph, clock = asked_often(saver)
        assert graph.instances.outcomes(by=["tool"])[0]["reasons"] == {"planted": 3}
        clock.advance(hours=24)
        assert graph.instances.outcomes(by=["tool"])[0]["proposals"] == 3  # adds up
        with saver.database.read() as connection:
            (stored,) = connection.execute(sa.select(sa.type_coerce(outcomes.c.sums, sa.Text()))).scalars()
        assert "planted" not in stored
        again = graph.instances.outcomes(by=["tool"])[0]
        assert (again["proposals"], again["rejected"], again["reasons"]) == (3, 3, {"planted": 3})

        erase_instances(WorkflowStore(saver.database), "t1")

        with saver.database.read() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(outcomes)).scalar_one() == 0
        assert graph.instances.outcomes(by=["tool"])[0]["proposals"] == 2


def asked_often(saver: SQLCheckpointer) -> Any:
    """Three requests that were rejected, with a reason."""

    @command("order.close", effect="transactional")
    def close_order() -> bool:
        """Close the order."""
        return True

    clock = Clock()
    flow = Workflow("desk", model=ScriptedChatModel(forever=call("order.close")))
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", close_order, "closed", approval=Approval(role="boss"))
    graph = flow.compile(saver, workflow_store=WorkflowStore(saver.database, clock=clock))
    for number in range(3):
        config: Any = {"configurable": {"thread_id": f"t{number}"}, "recursion_limit": 6}
        graph.invoke({"messages": [("user", "close")]}, config, context=Principal("ada"))
    for asked in graph.engine.store.approvals().approvals:
        graph.instances.decide(
            asked.approval_id, {"type": "reject", "message": "planted"}, by=Principal("sue", roles=["boss"])
        )
    return graph, clock


@pytest.fixture(autouse=True)
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "WORTH", 1)
    monkeypatch.setattr(sums, "AT_ONCE", 2)
