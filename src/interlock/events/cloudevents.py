"""CloudEvents 1.0: an event as one JSON document (structured), or as a body with headers (binary).

In both, the data is Interlock's complete wire shape, so a consumer needs nothing else. `id`, `source`, `type`, `subject`
(the workflow ID) and `time` repeat its values as standard attributes; `traceid` and `tenant` are extension attributes.
"""

import functools
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, unquote

from ..tools.canonical import JsonObject, canonical_json
from ..tools.errors import InvalidInput
from ..tools.events import EventEnvelope
from ..tools.ids import derive
from .envelopes import UNKNOWN_SOURCE, json_object, source_in, tenant_in

SPEC_VERSION = "1.0"
STRUCTURED = "application/cloudevents+json"
JSON_TYPE = "application/json"
PREFIXES = ("ce-", "ce_", "cloudEvents_", "cloudEvents:")
"""The header prefixes of the protocol bindings: HTTP and NATS, Kafka, AMQP."""
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_PLAIN = re.compile(r"[!#$&-~]*")
"""A fast check that no character needs encoding."""
_REFERENCE = re.compile(r"[A-Za-z0-9_.\-/:@?&=+$,;~%]*")
_REQUIRED = ("id", "source", "type")
_ATTRIBUTES = ("specversion", "id", "source", "type", "time", "traceid", "tenant", "subject", "dataschema")


def attributes(wire: Mapping[str, Any], *, schema_base: str | None = None) -> dict[str, str]:
    """The context attributes of an event.

    Args:
        wire: The event in Interlock's wire shape.
        schema_base: The address under which the schemas of events are published, for `dataschema`.
    """
    metadata = wire["metadata"]
    found = {
        "specversion": SPEC_VERSION,
        "id": wire["eventId"],
        "source": _reference(source_in(metadata)),
        "type": wire["eventName"],
        "time": wire["occurredAt"],
        "datacontenttype": JSON_TYPE,
        "traceid": wire["traceId"],
        "tenant": tenant_in(metadata),
    }
    if wire["workflowId"]:
        found["subject"] = wire["workflowId"]
    if schema_base is not None:
        found["dataschema"] = f"{schema_base.rstrip('/')}/{wire['eventName']}.json"
    return found


def structured(wire: Mapping[str, Any], *, schema_base: str | None = None) -> JsonObject:
    """An event in Interlock's wire shape as one JSON document (`application/cloudevents+json`)."""
    return {**attributes(wire, schema_base=schema_base), "data": dict(wire)}


def headers(wire: Mapping[str, Any], *, prefix: str = "ce-", schema_base: str | None = None) -> dict[str, str]:
    """The headers for an event in Interlock's wire shape (binary).

    Values with anything but printable ASCII are percent-encoded, as in the HTTP binding, so that no value can break out of its
    header.
    """
    names = _header_names(prefix)
    named = attributes(wire, schema_base=schema_base)
    return dict(zip([names[name] for name in named], all_plain(named.values()), strict=True))


def plain(value: str) -> str:
    """Encode a value so that every broker accepts it in a header."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe=_PRINTABLE)


def all_plain(values: Collection[str]) -> Collection[str]:
    """As `plain`, for several values; checks them together first, because they rarely need encoding."""
    return values if _PLAIN.fullmatch("".join(values)) else [plain(value) for value in values]


def to_structured(envelope: EventEnvelope, *, schema_base: str | None = None) -> JsonObject:
    """The event as one JSON document (`application/cloudevents+json`)."""
    return structured(envelope.to_json(), schema_base=schema_base)


def to_binary(
    envelope: EventEnvelope, *, prefix: str = "ce-", schema_base: str | None = None
) -> tuple[bytes, dict[str, str]]:
    """The event as a body, Interlock's wire shape, and headers."""
    wire = envelope.to_json()
    return canonical_json(wire).encode(), headers(wire, prefix=prefix, schema_base=schema_base)


def read(body: bytes | str, beside: Mapping[str, Any] | None = None) -> EventEnvelope:
    """Parse an event in any supported form: Interlock's wire shape, or CloudEvents, structured or binary.

    A foreign CloudEvent, whose data is not Interlock's wire shape, becomes an event of that type with the data as its own fields;
    its `subject` is the workflow ID.

    Raises:
        InvalidInput: It has none of these forms.
    """
    document = json_object(body)
    named = _in_headers(beside or {})
    if named:
        return _from_attributes(named, document)
    if "specversion" in document:
        data = document.get("data", {})
        if not isinstance(data, Mapping):
            raise InvalidInput("The CloudEvent's data is not a JSON object. Nothing was done; fix its sender.")
        return _from_attributes({key: value for key, value in document.items() if key != "data"}, data)
    return EventEnvelope.from_json(document)


def traceparent(trace_id: str, event_id: str) -> str:
    """The W3C trace context of an event: one trace for all events of an instance, with a separate parent for each."""
    return f"00-{_trace_digest(trace_id)}-{hashlib.sha256(event_id.encode()).hexdigest()[:16]}-01"


@functools.lru_cache(maxsize=4_096)
def _trace_digest(trace_id: str) -> str:
    return hashlib.sha256(trace_id.encode()).hexdigest()[:32]


@functools.lru_cache(maxsize=1_024)
def _reference(source: str) -> str:
    """A source as a URI reference."""
    return source if _REFERENCE.fullmatch(source) else quote(source, safe="/:@?&=+$,;~%")


@functools.cache
def _header_names(prefix: str) -> Mapping[str, str]:
    """The header names of the attributes; the content type has its own header in every binding."""
    return {name: f"{prefix}{name}" for name in _ATTRIBUTES} | {"datacontenttype": "content-type"}


def _in_headers(beside: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in beside.items():
        for prefix in PREFIXES:
            if name.lower().startswith(prefix.lower()):
                text = value.decode() if isinstance(value, bytes) else str(value)
                found[name[len(prefix) :].lower()] = unquote(text)
    return found if "specversion" in found else {}


def _from_attributes(named: Mapping[str, Any], data: Mapping[str, Any]) -> EventEnvelope:
    if str(named.get("specversion")) != SPEC_VERSION:
        raise InvalidInput(
            f"The CloudEvent has the specversion {named.get('specversion')!r}; {SPEC_VERSION} is understood. Nothing was done."
        )
    missing = [name for name in _REQUIRED if not named.get(name)]
    if missing:
        raise InvalidInput(f"The CloudEvent has no {' and no '.join(missing)}. Nothing was done; fix its sender.")
    if "eventName" in data and "eventId" in data:
        envelope = EventEnvelope.from_json(data)
        if (envelope.event_id, envelope.event_name) != (named["id"], named["type"]):
            raise InvalidInput(
                f"The CloudEvent {named['id']} of type {named['type']} carries the event {envelope.event_id} of type {envelope.event_name}. "
                "Nothing was done; its attributes and its data must agree."
            )
        return envelope
    source = str(named["source"] or UNKNOWN_SOURCE)
    tenant = {"tenant": str(named["tenant"])} if named.get("tenant") else {}
    trace = named.get("traceid") or derive("trace", source, str(named["id"]))
    foreign: dict[str, Any] = {
        "eventName": str(named["type"]),
        "eventId": str(named["id"]),
        "occurredAt": named.get("time"),
        "traceId": str(trace),
        "workflowId": str(named.get("subject") or ""),
        "metadata": {"source": source, **tenant},
    }
    taken = foreign.keys() & data.keys()
    if taken:
        raise InvalidInput(
            f"The CloudEvent's data has the fields {', '.join(sorted(taken))}, which are Interlock's own. Nothing was done; send "
            "the whole wire shape, or rename them."
        )
    return EventEnvelope.from_json({**json.loads(json.dumps(dict(data))), **foreign})
