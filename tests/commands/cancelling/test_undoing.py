"""What a cancel undoes: what was carried out, newest first, once; and what it leaves for a person."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import ConflictError, ErrorResult, Mode, Pending, WorkflowStore
from interlock.testing import Clock
from interlock.tools import InProgress, InputError, OutcomeUnknown, WorkflowFinished

from .support import ANN, BOSS, Trips


def test_executed_calls_of_all_three_effects_are_undone_newest_first(trips: Trips) -> None:
    trip = trips.start()
    assert trips.call(trip, "seat.reserve", seat="4a").ok
    assert trips.call(trip, "card.charge", amount=30).ok
    assert trips.call(trip, "mail.send", to="ann").ok

    found = trips.instances.cancel(trip, "She is ill.", by=BOSS)

    assert (found.state, found.is_done, found.reason, found.cancelled_by) == ("cancelled", True, "She is ill.", "mia")
    assert [(call.tool, call.became, call.undone_by) for call in found.calls] == [
        ("mail.send", "undone", "mail.recall"),
        ("card.charge", "undone", "card.refund"),
        ("seat.reserve", "undone", "seat.release"),
    ]
    assert found.undone == found.calls
    records = {record.audit_ref: record.tool for record in trips.instances.audit(trip)}
    assert [records[call.audit_ref] for call in found.calls] == ["mail.recall", "card.refund", "seat.release"]
    assert trips.outside.done == ["charge 30", "send ann", "recall ann", "refund p-30 30"]
    assert trips.booked(trip) == ["reserve 4a", "release 4a"]
    instance = trips.instances.get(trip)
    assert (instance.state, instance.finished) == ("cancelled", True)
    assert trips.kinds(trip)[-1] == "event_out"
    assert trips.kinds(trip).count("cancelled") == 1
    assert trips.store.verify(trip) == []


def test_two_instances_whose_calls_had_one_key_are_undone_each_under_its_own(trips: Trips) -> None:
    both = [trips.start(), trips.start()]
    for trip in both:
        assert trips.instances.propose(trip, "card.charge", {"amount": 30}, principal=ANN, key="same").ok
    for trip in both:
        assert trips.instances.cancel(trip, "no", by=BOSS).is_done
    keys = [key for what, key in trips.outside.calls if what.startswith("refund")]
    assert len({*keys}) == len(keys) == 2


def test_cancelling_again_changes_nothing(trips: Trips) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    first = trips.instances.cancel(trip, "once", by=BOSS)
    again = trips.instances.cancel(trip, "twice", by=ANN)
    assert again == first
    assert trips.booked(trip) == ["reserve 4a", "release 4a"]
    assert trips.instances.cancellation(trip, by=ANN) == first


def test_calls_that_cannot_be_undone_are_listed_and_recorded(trips: Trips) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    trips.call(trip, "gift.add", what="tea")
    trips.call(trip, "note.add", text="vegan")
    trips.refuses = True

    found = trips.instances.cancel(trip, "no", by=BOSS)

    assert found.is_done
    assert [(call.tool, call.became) for call in found.calls] == [
        ("note.add", "nothing"),
        ("gift.add", "left"),
        ("seat.reserve", "left"),
    ]
    assert [call.tool for call in found.left] == ["gift.add", "seat.reserve"]
    assert found.undone == ()
    assert [call.why for call in found.left] == [
        "nothing says how gift.add is undone",
        "the train has left",
    ]
    records = [record for record in trips.instances.audit(trip) if record.kind == "not_undone"]
    assert [record.tool for record in records] == ["gift.add", "seat.reserve"]
    needed = [event for event in trips.kinds(trip) if event == "event_out"]
    assert len(needed) == 2  # that it is cancelled, and that somebody is needed


def test_a_call_that_was_undone_before_is_not_undone_again(trips: Trips) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    trips.call(trip, "seat.reserve", seat="5a")
    trips.call(trip, "seat.release", seat="4a")

    found = trips.instances.cancel(trip, "no", by=BOSS)

    assert [(call.tool, call.became) for call in found.calls] == [
        ("seat.release", "nothing"),
        ("seat.reserve", "undone"),
        ("seat.reserve", "nothing"),
    ]
    assert trips.booked(trip) == ["reserve 4a", "reserve 5a", "release 4a", "release 5a"]


def test_an_instance_that_was_cancelled_takes_no_call_and_no_decision(trips: Trips) -> None:
    trip = trips.start()
    asked = trips.call(trip, "trip.leave")
    assert isinstance(asked, Pending)

    trips.instances.cancel(trip, "no", by=BOSS)

    assert trips.store.approval(asked.pending.proposal_id).status.value == "void"
    assert trips.kinds(trip).count("void") == 1
    denied = trips.call(trip, "seat.reserve", seat="4a")
    assert isinstance(denied, ErrorResult)
    assert denied.next_allowed_tools == ()
    with pytest.raises(ConflictError):
        trips.instances.decide(asked.pending.proposal_id, "approve", by=BOSS)
    closed = trips.instances.proposal(asked.pending.proposal_id, by=ANN)
    assert isinstance(closed, ErrorResult)
    assert closed.error.code == "approval_void"
    trips.instances.tick()
    assert trips.instances.get(trip).state == "cancelled"


def test_the_undos_are_for_the_cancel_alone(trips: Trips) -> None:
    trip = trips.start()
    denied = trips.call(trip, "card.refund", payment="p-1", amount=1)
    assert isinstance(denied, ErrorResult)
    assert denied.error.code == "tool_not_allowed"
    assert "card.refund" not in trips.instances.snapshot(trip).next_allowed_tools
    assert "card.refund" not in {one.tool for one in trips.instances.explain(trip).not_allowed}


def test_a_finished_instance_is_not_cancelled(trips: Trips) -> None:
    trip = trips.start()
    asked = trips.call(trip, "trip.leave")
    trips.instances.decide(asked.pending.proposal_id, "approve", by=BOSS)
    trips.instances.tick()
    with pytest.raises(WorkflowFinished):
        trips.instances.cancel(trip, "too late", by=BOSS)


def test_a_cancel_takes_a_reason(trips: Trips) -> None:
    trip = trips.start()
    for reason in ("", "  ", "x" * 2001, "bad \x00"):
        with pytest.raises(InputError):
            trips.instances.cancel(trip, reason, by=BOSS)
    assert trips.instances.get(trip).state == "open"


def test_a_cancel_in_a_dry_run_leaves_the_calls_to_a_person(trips: Trips) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    dry = Trips(trips.store, mode=Mode.DRY_RUN)

    found = dry.instances.cancel(trip, "no", by=BOSS)

    assert [(call.tool, call.became, call.why) for call in found.calls] == [
        ("seat.reserve", "left", "it was a dry run")
    ]
    assert trips.booked(trip) == ["reserve 4a"]
    assert dry.kinds(trip).count("not_undone") == 1


def test_an_outcome_that_nobody_knows_holds_up_what_is_older(trips: Trips) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    trips.outside.fails = {"send ann"}
    with pytest.raises(OutcomeUnknown):
        trips.call(trip, "mail.send", to="ann")

    found = trips.instances.cancel(trip, "no", by=BOSS)

    assert (found.state, found.is_done, len(found.unresolved)) == ("cancelling", False, 1)
    assert trips.booked(trip) == ["reserve 4a"]
    trips.instances.tick()
    assert trips.instances.get(trip).state == "cancelling"
    with pytest.raises(InputError):
        trips.instances.resolve(trip, "retry", by=BOSS)
    trips.instances.resolve(trip, "happened", output="ann", by=BOSS)
    assert trips.instances.tick().cancelled == [trip]
    done = trips.instances.cancellation(trip)
    assert done is not None
    assert [(call.tool, call.became) for call in done.calls] == [("mail.send", "undone"), ("seat.reserve", "undone")]
    assert trips.outside.done == ["recall ann"]


def test_a_call_that_did_not_happen_is_not_undone(trips: Trips) -> None:
    trip = trips.start()
    trips.outside.fails = {"send ann"}
    with pytest.raises(OutcomeUnknown):
        trips.call(trip, "mail.send", to="ann")
    trips.instances.cancel(trip, "no", by=BOSS)
    trips.instances.resolve(trip, "failed", by=BOSS)
    trips.instances.tick()
    done = trips.instances.cancellation(trip)
    assert done is not None
    assert [(call.became, call.why) for call in done.calls] == [("nothing", "it did not happen")]


@pytest.mark.parametrize(("found", "became"), [("happened", "undone"), ("failed", "left"), ("retry", "undone")])
def test_an_undo_of_unknown_outcome_waits_for_a_person(trips: Trips, found: str, became: str) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    trips.call(trip, "mail.send", to="ann")
    trips.outside.fails = {"recall ann"}

    stands = trips.instances.cancel(trip, "no", by=BOSS)

    assert (stands.state, len(stands.unresolved)) == ("cancelling", 1)
    trips.outside.fails = set()
    output = "ann" if found == "happened" else None
    trips.instances.resolve(trip, found, by=BOSS, output=output)
    trips.instances.tick()
    done = trips.instances.cancellation(trip)
    assert done is not None
    assert done.is_done
    assert [(call.tool, call.became) for call in done.calls] == [("mail.send", became), ("seat.reserve", "undone")]
    assert trips.store.verify(trip) == []


def test_a_tick_leaves_an_undo_alone_that_somebody_is_at(trips: Trips) -> None:
    trip = trips.start()
    trips.call(trip, "mail.send", to="ann")
    ticks: list[Any] = []

    def tick_meanwhile(what: str, key: str) -> None:
        trips.outside.calls.append((what, key))
        ticks.append(trips.instances.tick())

    trips.outside.do = tick_meanwhile  # type: ignore[method-assign]
    assert trips.instances.cancel(trip, "no", by=BOSS).is_done
    assert [(tick.cancelled, tick.failed) for tick in ticks] == [([], [])]
    assert trips.outside.done == ["send ann", "recall ann"]


def test_a_restarted_process_goes_on_with_a_cancel(trips: Trips, url: str, time: Clock) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    trips.call(trip, "mail.send", to="ann")
    trips.outside.fails = {"recall ann"}
    trips.instances.cancel(trip, "no", by=BOSS)
    again = Trips(WorkflowStore(url, clock=time))
    again.instances.resolve(trip, "happened", by=BOSS, output="ann")
    assert again.instances.cancel(trip, "no", by=BOSS).is_done
    assert again.booked(trip) == ["reserve 4a", "release 4a"]
    again.store.close()


def test_a_command_that_is_under_way_ends_first(trips: Trips) -> None:
    trip = trips.start()
    seen: list[Exception] = []

    def cancel_meanwhile(what: str, key: str) -> None:
        del what, key
        try:
            trips.instances.cancel(trip, "no", by=BOSS)
        except InProgress as error:
            seen.append(error)

    trips.outside.do = cancel_meanwhile  # type: ignore[method-assign]
    assert trips.call(trip, "card.charge", amount=30).ok
    assert len(seen) == 1
    assert trips.instances.get(trip).state == "open"
