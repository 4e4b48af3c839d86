"""The pure rules of waits: what they expect, by what they are found, and when they are over."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Event, EventEnvelope
from interlock.rules.waits import Ending, Role, WaitRule, by_instance, ending
from interlock.tools import EventId, RunError, TraceId, WorkflowId
from interlock.tools.errors import InvalidInput
from interlock.tools.kinds import ItemStatus


class Sent(Event, name="parcel.sent"):
    parcel_id: str


class Address(BaseModel):
    zip_code: str


class Arrived(Event, name="parcel.arrived"):
    parcel_id: str | None
    order_id: str | None = None
    where: list[Address] | None = None


class Lost(Event, name="parcel.lost"):
    parcel_id: str


class Data(BaseModel):
    parcels: list[str] = ["a", "b"]


def rule(**more: Any) -> WaitRule:
    return WaitRule(**{"state": "sent", "events": (Arrived,), "then": "done", **more})


FULL: dict[str, Any] = {
    "within": "60s", "on_timeout": "overdue", "expect": 2, "each": "parcels", "part": "parcel_id", "delivered_by": Sent,
    "failed_by": Lost, "on_failure": "gone", "sources": frozenset({"/b", "/a"}),
}  # fmt: skip


def event(fields: dict[str, Any], name: str = "parcel.arrived.v1", workflow_id: str = "wf_1") -> EventEnvelope:
    return EventEnvelope.from_json(
        {
            "eventName": name,
            "eventId": EventId("evt_1"),
            "occurredAt": dt.datetime(2026, 5, 1, tzinfo=dt.UTC).isoformat(),
            "traceId": TraceId("trace_1"),
            "workflowId": WorkflowId(workflow_id),
            **fields,
            "metadata": {},
        }
    )


def test_it_is_the_same_as_plain_data_with_every_release() -> None:
    """Written out: a workflow's fingerprint holds it."""
    assert rule(**FULL).to_json() == {
        "events": {"parcel.arrived.v1": "settles", "parcel.sent.v1": "delivered", "parcel.lost.v1": "failed"},
        "expect": 2, "each": "parcels", "part": "parcel_id", "key": [], "seconds": 60.0, "then": "done", "onTimeout": "overdue",
        "onFailure": "gone", "sources": ["/a", "/b"],
    }  # fmt: skip
    assert rule(each=lambda data: data.parcels, part="parcel_id", key=(("order_id", "order"),)).to_json() == {
        "events": {"parcel.arrived.v1": "settles"}, "expect": "all", "each": "…", "part": "parcel_id", "key": [["order_id", "order"]],
        "seconds": None, "then": "done", "onTimeout": None, "onFailure": None,
    }  # fmt: skip


def test_its_events_have_roles_and_lead_somewhere() -> None:
    full = rule(**FULL)
    assert full.roles_of(Role.SETTLES) == ["parcel.arrived.v1"]
    assert full.classes == {"parcel.arrived.v1": Arrived, "parcel.sent.v1": Sent, "parcel.lost.v1": Lost}
    assert full.ends == {"done": "parcel.arrived.v1", "gone": "parcel.lost.v1", "overdue": "deadline"}
    assert rule(on_timeout="done", within="1s").ends == {"done": "parcel.arrived.v1, deadline"}
    assert (full.trusts("/a"), full.trusts("/c"), rule().trusts("/c")) == (True, False, True)


def test_what_is_delivered_first_is_settled_when_it_is_acknowledged() -> None:
    assert (rule().settled_as, rule().unsettled) == (ItemStatus.DELIVERED, (ItemStatus.REQUESTED,))
    assert rule(delivered_by=Sent).settled_as is ItemStatus.ACKNOWLEDGED
    assert rule(delivered_by=Sent).unsettled == (ItemStatus.REQUESTED, ItemStatus.DELIVERED)


@pytest.mark.parametrize(
    ("given", "items"),
    [
        ({}, [("parcel.arrived.v1", None)]),
        ({"expect": 3}, [("parcel.arrived.v1", None)] * 3),
        ({"events": (Arrived, Lost), "expect": 2}, [("parcel.arrived.v1", None), ("parcel.lost.v1", None)]),
        ({"each": "parcels", "part": "parcel_id"}, [("parcel.arrived.v1", "a"), ("parcel.arrived.v1", "b")]),
        ({"each": lambda data: [*data.parcels, 3], "part": "parcel_id"},
         [("parcel.arrived.v1", "a"), ("parcel.arrived.v1", "b"), ("parcel.arrived.v1", "3")]),
        ({"events": (Arrived, Lost), "each": lambda _: ["a"], "part": "parcel_id"},
         [("parcel.arrived.v1", "a"), ("parcel.lost.v1", "a")]),
    ],
)  # fmt: skip
def test_it_expects_each_event_of_each_part(given: Any, items: Any) -> None:
    assert rule(**given).items(Data()) == items


@pytest.mark.parametrize(("parts", "said"), [([], "which is nothing"), (["a", "b", "a"], "which is not told apart")])
def test_parts_that_are_none_or_not_told_apart_are_refused(parts: list[str], said: str) -> None:
    with pytest.raises(RunError, match=said) as raised:
        rule(each=lambda _: parts, part="parcel_id").items(Data())
    assert raised.value.code == "wait_error"


@pytest.mark.parametrize(
    ("expect", "total", "needed"),
    [("all", 3, 3), ("all", 0, 0), ("any", 3, 1), ("any", 0, 0), (2, 3, 2), (2, 1, 1)],
)
def test_it_needs_no_more_than_there_are(expect: Any, total: int, needed: int) -> None:
    assert rule(expect=expect).needed(total) == needed


@pytest.mark.parametrize(
    ("needed", "total", "settled", "failed", "how"),
    [
        (2, 3, 2, 0, Ending.DONE), (2, 3, 3, 0, Ending.DONE), (2, 3, 2, 1, Ending.DONE), (2, 3, 1, 1, None), (2, 3, 1, 2, Ending.FAILED),
        (2, 3, 0, 2, Ending.FAILED), (1, 1, 0, 0, None), (1, 1, 0, 1, Ending.FAILED), (3, 3, 2, 0, None),
    ],
)  # fmt: skip
def test_it_is_over_when_enough_is_settled_or_cannot_be_any_more(
    needed: int, total: int, settled: int, failed: int, how: Ending | None
) -> None:
    assert ending(needed=needed, total=total, settled=settled, failed=failed) is how


class TestHowItIsFound:
    KEYED = (("order_id", "order"), ("parcel_id", "parcel"))

    def test_by_the_instance_that_the_event_names(self) -> None:
        assert (
            rule().correlation("wf_1", {})
            == rule().correlation_of(event({"parcelId": "a"}))
            == by_instance("wf_1")
            == "id:wf_1"
        )

    def test_by_the_fields_of_its_key_whatever_their_types_and_the_same_with_every_release(self) -> None:
        """Written out: waits and events that are kept hold it."""
        keyed = rule(key=self.KEYED)
        found = keyed.correlation("wf_1", {"order": 7, "parcel": "a"})
        assert found == "key:sha256:0d1553a77946c25eb2c63185cc840a256e267a00dec8e73d2ba1fea9a215430d"
        assert keyed.correlation_of(event({"orderId": "7", "parcelId": "a"})) == found
        assert keyed.correlation_of(event({"orderId": "a", "parcelId": "7"})) != found
        assert keyed.correlation_of(event({"orderId": "8", "parcelId": "a"})) != found

    def test_not_at_all_without_what_the_key_is_made_of(self) -> None:
        assert rule(key=self.KEYED).correlation_of(event({"orderId": "7"})) is None
        assert rule(key=self.KEYED).correlation_of(event({"orderId": None, "parcelId": "a"})) is None

    def test_the_part_is_read_off_the_wire(self) -> None:
        parted = rule(each="parcels", part="parcel_id")
        assert parted.part_of(event({"parcelId": "a"})) == "a"
        assert parted.part_of(event({"parcelId": 7})) == "7"
        assert parted.part_of(event({})) is None
        assert rule().part_of(event({"parcelId": "a"})) is None


class TestReading:
    def test_fields_that_the_class_does_not_know_are_left_out_wherever_they_lie(self) -> None:
        given = {
            "parcelId": "a",
            "colour": "red",
            "where": [{"zipCode": "1", "country": {"a": 1}}, {"zipCode": "2", "x": []}],
        }
        envelope = event(given)

        assert rule().read(envelope) == Arrived(parcel_id="a", where=[Address(zip_code="1"), Address(zip_code="2")])
        assert envelope.fields == given, "the event itself is left as it came"

    def test_what_does_not_fit_is_told_with_its_fields(self) -> None:
        with pytest.raises(InvalidInput) as raised:
            rule().read(event({"where": [{"zipCode": 1}], "parcelId": 5, "colour": "red"}))
        said = raised.value.message
        assert said.startswith("The event evt_1 does not fit parcel.arrived.v1: ")
        assert "where.0.zipCode: " in said
        assert "parcelId: " in said
        assert "colour" not in said
        assert said.endswith(". It moved nothing; fix its sender.")
