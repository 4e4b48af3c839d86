"""A connection that breaks while a COMMIT is on its way: what became of the call is looked up, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from interlock import SQLCheckpointer, ToolContext, Workflow, command
from interlock.testing import Fault, FaultPoint, ScriptedChatModel, call, drop, injected
from interlock.tools.errors import CommitUnknown, StoreUnavailable
from tests.support.cutting_proxy import CuttingProxy, cutting

HERE = {"configurable": {"thread_id": "t-1", "workflow_id": "wf_1"}}
PAID = sa.table("paid", sa.column("amount"))
EFFECTS = ["transactional", "idempotent", "at_most_once"]


class Bank:
    """A workflow that pays, on a database behind a proxy, and what the database knows without it."""

    def __init__(self, direct: str, proxy: CuttingProxy, engine: Callable[[str], Any]) -> None:
        self.proxy = proxy
        self._direct = sa.create_engine(direct)
        self._engine = engine(proxy.url)
        self._saver = SQLCheckpointer(self._engine)
        self._saver.setup()
        with self._direct.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE paid (amount INTEGER)")

    def graph(self, effect: str, *, is_async: bool = False, model: Any = None) -> Any:
        """A workflow whose tool writes down what it paid: in its transaction, or outside it."""

        def pay(amount: int, ctx: ToolContext) -> int:
            """Pay."""
            if effect == "transactional":
                ctx.session.execute(sa.insert(PAID).values(amount=amount))
            else:
                with self._direct.begin() as connection:
                    connection.execute(sa.insert(PAID).values(amount=amount))
            return amount

        async def apay(amount: int, ctx: ToolContext) -> int:
            """Pay."""
            await ctx.session.execute(sa.insert(PAID).values(amount=amount))
            return amount

        tool = command("account.pay", effect=effect)(apay if is_async else pay)  # type: ignore[call-overload]
        flow = Workflow("bank", model=model)
        flow.add_state("open")
        flow.add_edge("open", tool, "open")
        return flow.compile(self._saver)

    def paid(self, amount: int = 5) -> int:
        with self._direct.connect() as connection:
            found = connection.execute(sa.select(sa.func.count()).where(PAID.c.amount == amount)).scalar()
        return int(found or 0)

    def transitions(self, graph: Any) -> int:
        return sum(record.kind.value == "transition" for record in graph.engine.store.audit("wf_1"))

    def cut(self, when: str, *, nth: int = 1, for_good: bool = False) -> Fault:
        """Cut the line at the nth commit of a transaction of the workflow store."""

        def act() -> None:
            self.proxy.cut(when)
            self.proxy.reachable = not for_good

        return Fault(act, FaultPoint.BEFORE_COMMIT, nth)

    def close(self) -> None:
        self.proxy.reachable = True
        self._saver.close()
        if isinstance(self._engine, sa.Engine):
            self._engine.dispose()
        elif isinstance(self._engine, AsyncEngine):
            self._engine.sync_engine.dispose(close=False)
        self._direct.dispose()


ENGINES: dict[str, Callable[[str], Any]] = {
    "url": str,
    "engine": sa.create_engine,
    "async-engine": lambda url: create_async_engine(sa.make_url(url).set(drivername="postgresql+asyncpg")),
}


@pytest.fixture(params=["postgresql-url", "postgresql-engine", "postgresql-async-engine", "mysql-url", "mysql-engine"])
def bank(request: pytest.FixtureRequest) -> Iterator[Bank]:
    database, _, engine = request.param.partition("-")
    direct = request.getfixturevalue({"postgresql": "postgres_database", "mysql": "mysql_database"}[database])
    with cutting(direct) as proxy:
        bank = Bank(direct, proxy, ENGINES[engine])
        yield bank
        bank.close()


def execute(graph: Any, key: str | None = None) -> Any:
    return graph.instances.execute(HERE, "account.pay", {"amount": 5}, idempotency_key=key)


def started(graph: Any) -> Any:
    graph.invoke({"messages": []}, HERE)
    return graph


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("key", [None, "k-1"])
def test_a_command_whose_commit_was_not_answered_is_answered_with_its_result(
    effect: str, key: str | None, bank: Bank
) -> None:
    graph = started(bank.graph(effect))
    for nth in (1,) if effect == "transactional" else (1, 2):
        before = bank.paid()
        with injected(bank.cut("after", nth=nth)):
            result = execute(graph, None if key is None else f"{key}-{nth}")
        assert (result["ok"], result["output"], result.get("replayed")) == (True, 5, None)
        assert bank.paid() == before + 1
    assert bank.proxy.cuts == bank.transitions(graph) == bank.paid()


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_commit_that_never_arrived_is_said_to_have_kept_nothing_and_is_done_once_under_the_key_that_is_given(
    effect: str, bank: Bank
) -> None:
    graph = started(bank.graph(effect))
    with injected(bank.cut("before")), pytest.raises(StoreUnavailable, match="was not executed") as lost:
        execute(graph)
    assert not isinstance(lost.value, CommitUnknown)
    assert (bank.paid(), lost.value.retryable) == (0, True)

    for _ in range(2):
        assert execute(graph, lost.value.details["idempotencyKey"])["ok"] is True
    assert (bank.paid(), bank.transitions(graph)) == (1, 1)


@pytest.mark.parametrize("effect", ["idempotent", "at_most_once"])
def test_the_outcome_of_an_effect_is_written_down_though_the_commit_of_it_never_arrived(
    effect: str, bank: Bank
) -> None:
    graph = started(bank.graph(effect))
    with injected(bank.cut("before", nth=2)):
        assert execute(graph)["ok"] is True
    assert (bank.proxy.cuts, bank.paid(), bank.transitions(graph)) == (1, 1, 1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("key", [None, "k-1"])
def test_where_it_cannot_be_looked_up_the_error_says_unknown_and_gives_the_key(
    when: str, key: str | None, bank: Bank
) -> None:
    graph = started(bank.graph("transactional"))
    with injected(bank.cut(when, for_good=True)), pytest.raises(CommitUnknown, match="unknown") as lost:
        execute(graph, key)
    bank.proxy.reachable = True

    assert lost.value.details["idempotencyKey"] in lost.value.message
    assert lost.value.retryable is (key is not None)  # without the key it would be another call
    assert bank.paid() == (1 if when == "after" else 0)
    assert execute(graph, lost.value.details["idempotencyKey"])["ok"] is True
    assert (bank.paid(), bank.transitions(graph)) == (1, 1)


def test_the_body_of_an_async_tool_is_committed_once(bank: Bank) -> None:
    graph = started(bank.graph("transactional", is_async=True))
    arguments = {"amount": 5}
    with injected(bank.cut("after")):
        result = asyncio.run(graph.instances.aexecute(HERE, "account.pay", arguments))
    assert (result["ok"], bank.paid(), bank.transitions(graph)) == (True, 1, 1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_graph_pays_once_whichever_of_its_commits_was_not_answered(when: str, postgres_database: str) -> None:
    with cutting(postgres_database) as proxy:
        bank = Bank(postgres_database, proxy, str)
        for nth in range(1, 5):
            thread = {"configurable": {"thread_id": f"t-{nth}"}}
            model = ScriptedChatModel([call("account.pay", amount=nth)], forever="Paid.")
            graph = bank.graph("transactional", model=model)
            with injected(bank.cut(when, nth=nth)):
                try:
                    done = graph.invoke({"messages": [("user", "Pay.")]}, thread)
                except StoreUnavailable:
                    done = graph.invoke(None, thread)
            if done["messages"][-1].content != "Paid.":
                graph.invoke(None, thread)
            assert bank.paid(nth) == 1
        bank.close()


def test_an_answer_that_a_test_drops_after_the_commit_is_looked_up_as_well(sqlite_url: str) -> None:
    ran = []

    @command("account.pay", effect="transactional")
    def pay(amount: int) -> int:
        """Pay."""
        ran.append(amount)
        return amount

    flow = Workflow("bank")
    flow.add_state("open")
    flow.add_edge("open", pay, "open")
    with SQLCheckpointer(sqlite_url) as saver:
        graph = started(flow.compile(saver))
        with injected(drop(FaultPoint.AFTER_COMMIT)):
            assert execute(graph)["ok"] is True
    assert ran == [5]
