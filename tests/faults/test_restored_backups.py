"""A database that was restored from a backup: nothing is run or published on it until somebody says so, and looking goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from interlock import (
    Approval,
    Event,
    InProcessBus,
    Principal,
    Relay,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowStore,
    command,
)
from interlock.checkpointing.transactions import recovery
from interlock.checkpointing.transactions.recovery import SECONDS, Recovery
from interlock.events.bus import Message
from interlock.operations import Deliveries
from interlock.testing import Fault, FaultPoint, ScriptedChatModel, call, drop, injected
from interlock.tools.errors import InputError, StoreHeld, StoreUnavailable
from tests.cli.support import lines, run
from tests.support.own_postgres import OwnPostgres, own_postgres

THREAD: Any = {"configurable": {"thread_id": "t-1", "workflow_id": "wf_1"}}
HELLO = {"messages": [("user", "please")]}
ADA, BEN = Principal("ada"), Principal("ben", roles={"supervisor"})


class Noted(Event, name="order.noted"):
    order_id: str


class Paid(Event, name="order.paid"):
    order_id: str = "1"


@command("order.note", effect="transactional")
def note(order_id: str, ctx: ToolContext) -> str:
    """Note."""
    ctx.emit(Noted(order_id=order_id))
    return order_id


@command("order.refund", effect="idempotent")
def refund(order_id: str) -> str:
    """Refund."""
    return order_id


class Bus(InProcessBus):
    """Notes what is published."""

    def __init__(self, published: list[str]) -> None:
        super().__init__()
        self._published = published

    async def publish(self, message: Message) -> str:
        self._published.append(message.event_id)
        return await super().publish(message)


class Desk:
    """A desk whose store is at a URL."""

    def __init__(self, url: str) -> None:
        self.models = [self._model(), self._model()]
        self.saver = SQLCheckpointer(url)
        self.graph = self._flow(self.models[0]).compile(self.saver)
        self.store: WorkflowStore = self.graph.engine.store
        self.agent = create_agent(
            self.models[1],
            [],
            middleware=[self._flow(None).as_middleware(workflow_store=WorkflowStore(self.saver.database))],
            checkpointer=InMemorySaver(),
            context_schema=Principal,
        )
        self.published: list[str] = []

    @staticmethod
    def _model() -> ScriptedChatModel:
        return ScriptedChatModel([call("order.refund", orderId="1")], forever="Done.")

    @property
    def asked(self) -> int:
        """How often a model was asked."""
        return sum(len(model.requests) for model in self.models)

    def _flow(self, model: Any) -> Workflow:
        flow = Workflow("desk", model=model)
        flow.add_state("open").add_edge("open", note, "open")
        flow.add_edge("open", refund, "paying", approval=Approval(role="supervisor"))
        flow.add_wait("paying", for_event=Paid, then="closed", within="1d", on_timeout="closed")
        flow.add_state("closed", final=True)
        return flow

    @property
    def approval_id(self) -> str:
        (waiting,) = self.store.approvals(workflow="desk").approvals
        return waiting.approval_id

    async def relay(self) -> int:
        async with Bus(self.published) as bus:
            return (await Relay(self.store, bus).run_once()).published


ENTRANCES: dict[str, Callable[[Desk], Any]] = {
    "invoke": lambda desk: desk.graph.invoke(HELLO, THREAD, context=ADA),
    "ainvoke": lambda desk: asyncio.run(desk.graph.ainvoke(HELLO, THREAD, context=ADA)),
    "go on": lambda desk: desk.graph.invoke(None, THREAD, context=ADA),
    "stream": lambda desk: [*desk.graph.stream(HELLO, THREAD, context=ADA)],
    "update_state": lambda desk: desk.graph.update_state(THREAD, {"messages": []}, by=ADA),
    "an agent": lambda desk: desk.agent.invoke(HELLO, {"configurable": {"thread_id": "a"}}, context=ADA),
    "an agent, async": lambda desk: asyncio.run(
        desk.agent.ainvoke(HELLO, {"configurable": {"thread_id": "a"}}, context=ADA)
    ),
    "execute": lambda desk: desk.graph.instances.execute(THREAD, note, {"orderId": "1"}, principal=ADA),
    "decide": lambda desk: desk.graph.instances.decide(desk.approval_id, "approve", by=BEN),
    "resume": lambda desk: desk.graph.instances.resume(THREAD),
    "resolve": lambda desk: desk.graph.instances.resolve(THREAD, "retry", by=BEN),
    "tick": lambda desk: desk.graph.instances.tick(),
    "atick": lambda desk: asyncio.run(desk.graph.instances.atick()),
    "deliver": lambda desk: Deliveries(desk.graph).deliver(Paid(), workflow_id="wf_1"),
    "relay": lambda desk: asyncio.run(desk.relay()),
    "fork": lambda desk: desk.graph.instances.fork(THREAD, thread_id="t-2", principal=ADA),
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/desk.db"


@pytest.fixture
def desk(url: str) -> Iterator[Desk]:
    """A desk whose instance waits for an approval, and has an event to publish."""
    made = Desk(url)
    made.graph.invoke(HELLO, THREAD, context=ADA)
    made.graph.instances.execute(THREAD, note, {"orderId": "1"}, principal=ADA)
    yield made
    made.saver.close()


def test_a_database_that_was_never_restored_is_not_held(desk: Desk) -> None:
    standing = desk.store.recovery.standing()
    assert (standing.held_since, standing.resumed_by) == (None, None)
    assert asyncio.run(desk.relay()) == 1


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_nothing_is_run_or_published_on_a_held_database(entrance: str, desk: Desk) -> None:
    desk.store.recovery.mark_restored()
    before, asked = desk.store.audit("wf_1"), desk.asked
    with pytest.raises(StoreHeld, match="a backup was restored") as held:
        ENTRANCES[entrance](desk)
    assert (held.value.code, held.value.retryable) == ("store_held", False)
    assert held.value.details["reason"] == "a backup was restored"
    assert (desk.store.audit("wf_1"), desk.asked, desk.published) == (before, asked, [])


def test_looking_goes_on_while_it_is_held(desk: Desk) -> None:
    desk.store.recovery.mark_restored()
    assert desk.graph.instances.snapshot(THREAD).state == "open"
    assert desk.graph.get_state(THREAD).values["messages"]
    assert desk.store.verify("wf_1") == []
    assert desk.store.recovery.left() == recovery.Left(events=1, unsettled=0, approvals=1, waits=0)


def test_work_goes_on_at_once_when_somebody_has_said_so(desk: Desk) -> None:
    desk.store.recovery.mark_restored("restored from Sunday's backup")
    with pytest.raises(StoreHeld, match="Sunday's"):
        desk.graph.instances.decide(desk.approval_id, "approve", by=BEN)
    after = desk.store.recovery.resume(by="otto")
    assert (after.held_since, after.reason, after.resumed_by) == (None, "restored from Sunday's backup", "otto")
    desk.graph.instances.decide(desk.approval_id, "approve", by=BEN)
    assert desk.graph.instances.resume(THREAD)["state"] == "paying"


def test_nobody_says_so_for_nobody(desk: Desk) -> None:
    desk.store.recovery.mark_restored()
    with pytest.raises(InputError, match="does not name the person"):
        desk.store.recovery.resume(by=" ")
    with pytest.raises(StoreHeld):
        asyncio.run(desk.relay())


def test_a_file_that_is_put_back_publishes_its_old_events_only_after_somebody_said_so(
    tmp_path: Path, url: str, desk: Desk
) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    desk.saver.close()
    for file in tmp_path.glob("desk.db*"):
        shutil.copy(file, backup / file.name)
    later = Desk(url)
    assert asyncio.run(later.relay()) == 1
    later.saver.close()

    for file in tmp_path.glob("desk.db*"):
        file.unlink()
    for file in backup.iterdir():
        shutil.copy(file, tmp_path / file.name)
    marked = run("db", "restored", "--db", url, "--json")
    assert lines(marked.stdout)[0]["left"] == {"events": 1, "unsettled": 0, "approvals": 1, "waits": 0}
    restored = Desk(url)
    with pytest.raises(StoreHeld):
        asyncio.run(restored.relay())
    restored.store.recovery.resume(by="otto")
    assert asyncio.run(restored.relay()) == 1
    assert restored.published == later.published  # under its old id, by which consumers know it
    restored.saver.close()


class TestTheNameOfALife:
    def test_another_name_holds_the_database_and_the_same_does_not(
        self, url: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INTERLOCK_INCARNATION", "volume-1")
        WorkflowStore(url).refuse_held()
        WorkflowStore(url).refuse_held()
        monkeypatch.delenv("INTERLOCK_INCARNATION")
        WorkflowStore(url).refuse_held()  # who names it not says nothing
        with pytest.raises(StoreHeld, match="is called 'volume-2', and was called 'volume-1'"):
            WorkflowStore(url, incarnation="volume-2").refuse_held()
        with pytest.raises(StoreHeld):
            WorkflowStore(url, incarnation="volume-1").refuse_held()  # until somebody says so

    def test_after_that_the_new_name_counts(self, url: str, desk: Desk) -> None:
        WorkflowStore(url, incarnation="1").refuse_held()
        store = WorkflowStore(url, incarnation="2")
        store.recovery.resume(by="otto")
        store.refuse_held()
        with pytest.raises(StoreHeld, match="called '1'"):
            WorkflowStore(url, incarnation="1").refuse_held()

    @pytest.mark.parametrize("name", ["", "x" * 256])
    def test_a_name_that_cannot_be_kept_is_refused(self, url: str, name: str) -> None:
        with pytest.raises(InputError, match="incarnation="):
            WorkflowStore(url, incarnation=name)


class TestWhenItIsLooked:
    def test_a_running_process_notices_within_seconds_and_looks_no_more_often(self, url: str, desk: Desk) -> None:
        clock = [0.0]
        watching = Recovery(desk.saver.database, now=lambda: clock[0])
        watching.refuse_held()
        desk.store.recovery.mark_restored()
        clock[0] = SECONDS - 0.1
        watching.refuse_held()
        clock[0] = SECONDS
        with pytest.raises(StoreHeld):
            watching.refuse_held()

    def test_a_connection_that_broke_is_looked_after_at_once(self, url: str, desk: Desk) -> None:
        other = WorkflowStore(url)
        desk.store.refuse_held()
        other.recovery.mark_restored()
        with injected(drop(FaultPoint.BEFORE_COMMIT)), pytest.raises(StoreUnavailable), desk.store.write():
            pass
        with pytest.raises(StoreHeld), desk.store.write():
            pass

    def test_a_hold_that_comes_while_a_tool_runs_stops_the_next_step(self, url: str, desk: Desk) -> None:
        def hold() -> None:
            WorkflowStore(url).recovery.mark_restored()
            desk.store.recovery.look_again()

        desk.graph.instances.decide(desk.approval_id, "approve", by=BEN)
        with injected(Fault(hold, FaultPoint.AFTER_EFFECT)), pytest.raises(StoreHeld):
            desk.graph.instances.resume(THREAD)
        desk.store.recovery.resume(by="otto")
        assert desk.graph.instances.resume(THREAD)["state"] == "paying"

    def test_a_store_in_memory_is_never_held(self) -> None:
        WorkflowStore.in_memory(clock=None).refuse_held()


class TestTheCommandLine:
    def test_it_asks_and_goes_on_only_with_a_yes(self, url: str, desk: Desk) -> None:
        assert run("db", "restored", "--db", url, "-m", "the disk\x1b[2J broke").exit_code == 0
        doctor = run("doctor", "--db", url)
        assert doctor.exit_code == 1
        assert "is held: the disk" in doctor.stdout
        refused = run("db", "resume", "--db", url, stdin="n\n")
        assert refused.exit_code == 1
        assert "\x1b[2J" not in refused.stdout
        assert "1 events to publish" in refused.stdout
        assert run("db", "resume", "--db", url, stdin="").exit_code == 1
        with pytest.raises(StoreHeld):
            WorkflowStore(url).refuse_held()
        agreed = run("db", "resume", "--db", url, "--as", "otto", stdin="y\n")
        assert "Released by otto." in agreed.stdout
        WorkflowStore(url).refuse_held()

    def test_a_script_says_yes(self, url: str, desk: Desk) -> None:
        run("db", "restored", "--db", url)
        (told,) = lines(run("db", "resume", "--db", url, "--yes", "--as", "otto", "--any-timeline", "--json").stdout)
        assert (told["heldSince"], told["resumedBy"], told["anyTimeline"]) == (None, "otto", True)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as made:
        yield made


def restored_to_a_point_in_time(server: OwnPostgres) -> None:
    """Recover as from an archive: PostgreSQL ends that on a new timeline."""
    server.stop("fast")
    owner = server.data.stat()
    for name, text in (("recovery.signal", ""), ("postgresql.auto.conf", "restore_command = 'false'\n")):
        (server.data / name).write_text(text)
        os.chown(server.data / name, owner.st_uid, owner.st_gid)
    server.start()
    engine = sa.create_engine(server.url)

    def is_over() -> bool:
        with engine.connect() as connection:
            return not connection.scalar(sa.text("SELECT pg_is_in_recovery()"))

    assert WorkflowStore.in_memory().wait_until(is_over, 60)
    engine.dispose()


def test_postgresql_on_a_new_timeline_is_held_unless_somebody_said_that_this_loses_nothing(server: OwnPostgres) -> None:
    with SQLCheckpointer(server.url) as saver:
        WorkflowStore(saver.database).refuse_held()
    server.restart("immediate")
    with SQLCheckpointer(server.url) as saver:
        WorkflowStore(saver.database).refuse_held()  # a crash is no restore
    restored_to_a_point_in_time(server)
    with SQLCheckpointer(server.url) as saver:
        store = WorkflowStore(saver.database)
        with pytest.raises(StoreHeld, match="is on timeline 00000002, and was on 00000001"):
            store.refuse_held()
        store.recovery.resume(by="otto", any_timeline=True)
        store.refuse_held()
    restored_to_a_point_in_time(server)
    with SQLCheckpointer(server.url) as saver:
        WorkflowStore(saver.database).refuse_held()
        WorkflowStore(saver.database).recovery.resume(by="otto", any_timeline=False)
    restored_to_a_point_in_time(server)
    with SQLCheckpointer(server.url) as saver, pytest.raises(StoreHeld, match="timeline"):
        WorkflowStore(saver.database).refuse_held()
    with SQLCheckpointer(server.url) as saver:
        WorkflowStore(saver.database).recovery.resume(by="otto")


def test_a_dump_that_is_restored_on_postgresql_is_held(server: OwnPostgres) -> None:
    with SQLCheckpointer(server.url) as saver:
        WorkflowStore(saver.database).recovery.resume(by="otto")
        WorkflowStore(saver.database).refuse_held()
    where = [f"--port={server.port}", "--host=127.0.0.1", "--username=postgres"]
    dump = subprocess.run(
        [server.binaries / "pg_dump", *where, "--clean", "--if-exists", "postgres"], capture_output=True, check=True
    ).stdout
    subprocess.run(
        [server.binaries / "psql", *where, "--quiet", "postgres"], input=dump, capture_output=True, check=True
    )
    with SQLCheckpointer(server.url) as saver:
        store = WorkflowStore(saver.database)
        with pytest.raises(StoreHeld, match="its tables were recreated"):
            store.refuse_held()
        store.recovery.resume(by="otto")
        store.refuse_held()


@pytest.mark.parametrize(
    ("known", "found", "held"),
    [
        ({"system": "1"}, {"system": "2"}, True),
        ({"system": "1"}, {}, False),  # a server that keeps its control data to itself says nothing
        ({}, {"system": "2"}, False),
        ({"system": "1", "table": "5"}, {"system": "1", "table": "5"}, False),
    ],
)
def test_what_both_say_is_compared(known: dict[str, str], found: dict[str, str], held: bool) -> None:
    assert (recovery._difference(known, found, None, None, any_timeline=False) is not None) is held


def test_a_role_that_may_not_read_the_control_data_is_told_by_the_tables_alone(server: OwnPostgres) -> None:
    with SQLCheckpointer(server.url) as saver:
        saver.setup()
        revoked = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; SET ROLE poor"
        with saver.database.write() as connection:
            connection.exec_driver_sql("CREATE ROLE poor LOGIN")
            connection.exec_driver_sql("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO poor")
            connection.exec_driver_sql(revoked.partition(";")[0])
    poor = server.url.replace("postgres@", "poor@")
    with SQLCheckpointer(poor) as saver:
        assert recovery._identity(saver.database).keys() == {"table"}
        WorkflowStore(saver.database).refuse_held()
