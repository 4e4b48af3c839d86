"""Events that tools emit, and their envelope."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .canonical import JsonObject, to_json
from .errors import ContractError, InvalidInput
from .ids import EventId, TraceId, WorkflowId
from .schemas.shapes import on_wire, refuse_collisions, wire_keys
from .wire import LONGEST_NAME, TOOL_NAME, camel

_ENVELOPE = ("eventName", "eventId", "occurredAt", "traceId", "workflowId", "metadata")


class Event(BaseModel):
    """The base of all events, declared with a name and a version.

    ::

        class CaseAssigned(Event, name="case.assigned", version=1):
            case_id: str
            queue_id: str

    On the wire it is called ``case.assigned.v1`` and its fields are camelCase. A change that would break consumers needs a new version.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=camel,
        populate_by_name=True,
        allow_inf_nan=False,
        ser_json_timedelta="iso8601",
    )

    name_on_wire: ClassVar[str]
    """Name and version together: ``case.assigned.v1``."""
    event_name: ClassVar[str]
    event_version: ClassVar[int]
    class_keywords: ClassVar[dict[str, Any]]
    """The keywords of the class statement, such as `name` and `version`."""

    def __init_subclass__(cls, *, name: str | None = None, version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        where = f"the event class {cls.__qualname__}"
        if name is None:
            raise ContractError(f'{where} has no name; declare it as class {cls.__name__}(Event, name="…", version=1)')
        check_name(name, where)
        check_version(version, where)
        cls.event_name, cls.event_version, cls.name_on_wire = name, version, f"{name}.v{version}"
        cls.class_keywords = {"name": name, "version": version}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Check the fields, which pydantic has collected at this point."""
        for name, key in wire_keys(cls).items():
            if key in _ENVELOPE:
                raise ContractError(
                    f"the event class {cls.__qualname__} has the field {name!r}, which on the wire is {key!r}; that "
                    "name belongs to the envelope, which fills it in: leave the field out, or rename it"
                )
        refuse_collisions(cls, f"the event class {cls.__qualname__}")

    def to_json(self) -> JsonObject:
        """Return the event's own fields as JSON data, as on the wire."""
        return cast("JsonObject", on_wire(self, self.model_dump(mode="json", by_alias=True)))


class EventEnvelope(BaseModel):
    """An event with its envelope: what happened, when, and where it comes from.

    On the wire (`to_json`) the event's own fields are next to those of the envelope.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=camel, populate_by_name=True)

    event_name: str = Field(min_length=1)
    """Name and version: ``case.assigned.v1``."""
    event_id: EventId
    """The ID of the event; the same at every redelivery."""
    occurred_at: dt.datetime
    """A moment with a time zone; UTC on the wire."""
    trace_id: TraceId
    workflow_id: WorkflowId
    fields: JsonObject = Field(default_factory=dict)
    """The event's own fields in wire form."""
    metadata: JsonObject = Field(default_factory=dict)
    """The origin of the event: `requestedBy`, and whatever else the emitter adds."""

    def model_post_init(self, _context: Any) -> None:
        """Refuse fields that could not be parsed again."""
        if self.occurred_at.tzinfo is None:
            raise InvalidInput(
                "an event's occurredAt has no time zone; give an aware datetime, such as datetime.now(UTC)"
            )
        try:
            self.occurred_at.astimezone(dt.UTC)
        except OverflowError:
            raise InvalidInput(
                f"An event occurred at {self.occurred_at.isoformat()}, which is no moment of UTC: it is before the year 1 or after 9999. "
                "Fix its sender."
            ) from None
        taken = sorted(self.fields.keys() & set(_ENVELOPE))
        if taken:
            raise InvalidInput(
                f"the event's own fields {', '.join(taken)} collide with those of the envelope; rename them"
            )

    @classmethod
    def wrap(
        cls,
        event: Event,
        *,
        event_id: EventId,
        occurred_at: dt.datetime,
        trace_id: TraceId,
        workflow_id: WorkflowId,
        metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """Put an event into its envelope."""
        return cls(
            event_name=event.name_on_wire,
            event_id=event_id,
            occurred_at=occurred_at,
            trace_id=trace_id,
            workflow_id=workflow_id,
            fields=event.to_json(),
            metadata=to_json(dict(metadata or {})),
        )

    def to_json(self) -> JsonObject:
        """Return the envelope as JSON data, exactly as on the wire."""
        return {
            "eventName": self.event_name,
            "eventId": self.event_id,
            "occurredAt": timestamp(self.occurred_at),
            "traceId": self.trace_id,
            "workflowId": self.workflow_id,
            **self.fields,
            "metadata": self.metadata,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Parse what `to_json` returned, in this process or another one.

        Raises:
            InvalidInput: a field of the envelope is missing or has a wrong type.
        """
        own = {key: value for key, value in data.items() if key not in _ENVELOPE}
        try:
            return cls.model_validate({**{key: data[key] for key in _ENVELOPE if key in data}, "fields": own})
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise InvalidInput(
                f"this is not an event ({wrong}); give the fields {', '.join(_ENVELOPE)} and the event's own"
            ) from None


def timestamp(moment: dt.datetime) -> str:
    """Write an aware moment as RFC 3339 in UTC, to the microsecond: ``2026-01-31T09:30:00.000000Z``. Such texts sort
    by time.
    """
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def moment_of(microseconds: int) -> dt.datetime:
    """Convert a time of the store, in microseconds since 1970, to the aware UTC datetime that rules, tools and events use."""
    return dt.datetime.fromtimestamp(microseconds // 1_000_000, dt.UTC) + dt.timedelta(
        microseconds=microseconds % 1_000_000
    )


def check_name(name: object, where: str) -> None:
    """Refuse a canonical name that breaks the rules."""
    if not isinstance(name, str) or not TOOL_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ContractError(
            f"{where} has the name {name!r}; a name is lower-case words joined by dots, each starting with a letter "
            "and holding letters, digits and "
            f"underscores, at most {LONGEST_NAME} characters in all, such as 'case.assign'"
        )


def check_version(version: object, where: str) -> None:
    """Refuse a version that is not a positive integer."""
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ContractError(f"{where} has the version {version!r}; a version is a positive integer, starting at 1")
