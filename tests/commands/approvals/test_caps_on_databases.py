"""Limits over many instances count under a lock, whatever the isolation level that an application's engine has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import LimitPerPeriod, Principal, SpendingCap, SQLCheckpointer, Workflow, command
from interlock.rules.policies import Allow, Policy, ProposalView, Ruling
from interlock.tools.errors import StoreUnavailable

LEVELS = {
    "sqlite": ["url", "AUTOCOMMIT", "SERIALIZABLE", "READ UNCOMMITTED"],
    "postgresql": ["url", "AUTOCOMMIT", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
    "mysql": ["url", "default", "AUTOCOMMIT", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
}
DATABASES = {"postgresql": "postgres_database", "mysql": "mysql_database"}


@pytest.fixture(params=[f"{name}/{level}" for name, levels in LEVELS.items() for level in levels])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLCheckpointer]:
    name, level = request.param.split("/")
    url = f"sqlite:///{tmp_path / 'bank.db'}" if name == "sqlite" else request.getfixturevalue(DATABASES[name])
    options = {} if level == "default" else {"isolation_level": level}
    target = url if level == "url" else sa.create_engine(url, **options)
    with SQLCheckpointer(target) as saver:
        saver.setup()
        yield saver
    if isinstance(target, sa.Engine):
        target.dispose()


class AllHaveBegun(Policy):
    """Holds each transaction open until all are; a file has one writer, so nobody waits for others there."""

    def __init__(self, number: int) -> None:
        self._barrier = threading.Barrier(number)

    def judge(self, proposal: ProposalView) -> Ruling:
        with suppress(threading.BrokenBarrierError):
            self._barrier.wait(10)
        self._barrier.abort()  # who comes again does not wait
        return Allow()


def until_answered(work: Any) -> Any:
    """What comes of a call that is made again for as long as its error says that it may be."""
    for _ in range(50):
        with suppress(StoreUnavailable):
            return work()
    raise AssertionError("it was never answered")


@pytest.mark.parametrize(("per", "policy"), [("tenant", "sum"), ("principal", "number")])
def test_only_one_of_concurrent_transactions_that_would_exceed_a_cap_together_commits(
    per: str, policy: str, saver: SQLCheckpointer
) -> None:
    at_once = 3
    begun = AllHaveBegun(at_once if saver.database.is_server else 1)

    @command("account.pay", effect="transactional")
    def pay(amount: int) -> int:
        """Pay."""
        return amount

    rule = SpendingCap(100, "amount", [pay], per=per) if policy == "sum" else LimitPerPeriod(1, "24h", [pay], per=per)
    flow = Workflow("bank", policies=[begun, rule])
    flow.add_state("open")
    flow.add_edge("open", pay, "open")
    graph = flow.compile(saver)
    ada = Principal("ada", tenant="shop")
    threads = [{"configurable": {"thread_id": f"t-{number}"}} for number in range(at_once)]
    for thread in threads:
        graph.invoke({"messages": []}, thread, context=ada)

    def spend(thread: Any) -> Any:
        result = until_answered(lambda: graph.instances.execute(thread, pay, {"amount": 60}, principal=ada))
        return "ok" if result["ok"] else result["error"]["code"]

    with ThreadPoolExecutor(at_once) as pool:
        results = sorted(pool.map(spend, threads))

    assert results == ["ok", "policy_denied", "policy_denied"]
