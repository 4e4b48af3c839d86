"""Parses envelopes, reads their source and tenant, and makes an event that answers another."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from ..tools.errors import InvalidInput
from ..tools.events import Event, EventEnvelope, moment_of, timestamp
from ..tools.ids import EventId, derive

UNKNOWN_SOURCE = "/"
"""The source of an event without one."""


def source_of(envelope: EventEnvelope) -> str:
    """Return the source of an event: the one that it names, or the workflow that emitted it (`/workflows/<name>`).

    Source and id together are an event's identity.
    """
    return source_in(envelope.metadata)


def source_in(metadata: Mapping[str, Any]) -> str:
    """The source of an event with this metadata."""
    said = metadata.get("source")
    if isinstance(said, str) and said:
        return said
    workflow = metadata.get("workflow")
    return f"/workflows/{workflow}" if isinstance(workflow, str) and workflow else UNKNOWN_SOURCE


def tenant_of(envelope: EventEnvelope) -> str:
    """The tenant of an event; `default` if it names none."""
    return tenant_in(envelope.metadata)


def tenant_in(metadata: Mapping[str, Any]) -> str:
    """The tenant of an event with this metadata."""
    said = metadata.get("tenant")
    return said if isinstance(said, str) and said else "default"


def envelope_of(text: str | bytes) -> EventEnvelope:
    """Read an envelope from JSON text.

    Raises:
        InvalidInput: It is not a JSON object, or no event.
    """
    return EventEnvelope.from_json(json_object(text))


def json_object(text: str | bytes) -> Mapping[str, Any]:
    """Read a JSON object.

    Raises:
        InvalidInput: It is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"This is not an event: it is not JSON ({type(error).__name__}). Fix its sender.") from None
    if not isinstance(found, dict):
        raise InvalidInput("This is not an event: it is JSON, but not an object. Fix its sender.")
    return found


def reply(
    to: EventEnvelope,
    event: Event,
    *,
    source: str,
    metadata: Mapping[str, Any] | None = None,
    now: dt.datetime | None = None,
) -> EventEnvelope:
    """Create the answer to an event: for the same workflow instance, in the same trace.

    The answer's ID is derived from the event and the answer's name. A redelivered event is therefore answered with the same event again,
    which the receiver drops.

    Args:
        to: The event to answer.
        event: The answer.
        source: The sender of the answer, as a URI reference such as `/consumers/mail`.
        metadata: Further data about its origin.
        now: When the answer occurred; by default now.
    """
    # The instance that the answer wakes links to the one that asked.
    trace = {"trace": to.metadata["trace"]} if to.metadata.get("trace") else {}
    return EventEnvelope.wrap(
        event,
        event_id=EventId(derive("evt", source, to.event_id, event.name_on_wire, event.to_json())),
        occurred_at=now or dt.datetime.now(dt.UTC),
        trace_id=to.trace_id,
        workflow_id=to.workflow_id,
        metadata={"source": source, "tenant": tenant_of(to), "causedBy": to.event_id, **trace, **(metadata or {})},
    )


def moment_text(microseconds: int) -> str:
    """A stored moment, microseconds since 1970 UTC, as text."""
    return timestamp(moment_of(microseconds))
