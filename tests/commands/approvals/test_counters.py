"""Counters of the ledger: they always say what the ledger says, whoever writes it, and asking them costs the same however much it holds."""

from __future__ import annotations

import dataclasses
import random
import sqlite3
from collections.abc import Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import (
    Allow,
    Deny,
    LimitPerPeriod,
    LimitPerRun,
    Policy,
    ProposalView,
    Refused,
    SpendingCap,
    SQLCheckpointer,
    Workflow,
    WorkflowStore,
    command,
)
from interlock.checkpointing.store import LedgerEntry, LedgerStatus, ledger, ledger_counts
from interlock.checkpointing.store.ledger_counts import Scope, Tally
from interlock.checkpointing.tables.workflow import counted, counters
from interlock.rules.policies import Ruling
from interlock.testing import ScriptedChatModel
from tests.commands.approvals.support import ADA, HOUR, MALLORY, Home, Shop, answers, refund, said, thread
from tests.support.databases import lent_database

COUNTED = {"started", "completed", "unknown"}
TOOLS = ("order.refund", "order.cancel")
PEOPLE = ("ada", "ben", None)
INSTANCES = {"wf_1": "default", "wf_2": "default", "wf_3": "other"}
"""Each with its tenant."""
AMOUNTS = ("1", "2.50", 3, 4.25, -7, None, "0.000000000000000000000000000001", 10**18)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WorkflowStore]:
    """A store with its tables."""
    url = f"sqlite:///{tmp_path}/desk.db" if request.param == "sqlite" else lent_database(request, request.param)
    made = WorkflowStore(url)
    made.setup()
    yield made
    made.close()


class Run:
    """Commands of several instances, which begin, succeed, fail and are tried again, as the ledger has them."""

    def __init__(self, store: WorkflowStore, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)
        self.now = 1_800_000_000_000_000
        self.entries: dict[str, LedgerEntry] = {}
        self.pauses: tuple[int, ...] = (0, 0, 1, 1_000_000, 60_000_000, -5_000_000)
        self.tools: tuple[str, ...] = TOOLS
        self.counted_at: dict[str, int] = {}

    def step(self) -> None:
        """Something happens to one command, or to two in one transaction."""
        self.now += self.random.choice(self.pauses)
        entered = [self._entered() for _ in range(self.random.choice([1, 1, 1, 2]))]
        if len({after.idempotency_key for _, after in entered}) < len(entered):
            return
        with self.store.write() as connection:
            calls = [ledger.writing(before, after) for before, after in entered]
            calls += ledger_counts.keeping(connection, entered, self.now)
            for statement, parameters in calls:
                assert statement.execute(connection, parameters) == 1
        for before, after in entered:
            self.entries[after.idempotency_key] = after
            if before is None or before.status not in COUNTED:
                self.counted_at[after.idempotency_key] = self.now

    def _entered(self) -> tuple[LedgerEntry | None, LedgerEntry]:
        going = [entry for entry in self.entries.values() if entry.status not in {"completed", "dry_run"}]
        if going and self.random.random() < 0.4:
            before = self.random.choice(going)
            after = dataclasses.replace(before, status=self._status(), attempt=before.attempt + 1)
            return before, after
        amount, workflow_id = self.random.choice(AMOUNTS), self.random.choice([*INSTANCES])
        return None, LedgerEntry(
            workflow_id=workflow_id,
            idempotency_key=f"key-{len(self.entries)}-{self.random.randrange(10**9)}",
            tenant=INSTANCES[workflow_id],
            fingerprint="sha256:0",
            tool=self.random.choice(self.tools),
            tool_version=1,
            status=self._status(),
            attempt=1,
            principal_id=self.random.choice(PEOPLE),
            requester=None,
            owner=None,
            arguments={"paid": {"amount": amount}} if self.random.random() < 0.9 else {},
            result=None,
            audit_ref="audit_1",
            started_at=self.now,
            finished_at=None,
        )

    def _status(self) -> LedgerStatus:
        return self.random.choice([*LedgerStatus])

    def scopes(self) -> Iterator[tuple[Scope, str]]:
        """What a policy may ask."""
        for who in ({}, {"principal_id": "ada"}, {"principal_id": "ben"}, {"workflow_id": "wf_1"}):
            for tools in (TOOLS, TOOLS[:1]):
                for since in (None, self.now - 90_000_003, self.now - 1):
                    for field in ("", "paid.amount"):
                        yield Scope("default", frozenset(tools), since=since, **who), field

    def expected(self, scope: Scope, field: str) -> Tally:
        """What the entries come to, added up one by one."""
        counted = [
            entry
            for entry in self.entries.values()
            if entry.tenant == scope.tenant
            and entry.tool in scope.tools
            and entry.status in COUNTED
            and (scope.since is None or self.counted_at[entry.idempotency_key] > scope.since)
            and scope.workflow_id in {None, entry.workflow_id}
            and scope.principal_id in {None, entry.principal_id}
        ]
        if not field:
            return Tally(len(counted))
        amounts = [Decimal(str(entry.arguments.get("paid", {}).get("amount") or 0)) for entry in counted]  # type: ignore[union-attr]
        with localcontext(prec=100):
            return Tally(len(counted), sum((max(amount, Decimal(0)) for amount in amounts), Decimal(0)))


@pytest.mark.parametrize("seed", range(2))
def test_a_counter_says_at_any_time_what_the_entries_come_to(store: WorkflowStore, seed: int) -> None:
    run = Run(store, seed)
    asked = run.random.sample([*run.scopes()], 12)
    for turn in range(60):
        run.step()
        # Some are asked for early and some late: what there was before is counted once, out of the ledger.
        for scope, field in asked[: 1 + turn // 5]:
            if scope.since is None:
                with store.write() as connection:
                    found = ledger_counts.count(connection, scope, field)
                assert found == run.expected(scope, field), (turn, scope, field)


@pytest.mark.parametrize("seed", range(2))
def test_a_counter_of_a_period_counts_only_what_began_in_it(store: WorkflowStore, seed: int) -> None:
    run = Run(store, seed)
    run.pauses = (7, 1_000_000, 60_000_000)
    with store.write() as connection:
        for scope, field in run.scopes():
            ledger_counts.count(connection, scope, field)
    for _ in range(60):
        run.step()
        for scope, field in run.random.sample([*run.scopes()], 4):
            with store.write() as connection:
                found = ledger_counts.count(connection, scope, field)
            assert found == run.expected(scope, field), (scope, field)


def test_a_clock_that_is_set_back_frees_nothing(store: WorkflowStore) -> None:
    run, scope = Run(store, 1), Scope("default", frozenset(TOOLS[:1]), since=1_800_000_000_000_000 - 10)
    with store.write() as connection:
        ledger_counts.count(connection, scope)
    run.pauses, run.tools = (0,), TOOLS[:1]
    run._status = lambda: LedgerStatus.COMPLETED  # type: ignore[method-assign]
    for now in (1_800_000_000_000_000, 1_700_000_000_000_000, 1_600_000_000_000_000):
        run.now = now
        run.step()
    with store.write() as connection:
        assert ledger_counts.count(connection, scope).number == len(
            [entry for entry in run.entries.values() if entry.tenant == "default"]
        )


def test_a_transaction_that_only_reads_makes_no_counter_and_counts_all_the_same(store: WorkflowStore) -> None:
    run = Run(store, 2)
    for _ in range(20):
        run.step()
    scope = Scope("default", frozenset(TOOLS))
    with store.read() as connection:
        assert ledger_counts.count(connection, scope, "paid.amount", keep=False) == run.expected(scope, "paid.amount")
        assert connection.execute(sa.text("SELECT count(*) FROM workflow_counters")).scalar_one() == 0


@pytest.mark.parametrize("per", ["principal", "tenant"])
def test_calls_of_a_workflow_without_the_limit_count_in_one_that_has_it(shop: Shop, home: Home, per: str) -> None:
    policy = LimitPerPeriod(2, "24h", [shop.refund], per=per)
    limited = home.compile(shop.workflow([refund(), refund()], policies=[policy]))
    assert answers(limited.invoke(said(), thread("a"), context=ADA)) == ["ok", "ok"]
    home.clock.advance(24 * HOUR + 1)
    free = home.compile(shop.workflow([refund(), refund(), refund()]))
    assert answers(free.invoke(said(), thread("b"), context=ADA)) == ["ok", "ok", "ok"]

    again = home.compile(shop.workflow([refund()], policies=[policy]))

    assert answers(again.invoke(said(), thread("c"), context=ADA)) == ["policy_denied"]


@pytest.mark.parametrize(
    "policy",
    [
        SpendingCap(9, "amount", ["order.refund"], per="principal"),
        SpendingCap(9, "amount", ["order.refund"], per="principal", within="24h"),
        LimitPerPeriod(2, "24h", ["order.refund"]),
    ],
    ids=["spent", "spent within a period", "times within a period"],
)
def test_a_limit_that_comes_later_counts_what_there_was_before_it(shop: Shop, home: Home, policy: Policy) -> None:
    free = home.compile(shop.workflow([refund(amount="6"), refund(amount="3")]))
    free.invoke(said(), thread("a"), context=ADA)

    graph = home.compile(shop.workflow([refund(amount="0.01")], policies=[policy]))

    assert answers(graph.invoke(said(), thread("b"), context=ADA)) == ["policy_denied"]
    graph = home.compile(shop.workflow([refund(amount="9")], policies=[policy]))
    assert answers(graph.invoke(said(), thread("c"), context=MALLORY)) == ["ok"]


def test_an_effect_that_did_not_happen_is_taken_back(tmp_path: Path) -> None:
    sent: list[int] = []

    @command("money.send", effect="idempotent")
    def send(amount: int) -> int:
        """Send money."""
        if amount == 5:
            raise Refused("not today")
        sent.append(amount)
        return amount

    policies = [SpendingCap(10, "amount", [send]), SpendingCap(10, "amount", [send], within="24h", per="tenant")]
    flow = Workflow("desk", model=ScriptedChatModel([], forever="Done."), policies=policies)
    flow.add_state("open").add_edge("open", send, "open")
    graph = flow.compile(SQLCheckpointer(f"sqlite:///{tmp_path}/desk.db"))
    graph.invoke(said(), thread(), context=ADA)

    results = [
        graph.instances.execute(thread(), "money.send", {"amount": amount}, principal=ADA)
        for amount in (5, 5, 5, 4, 6, 1)
    ]

    assert [result["ok"] for result in results] == [False, False, False, True, True, False]
    assert sent == [4, 6]


@pytest.mark.parametrize(
    "limit",
    [
        lambda tool: LimitPerRun(10**9, [tool]),
        lambda tool: LimitPerPeriod(10**9, "24h", [tool]),
        lambda tool: SpendingCap(10**12, "amount", [tool]),
        lambda tool: SpendingCap(10**12, "amount", [tool], per="tenant"),
        lambda tool: SpendingCap(10**12, "amount", [tool], per="principal", within="30d"),
        lambda tool: OwnLimit(),
    ],
)
def test_a_later_step_is_as_much_work_for_the_database_as_an_early_one(tmp_path: Path, limit: Any) -> None:
    work = _Work()

    @command("order.note", effect="transactional")
    def note(order_id: str, amount: int) -> str:
        """Note."""
        return order_id

    policy: Policy = limit(note)
    flow = Workflow("desk", model=ScriptedChatModel([], forever="Done."), policies=[policy])
    flow.add_state("open").add_edge("open", note, "open")
    graph = flow.compile(SQLCheckpointer(f"sqlite:///{tmp_path}/desk.db"))
    sa.event.listen(graph.engine.store.database.engine, "checkout", work.watch)
    graph.invoke(said(), thread(), context=ADA)
    spent = []
    for _ in range(160):
        work.done = 0
        graph.instances.execute(thread(), "order.note", {"orderId": "1", "amount": 1}, principal=ADA)
        spent.append(work.done)

    early, late = sum(spent[10:20]), sum(spent[150:160])

    assert early > 0
    assert late <= 1.1 * early


class OwnLimit(Policy):
    """A policy of an application's own, by what was carried out in the instance."""

    def __init__(self, at_most: int = 10**9) -> None:
        self.at_most = at_most

    def judge(self, proposal: ProposalView) -> Ruling:
        counted = proposal.carried_out.get(proposal.tool.name, 0)
        return Allow() if counted < self.at_most else Deny(f"{counted} is enough")


@pytest.mark.parametrize("seed", range(2))
def test_completed_calls_have_their_own_counter(store: WorkflowStore, seed: int) -> None:
    run = Run(store, seed)
    for turn in range(60):
        run.step()
        for tool in TOOLS[: turn // 20]:  # before it is first asked for, it is counted once, out of the ledger
            with store.write() as connection:
                found = ledger_counts.completed(connection, tenant="default", workflow_id="wf_1", tool=tool)
            entries = [one for one in run.entries.values() if (one.workflow_id, one.tool) == ("wf_1", tool)]
            assert found == sum(one.status == "completed" for one in entries), (turn, tool)
    with store.read() as connection:
        kept = ledger_counts.completed(connection, tenant="default", workflow_id="wf_1", tool=TOOLS[0], keep=False)
        assert kept == ledger.carried_out(connection, "wf_1").get(TOOLS[0], 0)


def test_an_argument_with_a_dot_in_front_is_not_taken_for_the_counter_of_what_was_completed(
    store: WorkflowStore,
) -> None:
    run, scope = Run(store, 3), Scope("default", frozenset(TOOLS[:1]), workflow_id="wf_1")
    for _ in range(2):
        for _ in range(15):
            run.step()
        with store.write() as connection:
            ledger_counts.completed(connection, tenant="default", workflow_id="wf_1", tool=TOOLS[0])
            found = ledger_counts.count(connection, scope, ".completed")
        assert found.number == run.expected(scope, "").number


@pytest.mark.parametrize("how", ["get", "all"])
def test_a_policy_of_ones_own_counts_what_was_carried_out_and_not_what_failed(how: str, tmp_path: Path) -> None:
    @command("money.send", effect="idempotent")
    def send(amount: int) -> int:
        """Send money."""
        if amount == 5:
            raise Refused("not today")
        return amount

    class All(OwnLimit):
        def judge(self, proposal: ProposalView) -> Ruling:
            return Allow() if sum(dict(proposal.carried_out).values()) < self.at_most else Deny("enough")

    policy = OwnLimit(2) if how == "get" else All(2)
    flow = Workflow("desk", model=ScriptedChatModel([], forever="Done."), policies=[policy])
    flow.add_state("open").add_edge("open", send, "open")
    graph = flow.compile(SQLCheckpointer(f"sqlite:///{tmp_path}/desk.db"))
    graph.invoke(said(), thread(), context=ADA)
    graph.invoke(said(), thread("another"), context=ADA)

    def sent(amount: int, where: str = "t-1") -> bool:
        result = graph.instances.execute(thread(where), "money.send", {"amount": amount}, principal=ADA)
        return bool(result["ok"])

    assert [sent(amount) for amount in (1, 5, 5, 2, 3)] == [True, False, False, True, False]
    assert sent(1, "another")


def test_erasing_takes_the_counters_of_the_instance_and_resets_no_limit_of_others(store: WorkflowStore) -> None:
    @command("order.note", effect="transactional")
    def note(order_id: str, amount: int) -> str:
        """Note."""
        return order_id

    policies = [
        OwnLimit(),
        LimitPerRun(2, [note]),
        SpendingCap(10, "amount", [note], within="24h"),
        SpendingCap(10, "amount", [note], per="tenant"),
        LimitPerPeriod(10**9, "24h", [note], per="tenant"),
    ]
    flow = Workflow("desk", model=ScriptedChatModel([], forever="Done."), policies=policies)
    flow.add_state("open").add_edge("open", note, "open")
    saver = SQLCheckpointer(store.database)
    graph = flow.compile(saver)

    def noted(amount: int) -> bool:
        result = graph.instances.execute(thread(), "order.note", {"orderId": "1", "amount": amount}, principal=ADA)
        return bool(result["ok"])

    graph.invoke(said(), thread(), context=ADA)
    assert [noted(4), noted(4), noted(1)] == [True, True, False]
    workflow_id = graph.instances.id_of(thread())

    saver.delete_thread("t-1", instance=True)

    with store.read() as connection:
        for table in (counters, counted):
            assert connection.execute(sa.select(table).where(table.c.scope == workflow_id)).all() == []
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() > 0
    graph.invoke(said(), thread(), context=ADA)
    assert [noted(3), noted(1), noted(1)] == [False, True, True]  # of the tenant's 10, and of the new instance's 2


class _Work:
    """Counts what SQLite does, in tens of instructions of its virtual machine."""

    done = 0

    def watch(self, connection: sqlite3.Connection, *_: Any) -> None:
        connection.set_progress_handler(self._count, 10)

    def _count(self) -> int:
        self.done += 1
        return 0
