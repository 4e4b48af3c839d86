"""Rules and tools know what time it is by the store's clock, and what was carried out before by its ledger."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from interlock import (
    Approval,
    DecisionView,
    FromDecision,
    GuardView,
    Policy,
    Principal,
    ToolContext,
    Workflow,
    WorkflowStore,
    command,
    read,
)
from interlock.commands.running.facts import wanted_of
from interlock.testing import Clock, Facts, ScriptedChatModel, call
from interlock.tools.errors import ContextError
from tests.graphs.case_rules.support import ANN, WAYS, Case, Place, codes, results

OPENS = dt.datetime(2026, 5, 1, 10, tzinfo=dt.UTC)


class Card(BaseModel):
    stamped: dt.datetime | None = None


@command("card.stamp", effect="transactional")
def stamp(ctx: ToolContext[Card]) -> str:
    """Stamp the card."""
    ctx.data.stamped = ctx.now
    return ctx.now.isoformat()


@command("order.cancel", effect="transactional")
def cancel(order_id: str) -> str:
    """Cancel an order."""
    return order_id


@command("order.voucher", effect="transactional")
def voucher(order_id: str, amount: int = 1) -> str:
    """Give a voucher for an order."""
    return order_id


@read("order.tell")
def tell(ctx: ToolContext) -> str:
    """Say what time it is."""
    return ctx.now.isoformat()


def is_open(view: GuardView) -> bool:
    return view.now >= OPENS


def not_twice(order_id: str, ctx: ToolContext, view: GuardView) -> bool:
    """An order is given one voucher"""
    return view.carried_out("order.voucher", order_id=order_id) == 0


def flow(model: ScriptedChatModel) -> Workflow:
    made = Workflow("clocked", model=model, data=Card)
    made.add_state("open", tools=[tell])
    made.add_state("closed", final=True)
    made.add_edge("open", stamp, "closed", guard=is_open)
    made.add_edge("open", cancel, "open")
    made.add_edge("open", voucher, "open", guard=lambda view: view.carried_out(cancel) > 0, check=not_twice)
    return made


def test_a_guard_a_tool_and_a_record_go_by_one_clock(home: Place) -> None:
    case = home.open(flow, [call("card.stamp"), call("order.tell"), "Not yet.", call("card.stamp")])
    early = case.say()
    assert codes(early) == ["guard_failed", "ok"]
    assert results(early)[1]["output"] == "2026-05-01T09:00:00+00:00"
    assert "card.stamp" not in early["next_allowed_tools"]
    home.clock.advance(hours=1, microseconds=7)
    assert "card.stamp" in case.allowed()
    again = home.open(flow, [call("card.stamp")])
    done = again.say("now?")
    assert results(done)[-1]["output"] == "2026-05-01T10:00:00.000007+00:00"
    assert again.row.data["stamped"] == "2026-05-01T10:00:00.000007Z"


@pytest.mark.parametrize("way", WAYS)
def test_executed_calls_decide_which_tools_are_offered_and_admitted(way: str, file: Place) -> None:
    steps = [
        call("order.voucher", orderId="1"),
        call("order.cancel", orderId="1"),
        call("order.voucher", orderId="1"),
        call("order.voucher", orderId="1", amount=2),
        call("order.voucher", orderId="2"),
    ]
    case = file.open(flow, steps, way=way)
    if way == "door":
        case.begin()
        found = [_code(case.propose("order.voucher", "1", orderId="1"))]
        found.append(_code(case.propose("order.cancel", "2", orderId="1")))
        case = _again(file, case)
        found.append(_code(case.propose("order.voucher", "3", orderId="1")))
        found.append(_code(case.propose("order.voucher", "4", orderId="1", amount=2)))
        found.append(_code(case.propose("order.voucher", "5", orderId="2")))
    else:
        found = codes(case.say())
    assert found == ["guard_failed", "ok", "ok", "check_failed", "ok"]


def _again(file: Place, case: Case) -> Case:
    return file.open(flow, [], way=case.way)


def _code(answer: Any) -> str:
    return "ok" if answer.ok else str(answer.error.code.value)


def test_the_answer_to_a_call_already_offers_what_that_call_made_possible(file: Place) -> None:
    case = file.open(flow, [call("order.cancel", orderId="1")])
    assert "order_voucher" in results(case.say())[0]["nextAllowedTools"]


def test_a_view_says_what_it_cannot_be_asked(file: Place) -> None:
    @command("vault.open", effect="transactional", sensitive=["pin"])
    def open_vault(pin: str, box: int) -> str:
        """Open a box of the vault."""
        return str(box)

    said: list[str] = []

    def curious(view: GuardView) -> bool:
        for ask in (
            lambda: view.carried_out("vault.close"),
            lambda: view.carried_out(open_vault, box_id=1),
            lambda: view.carried_out(open_vault, pin="1"),
        ):
            with pytest.raises(ContextError) as refused:
                ask()
            said.append(refused.value.message)
        return view.carried_out(open_vault, box=7) == 0

    def asking(model: ScriptedChatModel) -> Workflow:
        made = Workflow("vault", model=model)
        made.add_state("open")
        made.add_edge("open", open_vault, "open", guard=curious)
        return made

    case = file.open(asking, [call("vault.open", pin="1234", box=7), call("vault.open", pin="1234", box=7)])
    assert codes(case.say()) == ["ok", "guard_failed"]
    assert "not a tool of the workflow vault" in said[0]
    assert "takes pin, box" in said[1]
    assert "sensitive" in said[2]


def test_a_view_made_by_hand_is_given_its_facts() -> None:
    facts = Facts(at=OPENS, calls={"order.cancel": [{"order_id": "1"}, {"order_id": "2"}]})
    view = GuardView("wf", "open", None, ANN, 0, facts)
    assert is_open(view)
    assert (view.carried_out(cancel), view.carried_out("order.cancel", order_id="2")) == (2, 1)
    with pytest.raises(ContextError, match=r"Facts\(\)"):
        GuardView("wf", "open", None, ANN, 0).now  # noqa: B018


def test_a_clock_that_is_set_moves_only_when_it_is_told() -> None:
    clock = Clock("2026-05-01T11:00:00+02:00")
    assert clock.now == dt.datetime(2026, 5, 1, 9, tzinfo=dt.UTC)
    assert clock() == 1_777_626_000_000_000
    clock.advance(days=7)
    clock.advance(dt.timedelta(seconds=1))
    assert clock.now.isoformat() == "2026-05-08T09:00:01+00:00"
    with pytest.raises(ValueError, match="no zone"):
        Clock("2026-05-01T11:00:00")


class Night(Policy):
    def hides(self, tool: Any, view: GuardView) -> str | None:
        return None if view.now >= OPENS else "it is night"


def test_rules_that_look_something_up_do_so_away_from_the_event_loop() -> None:
    """In memory a reader waits for whoever writes, and a loop that waits would hold up the writer."""

    @command("slow.write", effect="transactional")
    async def slow(ctx: ToolContext) -> str:
        """Write, and take a while."""
        await asyncio.sleep(0)
        return ctx.now.isoformat()

    def decide(view: DecisionView) -> Any:
        return ("slow.write", {}) if view.revision == 0 else view.now.isoformat()

    made = Workflow("apart", policies=[Night()])
    made.add_state("open", decide=decide)
    made.add_edge("open", slow, "open", guard=is_open, approval=Approval(when=lambda view: view.now < OPENS))
    graph = made.compile(workflow_store=WorkflowStore.in_memory(clock=Clock(OPENS)))

    async def both() -> list[Any]:
        runs = (
            graph.ainvoke({"messages": []}, {"configurable": {"thread_id": name}}, context=Principal(name))
            for name in ("a", "b", "c", "d")
        )
        return await asyncio.gather(*runs)

    said = [one["messages"][-1].content for one in asyncio.run(both())]
    assert said == [OPENS.isoformat()] * 4


def test_a_number_counts_however_a_rule_writes_it(file: Place) -> None:
    @command("lot.bid", effect="transactional")
    def bid(price: float) -> str:
        """Bid."""
        return "bid"

    def is_first_at_two(price: float, view: GuardView) -> bool:
        """Two is bid once"""
        return view.carried_out("lot.bid", price=2) == 0

    def asking(model: ScriptedChatModel) -> Workflow:
        made = Workflow("lot", model=model)
        made.add_state("open")
        made.add_edge("open", bid, "open", check=is_first_at_two)
        return made

    steps = [call("lot.bid", price=2.5), call("lot.bid", price=2.0), call("lot.bid", price=2)]
    assert codes(file.open(asking, steps).say()) == ["ok", "ok", "check_failed"]


def test_values_stated_by_an_approver_are_recorded() -> None:
    @command("card.grant", effect="transactional")
    def grant(card: str, reason: Annotated[str, FromDecision("Why?")]) -> str:
        """Grant."""
        return card

    assert wanted_of(grant, {"reason": "She is new."}) == {"reason": "She is new."}
