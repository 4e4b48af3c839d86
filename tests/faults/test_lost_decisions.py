"""A connection that breaks while the COMMIT of a decision, a resolution or an event is on its way: it is looked up whether that was kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langgraph.types import Command

from interlock import Approval, DeliveryStatus, Event, Principal, SQLCheckpointer, Workflow, command
from interlock.commands.waits import delivery
from interlock.operations import Deliveries
from interlock.testing import Fault, FaultPoint, ScriptedChatModel, call, drop, injected
from interlock.tools.errors import CommitUnknown, ConflictError, PrincipalError, StoreUnavailable
from tests.support.cutting_proxy import CuttingProxy, cutting

THREAD: Any = {"configurable": {"thread_id": "t-1", "workflow_id": "wf_1"}}
ADA = Principal("ada")
BEN = Principal("ben", roles={"supervisor"})
HELLO = {"messages": [("user", "please")]}


class Arrived(Event, name="parcel.arrived"):
    parcel_id: str = "p"


class Died(BaseException):
    """A process that dies in the middle of an effect."""


class Desk:
    """A desk that asks before it sends, and then waits for the parcel to arrive; on SQLite, or on a server behind a proxy."""

    def __init__(self, url: str, proxy: CuttingProxy | None = None) -> None:
        self.proxy = proxy
        self.dies = False

        @command("parcel.send", effect="at_most_once")
        def send(parcel_id: str) -> str:
            """Send a parcel."""
            if self.dies:
                raise Died
            return parcel_id

        flow = Workflow(
            "desk", model=ScriptedChatModel([call("parcel.send", parcelId="p")], forever="Done."), run_by="supervisor"
        )
        flow.add_state("open")
        flow.add_wait("sent", for_event=Arrived, then="closed", within="1d", on_timeout="closed")
        flow.add_state("closed", final=True)
        flow.add_edge("open", send, "sent", approval=Approval(role="supervisor"))
        self.saver = SQLCheckpointer(url)
        self.saver.setup()
        self.graph = flow.compile(self.saver)
        self.deliveries = Deliveries(self.graph)

    def asked(self) -> str:
        """Run up to the approval; its id."""
        waiting = self.graph.invoke(HELLO, THREAD, context=ADA)
        return str(waiting["__interrupt__"][0].value["approvalId"])

    def lost(self, when: str = "after", nth: int = 1) -> AbstractContextManager[Any]:
        """Lose the answer to the nth COMMIT of the workflow store, or the COMMIT itself (`before`)."""
        if self.proxy is None:
            return injected(drop(FaultPoint.AFTER_COMMIT, nth))
        proxy = self.proxy
        return injected(Fault(lambda: proxy.cut(when), FaultPoint.BEFORE_COMMIT, nth))

    def records(self, kind: str) -> int:
        return sum(record.kind.value == kind for record in self.graph.engine.store.audit("wf_1"))

    def inbox(self) -> list[tuple[str, int]]:
        with self.saver.database.read() as connection:
            return [tuple(row) for row in connection.execute(sa.text("SELECT status, repeats FROM workflow_inbox"))]


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    if request.param == "sqlite":
        made = Desk(f"sqlite:///{tmp_path}/desk.db")
        yield made
        made.saver.close()
        return
    direct = request.getfixturevalue({"postgresql": "postgres_database", "mysql": "mysql_database"}[request.param])
    with cutting(direct) as proxy:
        made = Desk(proxy.url, proxy)
        yield made
        made.saver.close()


def only_on_a_server(desk: Desk) -> CuttingProxy:
    if desk.proxy is None:
        pytest.skip("a COMMIT to a file does not get lost on its way")
    return desk.proxy


def test_a_decision_whose_commit_was_not_answered_is_taken_once_and_given_back(desk: Desk) -> None:
    approval_id = desk.asked()
    with desk.lost():
        taken = desk.graph.instances.decide(approval_id, "approve", by=BEN)
    assert (taken.status.value, desk.records("decision")) == ("approved", 1)
    assert desk.graph.instances.resume(THREAD)["state"] == "sent"


def test_a_decision_whose_commit_never_arrived_is_said_not_to_be_taken_and_can_be_taken(desk: Desk) -> None:
    only_on_a_server(desk)
    approval_id = desk.asked()
    with desk.lost("before"), pytest.raises(StoreUnavailable, match=r"nothing was kept\. Do it again") as lost:
        desk.graph.instances.decide(approval_id, "approve", by=BEN)
    assert not isinstance(lost.value, CommitUnknown)
    assert desk.graph.instances.decide(approval_id, "approve", by=BEN).status.value == "approved"
    assert desk.records("decision") == 1


def test_a_decision_that_is_declined_is_declined_and_recorded_once(desk: Desk) -> None:
    approval_id = desk.asked()
    with desk.lost(), pytest.raises(PrincipalError, match="may not approve"):
        desk.graph.instances.decide(approval_id, "approve", by=Principal("cole"))
    assert desk.records("decision_refused") == 1


def test_where_nobody_can_be_asked_it_is_said_to_be_unknown(desk: Desk) -> None:
    proxy = only_on_a_server(desk)
    approval_id = desk.asked()

    def cut_for_good() -> None:
        proxy.cut("after")
        proxy.reachable = False

    with injected(Fault(cut_for_good, FaultPoint.BEFORE_COMMIT, 1)), pytest.raises(CommitUnknown, match="is unknown"):
        desk.graph.instances.decide(approval_id, "approve", by=BEN)
    proxy.reachable = True
    with pytest.raises(ConflictError, match="already approved"):
        desk.graph.instances.decide(approval_id, "approve", by=BEN)


@pytest.mark.parametrize("nth", range(1, 4))
def test_an_answer_that_a_graph_is_resumed_with_counts_once_whichever_commit_is_lost(nth: int, desk: Desk) -> None:
    desk.asked()
    with desk.lost(nth=nth):
        try:
            output = desk.graph.invoke(Command(resume="approve"), THREAD, context=BEN)
        except StoreUnavailable:  # of a step of the graph that carried nothing out, and is run again
            output = desk.graph.invoke(None, THREAD, context=BEN)
    assert (output["state"], desk.records("decision"), desk.records("transition")) == ("sent", 1, 1)


@pytest.mark.parametrize("through", ["instances", "graph"])
def test_what_became_of_an_attempt_is_written_down_once(through: str, desk: Desk) -> None:
    desk.asked()
    desk.dies = True
    with pytest.raises(Died):
        desk.graph.invoke(Command(resume="approve"), THREAD, context=BEN)
    broken = desk.graph.invoke(None, THREAD, context=ADA)["__interrupt__"][0]
    answer = {"type": "happened", "output": "p", "attempt": broken.value["attempt"]}
    with desk.lost():
        if through == "instances":
            result = desk.graph.instances.resolve(THREAD, "happened", by=BEN, output="p")
            assert result is not None
            assert result["ok"]
        else:
            desk.graph.invoke(Command(resume={broken.id: answer}), THREAD, context=BEN)
    assert (desk.records("resolution"), desk.records("transition")) == (1, 1)


def sent(desk: Desk) -> None:
    desk.graph.instances.decide(desk.asked(), "approve", by=BEN)
    desk.graph.instances.resume(THREAD)


def test_an_event_whose_commit_was_not_answered_is_taken_once_and_moves_its_wait(desk: Desk) -> None:
    sent(desk)
    with desk.lost():
        taken = desk.deliveries.deliver(Arrived(), workflow_id="wf_1")
    assert (taken.status, taken.workflow_ids) == (DeliveryStatus.TAKEN, ("wf_1",))
    assert desk.inbox() == [("taken", 1)]  # the look counts as having come again
    assert desk.graph.instances.snapshot(THREAD).state == "closed"
    assert desk.records("event_in") == 1


def test_an_event_whose_commit_never_arrived_is_taken_in_anew(desk: Desk) -> None:
    only_on_a_server(desk)
    sent(desk)
    with desk.lost("before"):
        taken = desk.deliveries.deliver(Arrived(), workflow_id="wf_1")
    assert (taken.status, desk.inbox(), desk.records("event_in")) == (DeliveryStatus.TAKEN, [("taken", 0)], 1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_event_of_the_inbox_that_is_delivered_again_is_taken_once(
    when: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    if when == "before":
        only_on_a_server(desk)
    sent(desk)

    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    whole: Callable[..., Any] = delivery._match
    monkeypatch.setattr(delivery, "_match", broken)
    assert desk.deliveries.deliver(Arrived(), workflow_id="wf_1").status is DeliveryStatus.FAILED
    monkeypatch.setattr(delivery, "_match", whole)
    with desk.saver.database.read() as connection:
        (event,) = delivery.inbox_rows.listing(connection)

    with desk.lost(when):
        taken = desk.deliveries.again(event)

    assert (taken.status, taken.workflow_ids, desk.records("event_in")) == (DeliveryStatus.TAKEN, ("wf_1",), 1)
    assert [status for status, _ in desk.inbox()] == ["taken"]
