"""What a fork has of its source, and what not: its wait, its state under a newer version, its secrets, its head."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel

from interlock import Event, Principal, SQLCheckpointer, ToolContext, Workflow, WorkflowGraph, command
from interlock.checkpointing.store import AuditKind
from interlock.operations import Deliveries, time_travel
from interlock.testing import ScriptedChatModel, call
from interlock.tools import UnknownState
from tests.events.support import envelope

ANN = Principal("ann", tenant="acme")
HERE: RunnableConfig = {"configurable": {"thread_id": "t-1"}}
THERE = "t-2"
SECRET = "4111-1111-1111-1111"


class Delivered(Event, name="card.delivered"):
    order_id: str


class CardData(BaseModel):
    order_id: str = ""
    card_number: str = ""


@command("card.order", effect="transactional", sensitive=["card_number"])
def order_card(order_id: str, card_number: str, ctx: ToolContext[CardData]) -> str:
    """Order a card."""
    ctx.data.order_id, ctx.data.card_number = order_id, card_number
    return order_id


def flow(version: int = 1, ordered: str = "ordered", **more: Any) -> Workflow:
    script: list[Any] = [call("card.order", orderId="o-1", cardNumber=SECRET), "ordered"]
    made = Workflow("cards", version=version, data=CardData, model=ScriptedChatModel(script), **more)
    made.add_state("open")
    made.add_wait(ordered, for_event=Delivered, key="order_id", within="2h", then="over", on_timeout="late")
    for state in ("over", "late"):
        made.add_state(state, final=True)
    made.add_edge("open", order_card, ordered)
    return made


@pytest.fixture
def saver(sqlite_url: str) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(sqlite_url) as made:
        yield made


@pytest.fixture
def graph(saver: SQLCheckpointer) -> WorkflowGraph:
    """A card that was ordered, and is awaited."""
    made = flow().compile(saver)
    made.invoke({"messages": [("user", "a card")]}, HERE, context=ANN)
    assert made.instances.get(HERE).state == "ordered"
    return made


def test_a_fork_of_what_waits_waits_itself(graph: WorkflowGraph) -> None:
    forked = graph.instances.fork(HERE, thread_id=THERE, principal=ANN)
    assert graph.instances.get(forked).state == "ordered"

    delivery = Deliveries(graph).deliver(envelope(Delivered(order_id="o-1"), tenant="acme"))

    both = {graph.instances.get(HERE).workflow_id, graph.instances.get(forked).workflow_id}
    assert {*delivery.workflow_ids} == both
    assert graph.instances.get(forked).state == "over"


def test_the_record_of_a_fork_has_no_sensitive_data_in_clear(graph: WorkflowGraph) -> None:
    forked = graph.instances.fork(HERE, thread_id=THERE, principal=ANN)

    assert graph.instances.get(forked).data["card_number"] == SECRET
    first = graph.instances.audit(forked)[0]
    assert first.kind is AuditKind.FORK
    payload: Any = first.payload
    assert payload["data"]["order_id"] == "o-1"
    assert SECRET not in json.dumps(first.payload)


def test_a_fork_under_a_newer_version_stands_where_the_mapping_says(
    graph: WorkflowGraph, saver: SQLCheckpointer
) -> None:
    newer = flow(2, "awaited", state_mapping={"ordered": "awaited"}).compile(saver)
    forked = newer.instances.fork(HERE, thread_id=THERE, principal=ANN)
    assert newer.instances.get(forked).state == "awaited"

    without = flow(3, "elsewhere").compile(saver)
    with pytest.raises(UnknownState):
        without.instances.fork(HERE, thread_id="t-3", principal=ANN)


def test_the_head_of_a_thread_without_branches_is_its_newest_checkpoint_whatever_comes(graph: WorkflowGraph) -> None:
    assert graph.instances.head(HERE) == HERE


def test_the_application_forks_for_whoever_began(graph: WorkflowGraph) -> None:
    forked = graph.instances.fork(HERE, thread_id=THERE)

    assert graph.get_state(forked).values["progress"]["requester"]["id"] == "ann"
    assert graph.instances.get(forked).started_by == Principal.anonymous("acme")


def test_whoever_forks_has_started_the_fork(graph: WorkflowGraph) -> None:
    forked = graph.instances.fork(HERE, thread_id=THERE, principal=ANN)

    assert graph.instances.get(forked).started_by == ANN


def test_of_two_that_rejoin_at_once_one_does(graph: WorkflowGraph) -> None:
    engine = graph.engine
    seen = graph.instances.get(HERE)
    instance = engine.store.get(seen.workflow_id)
    for _ in range(2):  # both looked before either of them wrote
        with engine.store.write() as connection:
            time_travel._rejoined(engine, connection, instance, "t-1", ANN)

    kinds = [record.kind for record in graph.instances.audit(HERE)]
    assert kinds.count(AuditKind.REJOINED) == 1
