"""Attacks on the desk that take processes: killed in mid-write, and two of them that answer one question at once.

The shop has to be as after one write, the ledger and the trail have to hold one, and whoever came second is told so. Each is
made on a share of the benchmark's writes that the seed chooses, or on all 119 with `INTERLOCK_ATTACKS=all`.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from langgraph.types import Command
from sqlalchemy.orm import Session

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.store import AuditKind
from interlock.checkpointing.tables.workflow import ledger, outbox
from interlock.testing import Child, FaultPoint
from interlock.tools.errors import InterlockError
from interlock.workflows.retail import open_shop
from interlock.workflows.retail.shop import Shop
from tests.support.servers import temporary_postgres_database
from tests.workflows.retail import attacked, tau2
from tests.workflows.retail import desk as desks
from tests.workflows.retail.attacked import APPROVE, SEED, Write
from tests.workflows.retail.desk import Desk
from tests.workflows.retail.processes import PRELOAD, READY, answer, opened

pytestmark = tau2.needs_tau2

ALL = os.environ.get("INTERLOCK_ATTACKS") == "all"
POINTS = [
    (FaultPoint.AFTER_EFFECT, 1),
    (FaultPoint.AFTER_LEDGER, 1),
    (FaultPoint.BEFORE_COMMIT, 2),  # the first commit is the decision's
    (FaultPoint.AFTER_COMMIT, 1),
    (FaultPoint.AFTER_COMMIT, 2),
    (FaultPoint.BEFORE_CHECKPOINT, 1),
    (FaultPoint.BEFORE_CHECKPOINT, 2),
    (FaultPoint.AFTER_CHECKPOINT, 2),
    (FaultPoint.AFTER_NODE, 2),
]


def some(share: int, name: str) -> list[Write]:
    every = attacked.writes()
    return every if ALL else random.Random(f"{SEED}/{name}").sample(every, share) if every else []


@dataclass
class Asked:
    """A write that waits for the customer's answer."""

    write: Write
    url: str
    thread: str
    interrupt_id: str
    after: tau2.Snapshot
    """The shop as it is to be when the write was carried out once; one write sets an address to what it is already."""
    before: tau2.Snapshot

    def opened(self) -> AbstractContextManager[Desk]:
        return opened(self.url, self.thread)

    def shop(self) -> tau2.Snapshot:
        with self.opened() as desk:
            return desk.shop()


def asked(url: str, write: Write) -> Asked:
    """Let a write be asked about on a database that holds the benchmark's shop."""
    with SQLCheckpointer(url) as saver:
        with saver.database.write() as connection, Session(connection) as session:
            for call in write.before:
                if call["name"] in tau2.WRITES:
                    tau2.call(session, call["name"], call["arguments"])
            session.flush()
        desk = desks.make_desk(saver)
        before = desk.shop()
        ((interrupt_id, _),) = desk.says(
            desks.identification(write.owner), desks.proposal(write.name, write.arguments)
        ).items()
        with saver.database.write() as connection, Session(connection) as session:
            tau2.call(session, write.name, write.arguments)
            session.flush()
            after = tau2.snapshot(connection)
            session.rollback()
        assert desk.shop() == before
        return Asked(write, url, desk.config["configurable"]["thread_id"], interrupt_id, after, before)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return desks.copy_to(tmp_path / "desk.db")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The shop on PostgreSQL."""
    with temporary_postgres_database() as url:
        with SQLCheckpointer(url) as saver:
            saver.setup()
            open_shop(saver.database, Shop.model_validate(tau2.shop_json()))
        yield url


def assert_carried_out_once(it: Asked) -> None:
    with it.opened() as desk:
        assert desk.shop() == it.after
        trail = desk.audit
        workflow_id = desk.graph.instances.id_of(desk.config)
        with desk.store.read() as connection:
            entries = connection.scalars(
                sa.select(ledger.c.status).where(ledger.c.workflow_id == workflow_id, ledger.c.tool == it.write.tool)
            ).all()
            sent = connection.scalars(sa.select(outbox.c.event_id).where(outbox.c.workflow_id == workflow_id)).all()
        assert desk.store.verify(workflow_id) == []
    assert [record.tool for record in trail if record.kind is AuditKind.TRANSITION][1:] == [it.write.tool]
    assert entries == ["completed"]
    announced = [record.payload["eventId"] for record in trail if record.kind is AuditKind.EVENT_OUT and record.payload]
    assert sorted(sent) == sorted(announced)


@contextmanager
def may_be_refused(*codes: str) -> Iterator[None]:
    """Do what may come too late, and is told so with one of these codes then."""
    try:
        yield
    except InterlockError as error:
        if error.code not in codes:
            raise


def resumes(it: Asked) -> None:
    """What an operator does after a crash: send the answer again, and let the conversation go on."""
    with it.opened() as desk:
        with may_be_refused("resume_error", "conflict"):
            desk.resumes(Command(resume={it.interrupt_id: APPROVE}))
        desk.resumes()
        assert not desk.graph.get_state(desk.config).tasks


@pytest.mark.parametrize("write", some(9, "kill"), ids=str)
def test_a_desk_that_is_killed_in_a_write_carries_it_out_once(write: Write, file: str) -> None:
    it = asked(file, write)
    place = POINTS[attacked.writes().index(write) % len(POINTS)] if ALL else POINTS[some(9, "kill").index(write)]

    with Child(answer, it.url, it.thread, it.interrupt_id, APPROVE, kill_at=place, preload=PRELOAD) as child:
        assert child.ended() == -signal.SIGKILL
    assert it.shop() in (it.before, it.after), "a write is done as a whole or not at all"
    resumes(it)

    assert_carried_out_once(it)
    with it.opened() as desk:
        for state in list(desk.graph.get_state_history(desk.config)):
            desk.config = state.config
            with may_be_refused("stale_checkpoint", "conflict"):
                desk.resumes()
    assert_carried_out_once(it)


def race(it: Asked, answers: list[dict[str, str]]) -> tuple[int, list[str | None]]:
    """Let processes answer at once: how often the body was reached, and the codes of those who were told no."""
    children = [
        Child(answer, it.url, it.thread, it.interrupt_id, given, stop_at=(READY, 1), preload=PRELOAD)
        for given in answers
    ]
    try:
        assert all(child.stopped() for child in children)
        for child in children:
            child.resume()
        results = [child.result() for child in children]
    finally:
        for child in children:
            child.kill()
    return sum(sum(reached.values()) for reached, _ in results), [code for _, code in results]


@pytest.mark.parametrize("write", some(5, "race"), ids=str)
def test_of_two_processes_that_answer_at_once_one_carries_the_write_out(write: Write, file: str) -> None:
    it = asked(file, write)

    reached, codes = race(it, [APPROVE, APPROVE])

    assert reached == 1
    assert set(codes) <= {None, "conflict", "in_progress", "resume_error"}
    assert codes.count(None) == 1, "the other one is told"
    resumes(it)
    assert_carried_out_once(it)


@pytest.mark.parametrize("write", some(3, "yes and no"), ids=str)
def test_of_a_yes_and_a_no_at_once_one_counts(write: Write, file: str) -> None:
    it = asked(file, write)

    reached, codes = race(it, [APPROVE, {"type": "reject"}])

    with it.opened() as desk:
        (decision,) = [record for record in desk.audit if record.kind is AuditKind.DECISION]
        assert desk.store.verify(desk.graph.instances.id_of(desk.config)) == []
    assert codes.count(None) >= 1
    assert decision.payload is not None
    if decision.payload["status"] == "approved":
        resumes(it)
        assert_carried_out_once(it)
    else:
        assert (reached, it.shop()) == (0, it.before)


def of_each_customer() -> list[Write]:
    """A write of each customer who has one that nothing has to come before, so that one database serves all."""
    found: dict[str, Write] = {}
    for write in attacked.writes():
        if not write.before:
            found.setdefault(write.owner, write)
    return [*found.values()] if ALL else [*found.values()][:4]


@pytest.mark.parametrize(("number", "write"), [*enumerate(of_each_customer())], ids=str)
def test_it_is_so_on_postgresql_as_well(number: int, write: Write, server: str) -> None:
    it = asked(server, write)
    if number % 2:
        place = POINTS[number // 2 % len(POINTS)]
        with Child(answer, it.url, it.thread, it.interrupt_id, APPROVE, kill_at=place, preload=PRELOAD) as child:
            assert child.ended() == -signal.SIGKILL
    else:
        reached, codes = race(it, [APPROVE, APPROVE])
        assert reached == 1
        assert codes.count(None) == 1
    resumes(it)
    assert_carried_out_once(it)
