"""Events and their envelopes."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from interlock.tools import Event, EventEnvelope, EventId, InvalidInput, TraceId, WorkflowId, timestamp

MOMENT = dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)


class Line(BaseModel):
    product_id: str


class OrderPlaced(Event, name="order.placed", version=3):
    order_id: str
    total: Decimal
    lines_in: tuple[Line, ...] = ()


def wrapped(event: Event, **more: Any) -> EventEnvelope:
    return EventEnvelope.wrap(
        event,
        event_id=EventId("evt_1"),
        trace_id=TraceId("trace_1"),
        workflow_id=WorkflowId("wf_1"),
        **{"occurred_at": MOMENT, **more},
    )


def test_an_event_knows_its_name_and_version() -> None:
    assert OrderPlaced.name_on_wire == "order.placed.v3"
    assert (OrderPlaced.event_name, OrderPlaced.event_version) == ("order.placed", 3)


def test_its_fields_are_camel_case_at_every_depth() -> None:
    placed = OrderPlaced(order_id="1", total=Decimal("2.50"), lines_in=(Line(product_id="p"),))

    assert placed.to_json() == {"orderId": "1", "total": "2.50", "linesIn": [{"productId": "p"}]}


def test_it_can_be_made_from_the_wire_too() -> None:
    assert OrderPlaced.model_validate({"orderId": "1", "total": "2.50"}) == OrderPlaced(
        order_id="1", total=Decimal("2.50")
    )


def test_it_cannot_be_changed_and_has_no_other_fields() -> None:
    placed = OrderPlaced(order_id="1", total=Decimal(1))

    with pytest.raises(ValidationError, match="frozen"):
        placed.order_id = "2"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        OrderPlaced(order_id="1", total=Decimal(1), colour="red")  # type: ignore[call-arg]


@given(
    st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1), timezones=st.timezones()),
    st.dictionaries(st.sampled_from(["orderId", "a", "b"]), st.none() | st.integers() | st.text(max_size=3)),
)
def test_an_envelope_survives_the_wire(moment: dt.datetime, fields: dict[str, Any]) -> None:
    envelope = EventEnvelope(
        event_name="order.placed.v3",
        event_id=EventId("evt_1"),
        occurred_at=moment,
        trace_id=TraceId("trace_1"),
        workflow_id=WorkflowId("wf_1"),
        fields=fields,
        metadata={"requestedBy": "ada"},
    )

    again = EventEnvelope.from_json(envelope.to_json())

    assert again.to_json() == envelope.to_json()
    assert again.fields == fields
    assert again.occurred_at == moment.astimezone(dt.UTC)


def test_metadata_is_plain_json() -> None:
    assert wrapped(OrderPlaced(order_id="1", total=Decimal(1)), metadata={"day": dt.date(2026, 1, 2)}).to_json()[
        "metadata"
    ] == {"day": "2026-01-02"}
    assert wrapped(OrderPlaced(order_id="1", total=Decimal(1))).to_json()["metadata"] == {}


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        wrapped(OrderPlaced(order_id="1", total=Decimal(1)), occurred_at=dt.datetime(2026, 1, 1))


def test_moments_on_the_wire_sort_by_time() -> None:
    moments = [MOMENT, MOMENT + dt.timedelta(microseconds=1), MOMENT + dt.timedelta(seconds=1)]

    assert sorted(map(timestamp, moments)) == [*map(timestamp, moments)]
    assert timestamp(MOMENT.astimezone(dt.timezone(dt.timedelta(hours=-5)))) == "2026-03-01T09:30:00.000000Z"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"eventName": None}, "eventName"),
        ({"eventName": ""}, "eventName"),
        ({"occurredAt": "soon"}, "occurredAt"),
        ({"occurredAt": "2026-01-01T00:00:00"}, "occurredAt"),
        ({"metadata": []}, "metadata"),
        ({"workflowId": 5}, "workflowId"),
    ],
)
def test_what_is_no_event_is_refused_with_the_field_named(change: dict[str, Any], named: str) -> None:
    good = wrapped(OrderPlaced(order_id="1", total=Decimal(1))).to_json()

    with pytest.raises(InvalidInput, match=named):
        EventEnvelope.from_json({**good, **change})


def test_an_event_without_its_envelope_is_refused() -> None:
    with pytest.raises(InvalidInput, match="this is not an event"):
        EventEnvelope.from_json({"orderId": "1"})


def test_own_fields_cannot_pose_as_the_envelope() -> None:
    with pytest.raises(InvalidInput, match="traceId"):
        EventEnvelope(
            event_name="a.v1",
            event_id=EventId("e"),
            occurred_at=MOMENT,
            trace_id=TraceId("t"),
            workflow_id=WorkflowId("w"),
            fields={"traceId": "forged"},
        )


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_moment_that_utc_has_not_is_refused(moment: str) -> None:
    said = {"eventName": "a.v1", "eventId": "e", "traceId": "t", "workflowId": "w", "metadata": {}}

    with pytest.raises(InvalidInput, match="no moment of UTC"):
        EventEnvelope.from_json({**said, "occurredAt": moment})
