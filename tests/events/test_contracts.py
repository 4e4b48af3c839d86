"""The contracts of events: their schemas, what breaks those who listen, and CloudEvents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from interlock import Event
from interlock.events import cloudevents, message_of
from interlock.events.bus import WireFormat
from interlock.events.schemas import differences, event_schema, export
from interlock.testing import assert_events_compatible
from interlock.tools.errors import ContractError, InvalidInput
from interlock.workflows.engagement import MessageRequested
from tests.events.support import Asked, envelope


class Line(BaseModel):
    product_id: str
    count: int = 1


class Shipped(Event, name="parcel.shipped", version=2):
    """A parcel has left.

    Nobody needs to know more.
    """

    parcel_id: str
    lines: tuple[Line, ...] = ()
    carrier: Literal["ups", "dhl"] | None = None


def test_the_schema_is_that_of_the_wire() -> None:
    schema = event_schema(Shipped)
    jsonschema.Draft202012Validator.check_schema(schema)
    shipped = Shipped(parcel_id="p", lines=(Line(product_id="x"),), carrier="dhl")

    jsonschema.validate(envelope(shipped, "wf").to_json(), schema)

    assert schema["$id"] == "parcel.shipped.v2"
    assert schema["description"] == "A parcel has left."
    assert schema["properties"]["lines"]["items"]["properties"]["productId"] == {"type": "string"}


@pytest.mark.parametrize(
    "wrong", [{"parcelId": 5}, {"carrier": "raven"}, {"eventName": "parcel.shipped.v1"}, {"metadata": None}]
)
def test_the_schema_refuses_what_is_no_such_event(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**envelope(Shipped(parcel_id="p"), "wf").to_json(), **wrong}, event_schema(Shipped))


def test_known_events_are_those_that_were_imported() -> None:
    # In a process of its own: other tests define events of one name with different fields, which is refused.
    code = "import interlock.workflows.engagement, interlock.events.schemas as s; print(*(e.name_on_wire for e in s.known_events()))"
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert MessageRequested.name_on_wire in known


def variant(**fields: Any) -> type[Event]:
    return create_model("Shipped", __base__=Event, __cls_kwargs__={"name": "parcel.moved"}, **fields)  # type: ignore[no-any-return, call-overload]


BASE: dict[str, Any] = {"parcel_id": (str, ...), "weight": (int, 0), "line": (Line, ...)}


class Heavier(BaseModel):
    product_id: str
    count: int = 1
    colour: str | None = None


class Lighter(BaseModel):
    product_id: str


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"note": (str | None, None)},
        {"line": (Heavier, ...)},
    ],
)
def test_a_field_that_may_be_missing_breaks_nobody(change: dict[str, Any]) -> None:
    assert differences(event_schema(variant(**BASE)), event_schema(variant(**{**BASE, **change}))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weight": None}, "weight: was removed"),
        ({"weight": (str, "")}, "weight: type was 'integer', is 'string'"),
        ({"weight": (int, ...)}, "weight: is now required"),
        ({"parcel_id": (str, "")}, "parcelId: may be missing now"),
        ({"parcel_id": (Literal["a", "b"], ...)}, "parcelId: enum was None"),
        ({"note": (str, ...)}, "note: is new and required"),
        ({"line": (Lighter, ...)}, "line.count: was removed"),
        ({"line": (list[Line], ...)}, "line"),
    ],
)
def test_any_other_change_breaks_those_who_listen(change: dict[str, Any], said: str) -> None:
    fields = {name: field for name, field in {**BASE, **change}.items() if field is not None}

    found = differences(event_schema(variant(**BASE)), event_schema(variant(**fields)))

    assert any(said in one for one in found), found


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Grown(BaseModel):
    name: int
    children: list[Grown] = []


def test_a_shape_that_contains_itself_is_compared_once() -> None:
    before, after = variant(root=(Tree, ...)), variant(root=(Grown, ...))

    assert differences(event_schema(before), event_schema(variant(root=(Tree, ...)))) == []
    assert any("name" in one for one in differences(event_schema(before), event_schema(after)))


def test_a_breaking_change_without_a_new_version_fails_the_applications_tests(tmp_path: Path) -> None:
    (exported,) = export([variant(**BASE)], tmp_path)
    assert exported.name == "parcel.moved.v1.json"
    assert_events_compatible(tmp_path, [variant(**BASE), Shipped])

    with pytest.raises(AssertionError, match=r"parcel\.moved\.v1: weight: was removed[\s\S]*new version"):
        assert_events_compatible(tmp_path, [variant(parcel_id=(str, ...), line=(Line, ...))])

    exported.write_text("{")
    with pytest.raises(ContractError, match="not a JSON Schema"):
        assert_events_compatible(tmp_path, [variant(**BASE)])


# CloudEvents


def test_structured_is_one_document_of_the_standard() -> None:
    sent = envelope(Asked(number=1), "wf_1", tenant="acme")

    document = cloudevents.to_structured(sent, schema_base="https://example.com/schemas/")

    assert {name: value for name, value in document.items() if name != "data"} == {
        "specversion": "1.0",
        "id": sent.event_id,
        "source": "/outside",
        "type": "probe.asked.v1",
        "subject": "wf_1",
        "time": "2026-05-01T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "traceid": "trace_outside",
        "tenant": "acme",
        "dataschema": "https://example.com/schemas/probe.asked.v1.json",
    }
    assert document["data"] == sent.to_json()


def test_an_event_of_a_workflow_comes_from_it() -> None:
    sent = envelope(Asked(), "wf_1", source=None, workflow="case")

    assert cloudevents.attributes(sent.to_json())["source"] == "/workflows/case"


@given(
    st.text(max_size=20),
    st.text(min_size=1, max_size=20),
    st.sampled_from([*WireFormat]),
    st.sampled_from(cloudevents.PREFIXES),
)
def test_an_event_survives_every_form_whatever_it_holds(
    workflow_id: str, tenant: str, wire: WireFormat, prefix: str
) -> None:
    sent = envelope(Asked(number=1), workflow_id, event_id="e-1", tenant=tenant)

    message = message_of(sent, wire=wire, prefix=prefix)

    assert message.envelope().to_json() == sent.to_json()
    assert all(
        value.isascii() and value.isprintable() for name, value in message.headers.items() if name.startswith(prefix)
    )


def test_a_cloudevent_of_somebody_else_is_an_event_too() -> None:
    foreign = {
        "specversion": "1.0", "id": "77", "source": "https://bank.example/payments", "type": "com.bank.paid",
        "subject": "wf_9", "time": "2026-05-01T09:30:00Z", "data": {"orderId": "o-1"},
    }  # fmt: skip

    read = cloudevents.read(json.dumps(foreign))

    assert (read.event_name, read.event_id, read.workflow_id) == ("com.bank.paid", "77", "wf_9")
    assert read.fields == {"orderId": "o-1"}
    assert read.metadata == {"source": "https://bank.example/payments"}
    assert cloudevents.read(json.dumps(foreign)).trace_id == read.trace_id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "no id"),
        ({"type": None}, "no type"),
        ({"time": "soon"}, "occurredAt"),
        ({"data": [1]}, "not a JSON object"),
        ({"data": {"traceId": "forged"}}, "Interlock's own"),
        ({"data": {"eventName": "other.v1", "eventId": "1"}}, "this is not an event"),
    ],
)
def test_what_breaks_the_standard_is_refused(change: dict[str, Any], said: str) -> None:
    good = {
        "specversion": "1.0", "id": "77", "source": "/s", "type": "a.v1", "subject": "wf",
        "time": "2026-05-01T09:30:00Z", "data": {},
    }  # fmt: skip

    with pytest.raises(InvalidInput, match=said):
        cloudevents.read(json.dumps({**good, **change}))


def test_attributes_and_data_that_disagree_are_refused() -> None:
    document = cloudevents.to_structured(envelope(Asked(), "wf_1"))

    with pytest.raises(InvalidInput, match="must agree"):
        cloudevents.read(json.dumps({**document, "id": "another"}))


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"[" * 100_000, b'{"eventName": 1}'])
def test_anything_may_come_over_a_bus(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        cloudevents.read(body)
