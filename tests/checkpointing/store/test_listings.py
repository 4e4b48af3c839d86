"""What the store lists is whose it was asked for, in the order that it says, and no more than was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from interlock import Event, Principal, ToolContext, Workflow, WorkflowGraph, WorkflowStore, command
from interlock.checkpointing.store import inbox, outbox
from interlock.checkpointing.store.inbox import InboxStatus
from interlock.checkpointing.store.ledger import LedgerStatus
from interlock.checkpointing.store.outbox import OutboxStatus
from interlock.operations import Deliveries
from interlock.tools import OutcomeUnknown
from tests.events.support import Answered, Clock, envelope

OURS, THEIRS = Principal("ann"), Principal("ada", tenant="acme")


class Noted(Event, name="desk.noted"):
    text: str


@command("desk.note", effect="transactional")
def note(text: str, ctx: ToolContext[Any]) -> str:
    """Write something down."""
    ctx.emit(Noted(text=text))
    return text


@command("desk.send", effect="at_most_once")
def send(text: str) -> str:
    """Send something; nobody knows whether it arrives."""
    raise ConnectionError("no answer")


def flow(name: str) -> Workflow:
    made = Workflow(name)
    made.add_state("open")
    made.add_wait("asked", for_event=Answered, then="closed")
    made.add_state("closed", final=True)
    made.add_edge("open", note, "open")
    made.add_edge("open", send, "asked")
    return made


class Desks:
    """Two workflows in one store, each with an instance of ours and one of theirs, begun a second apart."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = WorkflowStore.in_memory(clock=self.clock)
        self.ids: dict[tuple[str, str], str] = {}
        self.graphs = {name: flow(name).compile(workflow_store=self.store) for name in ("one", "two")}
        for name in self.graphs:
            for who in (OURS, THEIRS):
                self.clock.forward(seconds=1)
                self.ids[name, who.tenant] = self.begin(name, who)

    def begin(self, name: str, who: Principal) -> str:
        config: Any = {"configurable": {"thread_id": f"{name}-{who.id}"}}
        self.graphs[name].invoke({"messages": []}, config, context=who)
        return self.graphs[name].instances.id_of(config)

    def do(self, name: str, who: Principal, tool: Any, text: str) -> None:
        self.clock.forward(seconds=1)
        graph: WorkflowGraph = self.graphs[name]
        with suppress(OutcomeUnknown):
            graph.instances.execute(self.ids[name, who.tenant], tool, {"text": text}, principal=who)


@pytest.fixture
def desks() -> Iterator[Desks]:
    made = Desks()
    yield made
    made.store.close()


class TestInstances:
    def found(self, desks: Desks, **wanted: Any) -> list[str]:
        return [instance.workflow_id for instance in desks.store.instances(**wanted)]

    def test_a_tenant_finds_its_own_and_nobody_in_particular_finds_all(self, desks: Desks) -> None:
        ids = desks.ids
        assert self.found(desks, tenant="default") == [ids["two", "default"], ids["one", "default"]]
        assert self.found(desks, tenant="acme") == [ids["two", "acme"], ids["one", "acme"]]
        assert self.found(desks, tenant="nobody") == []
        assert len(self.found(desks)) == 4

    def test_they_are_of_the_workflow_that_was_asked_for(self, desks: Desks) -> None:
        assert self.found(desks, workflow="one", tenant="acme") == [desks.ids["one", "acme"]]
        assert set(self.found(desks, workflow="two")) == {desks.ids["two", "default"], desks.ids["two", "acme"]}

    def test_what_began_last_comes_first_and_no_more_than_the_limit(self, desks: Desks) -> None:
        desks.do("one", OURS, note, "a")

        assert self.found(desks, limit=2) == [desks.ids["two", "acme"], desks.ids["two", "default"]]


class TestUnsettledEffects:
    def test_a_tenant_finds_its_own_the_oldest_first(self, desks: Desks) -> None:
        desks.do("two", OURS, send, "first")
        desks.do("one", THEIRS, send, "second")
        desks.do("one", OURS, send, "third")

        def found(**wanted: Any) -> list[Any]:
            return [entry.arguments["text"] for entry in desks.store.unsettled(**wanted)]

        assert found(tenant="default") == ["first", "third"]
        assert found(tenant="acme") == ["second"]
        assert found() == ["first", "second", "third"]
        assert found(limit=2) == ["first", "second"]
        assert {entry.status for entry in desks.store.unsettled()} == {LedgerStatus.UNKNOWN}

    def test_what_was_settled_is_not_among_them(self, desks: Desks) -> None:
        desks.do("one", OURS, note, "done")
        desks.do("one", OURS, send, "lost")
        desks.graphs["one"].instances.resolve(desks.ids["one", "default"], "failed", by=Principal("boss"))

        assert desks.store.unsettled() == []


class TestTheOutbox:
    def found(self, desks: Desks, **wanted: Any) -> list[str]:
        with desks.store.read() as connection:
            return [str(event.workflow_id) for event in outbox.listing(connection, **wanted)]

    def test_its_events_are_found_by_tenant_and_instance_the_newest_first(self, desks: Desks) -> None:
        for name, who in (("one", OURS), ("one", THEIRS), ("two", OURS)):
            desks.do(name, who, note, f"{name} {who.tenant}")

        ids = desks.ids
        assert self.found(desks, tenant="default") == [ids["two", "default"], ids["one", "default"]]
        assert self.found(desks, tenant="acme") == [ids["one", "acme"]]
        assert self.found(desks, workflow_id=ids["one", "default"]) == [ids["one", "default"]]
        assert self.found(desks, limit=1) == [ids["two", "default"]]
        assert len(self.found(desks, status=OutboxStatus.PENDING)) == 3
        assert self.found(desks, status=OutboxStatus.DEAD) == []


class TestTheInbox:
    def test_its_events_are_found_by_tenant_trace_instance_and_status(self, desks: Desks) -> None:
        deliveries = Deliveries(desks.graphs["one"])
        ours, theirs = desks.ids["one", "default"], desks.ids["one", "acme"]
        deliveries.deliver(envelope(Answered(), ours, event_id="early"))
        deliveries.deliver(envelope(Answered(), theirs, event_id="of theirs", tenant="acme"))
        deliveries.deliver(envelope(Answered(), "wf_nobody", event_id="lost"))

        def found(**wanted: Any) -> list[str]:
            with desks.store.read() as connection:
                return [event.event_id for event in inbox.listing(connection, **wanted)]

        assert found() == ["lost", "of theirs", "early"]
        assert found(limit=2) == ["lost", "of theirs"]
        assert found(tenant="default") == ["lost", "early"]
        assert found(tenant="acme") == ["of theirs"]
        assert found(workflow_id=ours) == ["early"]
        assert found(trace_id="trace_outside") == ["lost", "of theirs", "early"]
        assert found(trace_id="another") == []
        assert found(status=InboxStatus.UNMATCHED) == ["lost"]
        assert found(status=InboxStatus.KEPT) == ["of theirs", "early"]
