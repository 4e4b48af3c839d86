"""A budget is reserved before a call of a model and settled after it; what is spent stops the run, and can be raised."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from interlock import Budget, Principal, SQLCheckpointer, WorkflowStore
from interlock.checkpointing.tables.workflow import budgets as table
from interlock.rules.budgets.usage import used
from interlock.testing import Clock
from interlock.tools import ContractError, InputError, PrincipalError, WorkflowDefinitionError

from .support import ANN, BOB, BOSS, PRICES, SAID, MeteredModel, compiled, desk, on, stopped


def test_the_use_of_models_is_counted_and_a_spent_budget_stops_the_run(store: WorkflowStore) -> None:
    model = MeteredModel(used=[30])
    graph = compiled(store, model, Budget(tokens=100, reserve=40, name="case"))
    assert [stopped(graph.invoke(SAID, on("t-1"), context=ANN)) for _ in range(3)] == [None, None, None]
    (standing,) = graph.instances.budgets(on("t-1"), by=ANN)
    assert (standing.spent, standing.left, standing.reserve) == ("90", "10", "40")

    reason = stopped(graph.invoke(SAID, on("t-1"), context=ANN))

    assert reason is not None
    assert reason.startswith("limit_reached: the budget 'case' is spent: 90 tokens of 100 tokens are used or reserved")
    assert model.calls == 3
    last = graph.instances.audit(on("t-1"))[-1]
    assert (last.kind, last.code) == ("limit", "limit_reached")
    assert stopped(graph.invoke(None, on("t-1"), context=ANN)) == reason
    assert stopped(graph.invoke(SAID, on("t-2"), context=ANN)) is None


def test_a_spent_budget_is_raised_by_whoever_may_and_the_run_goes_on(store: WorkflowStore) -> None:
    graph = compiled(store, MeteredModel(used=[50]), Budget(tokens=60, reserve=50, raised_by="controller", name="case"))
    graph.invoke(SAID, on("t-1"), context=ANN)
    assert stopped(graph.invoke(SAID, on("t-1"), context=ANN)) is not None
    given: Any = {"reason": "She is a good customer.", "key": "r-1"}
    for who in (BOB, Principal("ann", roles={"controller"}), Principal("anonymous", roles={"controller"})):
        with pytest.raises(PrincipalError):
            graph.instances.raise_budget(on("t-1"), "case", 50, by=who, **given)
    with pytest.raises(InputError):
        graph.instances.raise_budget(on("t-1"), "other", 50, by=BOSS, **given)
    for more in (0, -1, "much", 1.5):
        with pytest.raises(InputError):
            graph.instances.raise_budget(on("t-1"), "case", more, by=BOSS, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        graph.instances.raise_budget(on("t-1"), "case", 50, by=BOSS, reason=" ", key="r-1")

    for _ in range(2):
        standing = graph.instances.raise_budget(on("t-1"), "case", 50, by=BOSS, **given)
        assert (standing.raised, standing.left) == ("50", "60")

    done = graph.instances.resume(on("t-1"))
    assert done["messages"][-1].content == "Hello."
    raised = [record for record in graph.instances.audit(on("t-1")) if record.kind == "budget_raised"]
    assert [(record.principal_id, record.payload["more"]) for record in raised if record.payload] == [("mia", "50")]
    assert stopped(graph.invoke(SAID, on("t-1"), context=ANN)) is not None
    assert store.verify(graph.instances.id_of(on("t-1"))) == []


@pytest.mark.parametrize("per", ["turn", "instance", "principal", "tenant"])
def test_a_budget_is_counted_over_what_it_says(store: WorkflowStore, per: str) -> None:
    graph = compiled(store, MeteredModel(used=[10]), Budget(tokens=15, reserve=10, per=per), run_by="tenant")
    other, namesake = Principal("kim", tenant="elsewhere"), Principal("ann", tenant="elsewhere")
    calls = [("t-1", ANN), ("t-1", ANN), ("t-2", ANN), ("t-3", BOB), ("t-4", other), ("t-5", namesake)]
    went = [stopped(graph.invoke(SAID, on(thread), context=who)) is None for thread, who in calls]
    assert (
        went
        == {
            "turn": [True, True, True, True, True, True],
            "instance": [True, False, True, True, True, True],
            "principal": [True, False, False, True, True, True],
            "tenant": [True, False, False, False, True, False],
        }[per]
    )


def test_a_turn_that_asks_its_model_again_and_again_ends(store: WorkflowStore) -> None:
    model = MeteredModel(used=[10], goes_on=True)
    graph = compiled(store, model, Budget(tokens=25, reserve=10, per="turn"))
    assert stopped(graph.invoke(SAID, on("t-1"), context=ANN)) is not None
    assert model.calls == 2
    graph.invoke(SAID, on("t-1"), context=ANN)
    assert model.calls == 4


def test_money_is_counted_by_the_prices_of_the_application(store: WorkflowStore) -> None:
    graph = compiled(store, MeteredModel(used=[1_000_001]), Budget(money="10", reserve="4", name="money"))
    assert stopped(graph.invoke(SAID, on("t-1"), context=ANN)) is None
    (standing,) = graph.instances.budgets(on("t-1"))
    assert standing.spent == "2.00001"  # a million at 2, and one at 10 for a million


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("no figures"),
        AIMessage("odd", usage_metadata={"input_tokens": -5, "output_tokens": 1, "total_tokens": 1}),
    ],
)
def test_a_call_without_figures_counts_as_its_whole_reservation(message: AIMessage) -> None:
    budget = Budget(tokens=100, reserve=40)
    assert used(budget, [message], {}) == 40
    assert used(budget, [], {}) == 40
    money = Budget(money="1", reserve="0.5")
    told = AIMessage(
        "x",
        usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        response_metadata={"model_name": "of no price"},
    )
    assert used(money, [told], PRICES) == 500_000
    assert used(money, [told], {**PRICES, "*": PRICES["metered-1"]}) == 12


def test_a_call_that_failed_stays_reserved_and_a_restarted_process_knows_what_was_spent(url: str, time: Clock) -> None:
    budget = Budget(tokens=100, reserve=40, name="case")
    with SQLCheckpointer(url) as saver:
        saver.setup()
        model = MeteredModel(used=[10], meanwhile=lambda: 1 / 0)
        graph = desk(model, budget).compile(saver)
        with pytest.raises(ZeroDivisionError):
            graph.invoke(SAID, on("t-1"), context=ANN)
        assert [one.spent for one in graph.instances.budgets(on("t-1"))] == ["40"]
    with SQLCheckpointer(url) as saver:
        again = desk(MeteredModel(used=[10]), budget).compile(saver)
        assert stopped(again.invoke(SAID, on("t-1"), context=ANN)) is None
        assert [one.spent for one in again.instances.budgets(on("t-1"))] == ["50"]


def test_a_period_begins_anew(store: WorkflowStore, time: Clock) -> None:
    graph = compiled(store, MeteredModel(used=[10]), Budget(tokens=15, reserve=10, per="principal", every="24h"))
    graph.invoke(SAID, on("t-1"), context=ANN)
    assert stopped(graph.invoke(SAID, on("t-1"), context=ANN)) is not None
    time.advance(hours=15)  # it is midnight in UTC
    assert stopped(graph.invoke(None, on("t-1"), context=ANN)) is None
    (standing,) = graph.instances.budgets(on("t-1"))
    assert standing.period_began is not None
    assert "T00:00:00" in standing.period_began
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 1


def test_several_budgets_are_reserved_together_or_not_at_all(store: WorkflowStore) -> None:
    graph = compiled(
        store,
        MeteredModel(used=[10]),
        Budget(tokens=1000, reserve=10, per="tenant", name="all"),
        Budget(tokens=10, reserve=10, name="case"),
    )
    graph.invoke(SAID, on("t-1"), context=ANN)
    assert stopped(graph.invoke(SAID, on("t-1"), context=ANN)) is not None
    assert [one.spent for one in graph.instances.budgets(on("t-1"))] == ["10", "10"]


def test_the_async_forms_list_and_raise_budgets(store: WorkflowStore) -> None:
    graph = compiled(store, MeteredModel(used=[10]), Budget(tokens=10, reserve=10, raised_by="controller", name="case"))

    async def go() -> None:
        await graph.ainvoke(SAID, on("t-1"), context=ANN)
        assert stopped(await graph.ainvoke(SAID, on("t-1"), context=ANN)) is not None
        await graph.instances.araise_budget(on("t-1"), "case", 10, by=BOSS, reason="Go on.", key="k")
        assert stopped(await graph.ainvoke(None, on("t-1"), context=ANN)) is None
        (standing,) = await graph.instances.abudgets(on("t-1"), by=ANN)
        assert standing.spent == "20"

    asyncio.run(go())


def test_an_agent_with_the_middleware_stops_as_well(store: WorkflowStore) -> None:
    model = MeteredModel(used=[10])
    middleware = desk(model, Budget(tokens=25, reserve=10, raised_by="controller", name="case")).as_middleware(
        workflow_store=store
    )
    agent: Any = create_agent(
        model, [], middleware=[middleware], context_schema=Principal, checkpointer=InMemorySaver()
    )
    went = [stopped(agent.invoke(SAID, on("t-1"), context=ANN)) is None for _ in range(3)]
    assert went == [True, True, False]
    assert model.calls == 2
    (instance,) = store.instances()
    assert stopped(agent.invoke(None, on("t-1"), context=ANN)) is not None
    middleware.instances.raise_budget(instance.workflow_id, "case", 5, by=BOSS, reason="Go on.", key="k")
    assert stopped(agent.invoke(None, on("t-1"), context=ANN)) is None
    assert [one.spent for one in middleware.instances.budgets(instance.workflow_id)] == ["30"]


def test_an_invalid_budget_is_refused() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"reserve": 1},
        {"tokens": 1, "money": "1", "reserve": 1},
        {"tokens": 10, "reserve": 0},
        {"tokens": 10, "reserve": 11},
        {"tokens": 1.5, "reserve": 1},
        {"tokens": True, "reserve": 1},
        {"money": "much", "reserve": 1},
        {"money": "NaN", "reserve": 1},
        {"tokens": -10, "reserve": 1},
        {"tokens": 10, "reserve": 1, "per": "planet"},
        {"tokens": 10, "reserve": 1, "per": "turn", "every": "1h"},
        {"tokens": 10, "reserve": 1, "every": "soon"},
        {"tokens": 10, "reserve": 1, "raised_by": ""},
        {"tokens": 10**16, "reserve": 1},
        {"tokens": 10, "reserve": 1, "name": "x" * 65},
    )
    for given in wrong:
        with pytest.raises(ContractError):
            Budget(**given)
    model = MeteredModel(used=[1])
    twice = (Budget(tokens=10, reserve=1), Budget(tokens=20, reserve=1))
    with pytest.raises(WorkflowDefinitionError, match="two budgets"):
        desk(model, *twice).definition()
    with pytest.raises(WorkflowDefinitionError, match="turn"):
        desk(model, Budget(tokens=10, reserve=1, per="turn", raised_by="boss")).definition()
