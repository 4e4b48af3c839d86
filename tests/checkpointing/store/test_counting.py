"""What policies count of the ledger: by instance, principal and tenant, over time, and by any field of the arguments."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Allow, Deny, Policy, Principal, Refused, Workflow, WorkflowStore, command
from interlock.rules.policies import Per, ProposalView
from tests.events.support import Clock

ANN, EVE, ADA = Principal("ann"), Principal("eve"), Principal("ada", tenant="acme")
HOUR = 3_600_000_000


class Money(BaseModel):
    amount: Any = None


@command("order.pay", effect="transactional")
def pay(amount: Decimal | str, money: Money | None = None, fail: bool = False) -> str:
    """Pay."""
    if fail:
        raise Refused("no")
    return "paid"


@command("order.close", effect="transactional")
def close(amount: Decimal | str = "0") -> str:
    """Close."""
    return "closed"


class Looks(Policy):
    """Asks the history what a test wants to know, and keeps the answer."""

    def __init__(self) -> None:
        self.ask: Any = None
        self.answer: Any = None

    def judge(self, proposal: ProposalView) -> Any:
        if self.ask is None:
            return Allow()
        self.answer = self.ask(proposal.history, proposal)
        return Deny("only looked")


class Shop:
    """Instances of three people, all with one store."""

    def __init__(self) -> None:
        self.looks, self.clock = Looks(), Clock()
        flow = Workflow("shop", policies=[self.looks])
        flow.add_state("open", tools=[pay, close])
        flow.add_state("over", final=True)
        flow.add_edge("open", command("shop.end", effect="transactional")(end), "over")
        self.store = WorkflowStore.in_memory(clock=self.clock)
        self.graph = flow.compile(workflow_store=self.store)
        self.ids: dict[str, str] = {}
        for thread, who in (("ann", ANN), ("ann 2", ANN), ("eve", EVE), ("ada", ADA)):
            config: Any = {"configurable": {"thread_id": thread}}
            self.graph.invoke({"messages": []}, config, context=who)
            self.ids[thread] = self.graph.instances.id_of(config)

    def do(self, thread: str, tool: Any = pay, key: str | None = None, **arguments: Any) -> Any:
        who = {"eve": EVE, "ada": ADA}.get(thread, ANN)
        self.clock.forward(hours=1)
        return self.graph.instances.execute(self.ids[thread], tool, arguments, principal=who, idempotency_key=key)

    def seen(self, ask: Any, thread: str = "ann", **arguments: Any) -> Any:
        self.looks.ask = ask
        self.do(thread, **({"amount": "1"} | arguments))
        self.looks.ask = None
        return self.looks.answer

    def times(self, per: Per, since: int | None = None, tools: Any = ("order.pay",), thread: str = "ann") -> Any:
        return self.seen(lambda history, _: history.times(frozenset(tools), per=per, since=since), thread)

    def total(self, per: Per, since: int | None = None, field: str = "amount", thread: str = "ann") -> Any:
        return self.seen(
            lambda history, _: history.total(frozenset({"order.pay"}), field, per=per, since=since), thread
        )


def end() -> str:
    """End."""
    return "ended"


@pytest.fixture(params=["counted from the first call on", "counted when it is first asked"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """With payments of ann (5 and 7 in one instance, 11 in another), eve (100) and, of another tenant, ada (1000)."""
    made = Shop()
    if request.param == "counted from the first call on":
        for per in Per:
            for thread in ("ann", "eve", "ada"):
                made.times(per, thread=thread)
                made.total(per, thread=thread)
                made.total(per, since=1, thread=thread)
                made.times(per, since=1, thread=thread)
    for thread, amount in (("ann", "5"), ("ann", "7"), ("ann 2", "11"), ("eve", "100"), ("ada", "1000")):
        made.do(thread, amount=amount)
    yield made
    made.store.close()


@pytest.mark.parametrize(
    ("per", "thread", "times", "total"),
    [
        (Per.RUN, "ann", 2, 12), (Per.PRINCIPAL, "ann", 3, 23), (Per.TENANT, "ann", 4, 123), (Per.RUN, "eve", 1, 100),
        (Per.PRINCIPAL, "eve", 1, 100), (Per.TENANT, "eve", 4, 123), (Per.RUN, "ada", 1, 1000), (Per.TENANT, "ada", 1, 1000),
    ],
)  # fmt: skip
def test_it_counts_for_an_instance_a_principal_or_a_tenant(
    shop: Shop, per: Per, thread: str, times: int, total: int
) -> None:
    assert shop.times(per, thread=thread) == times
    assert shop.total(per, thread=thread) == total
    assert shop.times(per, thread=thread) == times, "asking counts for nothing"


def test_it_counts_since_a_moment_and_not_at_it(shop: Shop) -> None:
    entries = sorted(
        record.recorded_at
        for thread in ("ann", "ann 2")
        for record in shop.store.audit(shop.ids[thread])
        if record.kind == "transition"
    )
    for number, moment in enumerate(entries, start=1):
        assert shop.times(Per.PRINCIPAL, since=moment) == 3 - number
        assert shop.times(Per.PRINCIPAL, since=moment - 1) == 4 - number
    assert shop.total(Per.PRINCIPAL, since=entries[0]) == 18
    assert shop.total(Per.TENANT, since=entries[-1]) == 100


def test_several_tools_are_counted_together_and_what_failed_not_at_all(shop: Shop) -> None:
    shop.do("ann", close)
    shop.do("ann", amount="3", fail=True)
    assert shop.times(Per.RUN, tools=("order.pay", "order.close")) == 3
    assert shop.times(Per.RUN, tools=("order.close",)) == 1
    assert shop.times(Per.RUN, tools=("order.nothing",)) == 0
    assert shop.total(Per.RUN) == 12


def test_a_call_that_comes_again_under_its_key_counts_once(shop: Shop) -> None:
    shop.do("ann", amount="3", key="k")
    shop.do("ann", amount="3", key="k")
    assert (shop.times(Per.RUN), shop.total(Per.RUN)) == (3, 15)


def test_what_is_negative_counts_as_nothing_and_what_is_no_amount_leaves_the_sum_unknown(shop: Shop) -> None:
    shop.do("ann", amount="-50")
    assert (shop.times(Per.RUN), shop.total(Per.RUN)) == (3, 12)
    shop.do("ann 2", amount="much")
    assert shop.total(Per.RUN) == 12
    assert shop.total(Per.PRINCIPAL) is None
    assert shop.times(Per.PRINCIPAL) == 5


def test_a_field_inside_another_one_is_added_up_and_told_one_by_one(shop: Shop) -> None:
    shop.do("ann", amount="1", money={"amount": "2.5"})
    shop.do("ann 2", amount="1", money={"amount": "4"})
    assert shop.total(Per.RUN, field="money.amount") == Decimal("2.5")
    assert shop.total(Per.PRINCIPAL, field="money.amount") == Decimal("6.5")

    def amounts(field: str, per: Per, since: int | None = None) -> list[Any]:
        return list(
            shop.seen(lambda history, _: [*history.amounts(frozenset({"order.pay"}), field, per=per, since=since)])
        )

    assert amounts("amount", Per.RUN) == ["5", "7", "1"]
    assert amounts("amount", Per.TENANT) == ["5", "7", "11", "100", "1", "1"]
    assert amounts("money.amount", Per.RUN) == [None, None, "2.5"]
    assert amounts("money.nothing.deep", Per.RUN) == [None, None, None]
    assert amounts("amount", Per.RUN, since=shop.clock.now) == []


def test_how_often_each_tool_was_carried_out_in_an_instance_is_told(shop: Shop) -> None:
    shop.do("ann", close)

    def look(_: Any, proposal: ProposalView) -> Any:
        counts = proposal.carried_out
        return (
            counts.get("order.pay"),
            counts.get("order.nothing"),
            dict(counts),
            len(counts),
            "order.close" in counts,
        )

    assert shop.seen(look) == (2, None, {"order.pay": 2, "order.close": 1}, 2, True)
    assert shop.seen(look, thread="eve") == (1, None, {"order.pay": 1}, 1, False)
