"""Reads that a policy asks about: they are asked like anything else, and what nobody asks about is read at once."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from interlock import Allow, Approval, Policy, Principal, RequireApproval, WorkflowStore
from interlock.testing import ScriptedChatModel, call
from tests.commands.approvals.support import ADA, BEN, Home, Shop, answers, asked, kinds, said, thread


class Secret(Policy):
    """The order 13 is looked up only with somebody's consent."""

    def judge(self, proposal: Any) -> Any:
        wanted = proposal.arguments.get("orderId")
        return RequireApproval(Approval(role="supervisor"), "13 is secret") if wanted == "13" else Allow()


def looking(order: str) -> Any:
    return call("order.get", orderId=order)


@pytest.mark.parametrize(("answer", "codes"), [("approve", ["ok"]), ("reject", ["approval_rejected"])])
def test_a_read_that_stays_is_asked_about_and_then_read_or_not(
    shop: Shop, home: Home, answer: str, codes: list[str]
) -> None:
    graph = home.compile(shop.workflow([looking("13")], policies=[Secret()]))

    (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
    assert (shown["tool"], shown["reasons"], shop.ran) == ("order.get", ["Secret: 13 is secret"], [])
    output = graph.invoke(Command(resume=answer), thread(), context=BEN)

    assert answers(output) == codes
    assert shop.ran == (["get 13"] if answer == "approve" else [])
    assert kinds(graph, thread()).count("read") == len(shop.ran)


async def test_an_edited_read_among_several_in_one_message_runs_as_edited(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([[looking("1"), looking("13"), looking("2")]], policies=[Secret()]))

    (shown,) = asked(await graph.ainvoke(said(), thread(), context=ADA))
    assert shown["arguments"] == {"orderId": "13"}
    edit = {"type": "edit", "args": {"orderId": "14"}}
    output = await graph.ainvoke(Command(resume=edit), thread(), context=BEN)

    assert answers(output) == ["ok", "ok", "ok"]
    assert sorted(shop.ran) == ["get 1", "get 14", "get 2"]


def test_at_the_door_the_decision_carries_the_read_out(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([], policies=[Secret()]))
    graph.invoke(said(), thread(), context=ADA)

    waiting = graph.instances.propose(thread(), shop.get_order, {"orderId": "13"}, principal=ADA, key="k")
    assert (waiting.ok, shop.ran) == (None, [])
    graph.instances.decide(waiting.pending.proposal_id, "approve", by=BEN)
    done = graph.instances.propose(thread(), shop.get_order, {"orderId": "13"}, principal=ADA, key="k")

    assert (done.ok, shop.ran) == (True, ["get 13"])


def test_an_agent_with_the_middleware_asks_about_the_read_too(shop: Shop) -> None:
    model = ScriptedChatModel([[looking("13")], "Done."])
    middleware = shop.workflow([], policies=[Secret()]).as_middleware(workflow_store=WorkflowStore.in_memory())
    agent: Any = create_agent(
        model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal
    )

    (waiting,) = agent.invoke(said(), thread(), context=ADA)["__interrupt__"]
    assert (waiting.value["tool"], shop.ran) == ("order.get", [])
    agent.invoke(Command(resume="approve"), thread(), context=BEN)

    assert shop.ran == ["get 13"]
