"""A workflow whose tools have dots runs against a provider that refuses dots, with the real client package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, TypeAlias

import pytest
from langchain_openai import ChatOpenAI
from langgraph.types import Command
from pydantic import BaseModel, SecretStr

from interlock import Principal, Workflow, command, read
from interlock.testing import call
from tests.support.provider import KEY, Provider

ANN, BOB = Principal(id="ann"), Principal(id="bob")


class Order(BaseModel):
    order_id: str
    total: Decimal


class Done(BaseModel):
    order_id: str


@read("order.get")
def get_order(order_id: str) -> Order:
    """Look up one order."""
    return Order(order_id=order_id, total=Decimal("12.50"))


@command("order.refund")
def refund(order_id: str, amount: Decimal) -> Done:
    """Refund an order."""
    return Done(order_id=order_id)


@command("order.reopen")
def reopen(order_id: str) -> Done:
    """Open an order again after its refund."""
    return Done(order_id=order_id)


@command("order.close")
def close(order_id: str) -> Done:
    """Close an order for good."""
    return Done(order_id=order_id)


SCRIPT = [
    call("order.reopen", orderId="W1").with_id("call_denied"),  # not on offer: named all the same
    call("order.get", orderId="W1").with_id("call_read"),
    call("order.refund", orderId="W1", amount="12.50").with_id("call_approved"),
    call("order.close", orderId="W1").with_id("call_closed"),
]


def desk(model: Any) -> Any:
    workflow = Workflow("desk", model=model)
    workflow.add_state("open", tools=[get_order])
    workflow.add_state("refunded", tools=[get_order])
    workflow.add_state("closed", final=True)
    workflow.add_edge("open", refund, "refunded", approval=True)
    workflow.add_edge("refunded", reopen, "open")
    workflow.add_edge("refunded", close, "closed")
    return workflow.compile()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with Provider(SCRIPT) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield provider


Name: TypeAlias = Callable[[Provider], Any]


def by_object(provider: Provider) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4.1", base_url=provider.base_url, api_key=SecretStr(KEY), max_retries=0)


def by_string(provider: Provider) -> str:
    return "openai:gpt-4.1"


def _answers(provider: Provider) -> dict[str, Any]:
    """What the provider was told about each tool call, by its id."""
    messages = provider.accepted[-1]["messages"]
    return {told["tool_call_id"]: json.loads(told["content"]) for told in messages if told["role"] == "tool"}


@pytest.mark.parametrize("name", [by_object, by_string])
def test_a_workflow_with_dotted_tools_runs_against_a_provider_that_refuses_dots(provider: Provider, name: Name) -> None:
    graph = desk(name(provider))
    config = {"configurable": {"thread_id": "t-1"}}

    asked = graph.invoke({"messages": [("user", "Please refund order W1")]}, config, context=ANN)
    assert asked["__interrupt__"]
    assert len(provider.accepted) == 3
    graph.invoke(Command(resume={"type": "approve"}), config, context=BOB)

    assert provider.refused == []
    assert provider.left == 0
    assert [sorted(names) for names in provider.offered] == [
        ["order_get", "order_refund"],
        ["order_get", "order_refund"],
        ["order_get", "order_refund"],
        ["order_close", "order_get", "order_reopen"],
    ]
    told = _answers(provider)
    assert told["call_denied"]["error"]["code"] == "tool_not_allowed"
    assert sorted(told["call_denied"]["nextAllowedTools"]) == ["order_get", "order_refund"]
    assert told["call_read"]["output"] == {"orderId": "W1", "total": "12.50"}
    assert (told["call_approved"]["previousState"], told["call_approved"]["currentState"]) == ("open", "refunded")
    assert sorted(told["call_approved"]["nextAllowedTools"]) == ["order_close", "order_get", "order_reopen"]


async def test_the_same_holds_for_an_asynchronous_run(provider: Provider) -> None:
    graph = desk(by_object(provider))
    config = {"configurable": {"thread_id": "t-1"}}

    await graph.ainvoke({"messages": [("user", "Please refund order W1")]}, config, context=ANN)
    await graph.ainvoke(Command(resume={"type": "approve"}), config, context=BOB)

    assert provider.refused == []
    assert provider.left == 0
    assert _answers(provider)["call_approved"]["ok"] is True
