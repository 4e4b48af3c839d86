"""Who may cancel, where and when; at a deadline; and what a workflow has to say for it."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from interlock import Principal, Workflow, WorkflowStore, command
from interlock.checkpointing import erase_instances
from interlock.checkpointing.tables.workflow import cancellations
from interlock.commands.cancelling.cancel import take_up
from interlock.commands.running.driver import run as drive
from interlock.rules.claims import never
from interlock.testing import Clock
from interlock.tools import InputError, PrincipalError, RunError, WorkflowDefinitionError

from .support import ANN, BOSS, STRANGER, Trips


@command("case.close", effect="transactional")
def close() -> str:
    """Close the case."""
    return "closed"


@pytest.mark.parametrize(
    "who", [STRANGER, Principal("anonymous", roles={"supervisor"}), Principal("bob", roles={"clerk"})]
)
def test_whoever_is_not_named_cancels_nothing_and_that_is_recorded(trips: Trips, who: Principal) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    with pytest.raises(PrincipalError) as refused:
        trips.instances.cancel(trip, "because", by=who)
    assert refused.value.code == "not_entitled"
    assert trips.instances.get(trip).state == "open"
    last = trips.instances.audit(trip)[-1]
    assert (last.kind, last.code, last.principal_id) == ("denial", "not_entitled", who.id)


def test_to_another_tenant_there_is_nothing_to_cancel(trips: Trips) -> None:
    trip = trips.start()
    with pytest.raises(RunError) as unknown:
        trips.instances.cancel(trip, "because", by=Principal("mia", roles={"supervisor"}, tenant="other"))
    assert unknown.value.code == "unknown_instance"


def test_the_person_served_cancels_where_the_workflow_says_so(store: WorkflowStore) -> None:
    trips = Trips(store, served=True)
    trip = trips.start()
    with pytest.raises(PrincipalError):
        trips.instances.cancel(trip, "no", by=BOSS)
    assert trips.instances.cancel(trip, "no", by=ANN).is_done


def test_a_guard_and_states_bound_it_and_a_guard_that_breaks_is_no_yes(store: WorkflowStore) -> None:
    trips = Trips(store, role="supervisor", states=["open"], when=lambda view: view.data.may_cancel)
    assert trips.instances.cancel(trips.start(), "no", by=BOSS).is_done
    with pytest.raises(PrincipalError):
        trips.instances.cancel(trips.start(may_cancel=False), "no", by=BOSS)
    broken = Trips(store, role="supervisor", when=lambda view: 1 / 0)
    trip = broken.start()
    with pytest.raises(Exception, match="rule"):
        broken.instances.cancel(trip, "no", by=BOSS)
    assert broken.instances.get(trip).state == "open"


def test_an_instance_outside_the_cancellable_states_is_not_cancelled(store: WorkflowStore) -> None:
    flow = Workflow("plain")
    flow.add_state("open").add_state("late")
    flow.add_edge("open", close, "late").add_edge("late", close, "late").cancellable(role="supervisor", states=["open"])
    graph = flow.compile(workflow_store=store)
    early, late = (graph.instances.start(principal=ANN).workflow_id for _ in range(2))
    graph.instances.propose(late, "case.close", {}, principal=ANN, key="k-1")
    with pytest.raises(PrincipalError, match="may be cancelled in open"):
        graph.instances.cancel(late, "no", by=BOSS)
    assert graph.instances.get(late).state == "late"
    assert graph.instances.cancel(early, "no", by=BOSS).is_done


def test_a_workflow_that_says_nothing_cannot_be_cancelled(store: WorkflowStore) -> None:
    flow = Workflow("plain")
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    graph = flow.compile(workflow_store=store)
    case = graph.instances.start(principal=ANN).workflow_id
    with pytest.raises(InputError) as refused:
        graph.instances.cancel(case, "no", by=BOSS)
    assert refused.value.code == "not_cancellable"


def test_a_deadline_cancels_what_has_not_come_to_its_end(store: WorkflowStore, time: Clock) -> None:
    trips = Trips(store, after="30d")
    late, done = trips.start(), trips.start()
    trips.call(late, "seat.reserve", seat="4a")
    asked = trips.call(done, "trip.leave")
    trips.instances.decide(asked.pending.proposal_id, "approve", by=BOSS)
    trips.instances.tick()
    time.advance(days=29)
    assert trips.instances.tick().cancelled == []
    time.advance(days=1)

    ticks = [trips.instances.tick() for _ in range(2)]
    assert [(tick.cancelled, tick.failed) for tick in ticks] == [([late], []), ([], [])]
    with store.read() as connection:
        assert [*connection.scalars(sa.select(cancellations.c.workflow_id))] == [late], (
            "that of what is over is forgotten"
        )

    found = trips.instances.cancellation(late)
    assert found is not None
    assert (found.state, found.cancelled_by) == ("cancelled", "interlock.deadline")
    assert trips.booked(late) == ["reserve 4a", "release 4a"]
    assert trips.instances.get(done).state == "gone"
    assert trips.instances.cancellation(done) is None


def test_a_deadline_that_has_not_come_cancels_nothing_for_whoever_asks_too_early(
    store: WorkflowStore, time: Clock
) -> None:
    trips = Trips(store, after="1h")
    trip = trips.start()
    took = []
    for seconds in (0, 3599, 1, 0):
        time.advance(seconds=seconds)
        took.append((drive(store, take_up(trips.graph.engine, trip)), trips.instances.get(trip).state))
    assert took == [(False, "open"), (False, "open"), (True, "cancelled"), (False, "cancelled")]


def test_a_deadline_can_be_of_the_case(store: WorkflowStore, time: Clock) -> None:
    trips = Trips(store, after=lambda view: view.now + dt.timedelta(hours=1) if view.data.may_cancel else None)
    one, never_due = trips.start(), trips.start(may_cancel=False)
    time.advance(hours=2)
    assert trips.instances.tick().cancelled == [one]
    assert trips.instances.get(never_due).state == "open"


def test_an_instance_whose_deadline_cannot_be_computed_does_not_begin(store: WorkflowStore) -> None:
    trips = Trips(store, after=lambda view: view.data.nothing)
    with pytest.raises(RunError, match=r"trip cannot begin, because .*Nothing was started; fix cancellable") as refused:
        trips.start()
    assert refused.value.code == "rule_error"
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(cancellations)).scalar_one() == 0


def test_a_deadline_that_comes_while_a_command_runs_waits_for_its_end(store: WorkflowStore, time: Clock) -> None:
    trips = Trips(store, after="1h")
    trip = trips.start()
    ticks: list[int] = []

    def tick_meanwhile(what: str, key: str) -> None:
        trips.outside.calls.append((what, key))
        if what.startswith("charge"):
            time.advance(seconds=3601)
            ticks.append(len(trips.instances.tick().cancelled))

    trips.outside.do = tick_meanwhile  # type: ignore[method-assign]
    store.lease_seconds = 1e6
    assert trips.call(trip, "card.charge", amount=3).ok
    assert ticks == [0]
    assert trips.instances.tick().cancelled == [trip]
    assert trips.outside.done == ["charge 3", "refund p-3 3"]


def test_an_invalid_cancellable_is_refused() -> None:
    flow = Workflow("plain")
    for wrong in ({}, {"role": ""}, {"after": "soon"}, {"role": "a", "states": "open"}, {"role": "a", "when": 1}):
        with pytest.raises(WorkflowDefinitionError):
            flow.cancellable(**wrong)
    flow.add_state("cancelled")
    flow.add_state("closed", final=True)
    flow.add_edge("cancelled", close, "closed")
    flow.cancellable(role="boss")
    with pytest.raises(WorkflowDefinitionError, match="another"):
        flow.definition()
    other = Workflow("other").add_state("open").add_state("closed", final=True)
    other.add_edge("open", close, "closed").cancellable(role="boss", states=["closed"])
    with pytest.raises(WorkflowDefinitionError, match="no state"):
        other.definition()


def test_the_picture_and_the_proofs_include_the_cancel(trips: Trips) -> None:
    drawn = trips.flow.to_mermaid()
    assert "cancel (the person served, supervisor)" in drawn
    assert "card.refund" in drawn
    (proof,) = trips.flow.prove(never("card.refund"))
    assert str(proof.verdict) == "broken"
    assert any("it is cancelled" in str(step.because) for step in proof.counterexample.steps)  # type: ignore[union-attr]


def test_an_erased_instance_leaves_no_cancellation(store: WorkflowStore) -> None:
    trips = Trips(store, role="supervisor", after="1d")
    trips.graph = trips.flow.compile(InMemorySaver(), workflow_store=store)
    flow_thread: RunnableConfig = {"configurable": {"thread_id": "t-erased"}}
    trips.graph.invoke({"messages": [("user", "hello")]}, flow_thread, context=ANN)
    trip = trips.instances.id_of(flow_thread)
    trips.instances.cancel(trip, "no", by=BOSS)
    assert erase_instances(store, "t-erased") == 1
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(cancellations)).scalar_one() == 0
