"""The engagement workflow end to end: asked for in one process, sent in another, and the workflow goes on; or the deadline comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock import EventService, SQLCheckpointer, WorkflowGraph, WorkflowStore
from interlock.events import InProcessBus, RelayOptions
from interlock.events.brokers import open_bus
from interlock.events.following import follow
from interlock.testing import ScriptedChatModel, call
from interlock.workflows.engagement import MessageRequested, engagement_workflow
from interlock.workflows.engagement.consumer import Sender
from tests.events.conftest import Broker
from tests.events.processes import running
from tests.events.support import Clock, eventually

CONFIG: Any = {"configurable": {"thread_id": "t-1"}}
QUICK = RelayOptions(idle=0.01, first_pause=0.05)
REQUEST = {"customerId": "c-1", "template": "welcome", "channels": ["sms", "email"]}


@contextmanager
def engaged(tmp_path: Path, within: str = "2h", clock: Clock | None = None) -> Iterator[WorkflowGraph]:
    saver = SQLCheckpointer(f"sqlite:///{tmp_path / 'engagement.db'}", synchronous="NORMAL")
    model = ScriptedChatModel([call("engagement.send", **REQUEST)])
    store = WorkflowStore(saver.database, clock=clock)
    graph = engagement_workflow(model, within=within).compile(saver, workflow_store=store)
    yield graph
    saver.database.close()


def dispatched(graph: WorkflowGraph) -> str:
    output = graph.invoke({"messages": [("user", "Welcome the customer c-1.")]}, CONFIG)
    assert output["last_result"]["currentState"] == "dispatched"
    return graph.instances.id_of(CONFIG)


def followed(graph: WorkflowGraph, state: str) -> None:
    """The row has moved, and the graph has gone on."""
    eventually(lambda: graph.instances.get(CONFIG).state == state)
    eventually(lambda: graph.get_state(CONFIG).next == ())
    assert graph.get_state(CONFIG).values["state"] == state


def known_to(bus_url: str, prefix: str, *options: str) -> Any:
    return running(
        "-m", "interlock.workflows.engagement.consumer", "--bus", bus_url, "--prefix", prefix, *options
    )  # fmt: skip


def test_over_a_broker_a_consumer_in_another_process_answers_and_the_workflow_closes(
    broker: Broker, tmp_path: Path
) -> None:
    with (
        engaged(tmp_path) as graph,
        known_to(broker.url, broker.prefix) as consumer,
        EventService(graph, open_bus(broker.url, prefix=broker.prefix), tick=0.1, options=QUICK),
    ):
        eventually(lambda: "ready" in consumer.lines or not consumer.is_running)
        workflow_id = dispatched(graph)
        followed(graph, "closed")
        assert sorted(graph.instances.get(CONFIG).data["reached"]) == ["email", "sms"]

        store = graph.engine.store
        eventually(
            lambda: len([hop for hop in follow(store, store.get(workflow_id).trace_id) if hop.kind == "published"]) == 2
        )
        hops = follow(store, store.get(workflow_id).trace_id)
        assert consumer.stop() == 0, consumer.lines

    kinds = [hop.kind for hop in hops]
    assert {one: kinds.count(one) for one in ("started", "tool", "emitted", "published", "received", "counted", "moved")} == {
        "started": 1, "tool": 1, "emitted": 2, "published": 2, "received": 2, "counted": 2, "moved": 1,
    }  # fmt: skip
    assert all(broker.kind in hop.note for hop in hops if hop.kind == "published")
    assert all("/engagement/sender" in hop.note for hop in hops if hop.kind == "received")
    # An event is marked as published after the bus has taken it, and by then the answer may have come.
    assert kinds.index("tool") < kinds.index("emitted") < kinds.index("received") < kinds.index("counted")
    assert kinds[-1] == "moved" or kinds.index("moved") > len(kinds) - 1 - kinds[::-1].index("counted")


def test_over_a_broker_an_answer_that_never_comes_takes_the_deadlines_edge(broker: Broker, tmp_path: Path) -> None:
    clock = Clock()
    with (
        engaged(tmp_path, clock=clock) as graph,
        known_to(broker.url, broker.prefix, "--silent", "email") as consumer,
        EventService(graph, open_bus(broker.url, prefix=broker.prefix), tick=0.05, options=QUICK),
    ):
        eventually(lambda: "ready" in consumer.lines or not consumer.is_running)
        workflow_id = dispatched(graph)
        eventually(lambda: graph.instances.snapshot(workflow_id).waits[0]["progress"]["delivered"] == 1)  # type: ignore[call-overload, index]
        clock.forward(hours=2)
        followed(graph, "escalated")
        moved = graph.instances.audit(CONFIG)[-1].payload
        assert consumer.stop() == 0, consumer.lines

    assert moved is not None
    assert moved["ended"] == "timed_out"
    assert moved["progress"] == {"requested": 0, "delivered": 1, "acknowledged": 0, "failed": 0, "timed_out": 1}


@pytest.mark.parametrize(
    ("broken", "state", "reached"), [((), "closed", {"email", "sms"}), (("sms",), "escalated", {"email"})]
)
def test_in_one_process_without_any_set_up(
    broken: tuple[str, ...], state: str, reached: set[str], tmp_path: Path
) -> None:
    with engaged(tmp_path) as graph:
        service = EventService(graph, tick=0.05, options=QUICK)
        service.on([MessageRequested.name_on_wire], Sender(service.bus, broken=frozenset(broken)), consumer="sender")
        with service:
            dispatched(graph)
            followed(graph, state)
        assert set(graph.instances.get(CONFIG).data["reached"]) <= reached


def test_in_one_process_an_answer_that_never_comes_takes_the_deadlines_edge(tmp_path: Path) -> None:
    with engaged(tmp_path, within="1s") as graph:
        service = EventService(graph, InProcessBus(), tick=0.05, options=QUICK)
        with service:
            dispatched(graph)
            followed(graph, "escalated")


def test_the_command_line_does_the_same_with_a_relay_and_a_subscription_of_their_own(
    nats: Broker, tmp_path: Path
) -> None:
    broker = nats
    url = f"sqlite:///{tmp_path / 'engagement.db'}"
    common = {"INTERLOCK_BUS": broker.url, "INTERLOCK_BUS_PREFIX": broker.prefix, "INTERLOCK_DB": url}
    with engaged(tmp_path) as graph:
        graph.engine.store.setup()
        with (
            known_to(broker.url, broker.prefix) as consumer,
            running("-m", "interlock", "relay", **common) as relay,
            running(
                "-m", "interlock", "subscribe", "--json", "--tick", "0.1",
                INTERLOCK_APP="interlock.workflows.engagement:engagement_workflow", **common,
            ) as subscription,
        ):  # fmt: skip
            eventually(lambda: "ready" in consumer.lines and subscription.lines, 60)
            dispatched(graph)
            followed(graph, "closed")
            assert [subscription.stop(), relay.stop(), consumer.stop()] == [0, 0, 0], (subscription.lines, relay.lines)
