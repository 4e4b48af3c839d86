"""Wait rules as plain data, and the pure rules that end a wait."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, cast

from pydantic import ValidationError

from ..tools.approvals.deadlines import Within, due, seconds_of, within_to_json
from ..tools.canonical import JSON, JsonObject, digest
from ..tools.errors import InvalidInput, RuleError, RunError, WorkflowDefinitionError
from ..tools.events import Event, EventEnvelope
from ..tools.kinds import ItemStatus
from ..tools.schemas.shapes import closed, wire_keys
from .case_approvals import within_of
from .view import GuardView

Each = str | Callable[[Any], Iterable[str]]
Apply = Callable[[Any, Any], None]


class Role(StrEnum):
    """The meaning of an event for a wait."""

    SETTLES = "settles"
    DELIVERED = "delivered"
    """The item is announced; another event will settle it."""
    FAILED = "failed"


class Ending(StrEnum):
    """The ways in which events can end a wait."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class WaitRule:
    """The rule of a wait state: the events that it expects, and the states that follow.

    Attributes:
        state: The wait state.
        events: The events that settle an expected item; empty for a state that only a deadline ends.
        then: The state that follows when enough items are settled.
        within: The duration of the wait, the moment of its deadline, or a function of the view that returns either; None: no deadline.
        on_timeout: The state that follows the deadline.
        expect: How many items must be settled: `all`, `any` or a number.
        each: For a fan-out: the keys for each of which the events are expected; the name of a field of the data, or a function of it.
        part: The event's field that contains its key in `each`.
        key: Pairs of an event's field and the data's field whose values must be equal; if empty, the event names the instance.
        apply: Changes the data for each event that counts, in the same transaction.
        delivered_by: The event that announces an item.
        failed_by: The event that reports that an item will not come.
        on_failure: The state that follows when so many items failed that the others cannot end the wait.
        sources: The event sources that count; None: any source.
    """

    state: str
    events: tuple[type[Event], ...]
    then: str | None
    within: Within = None
    on_timeout: str | None = None
    expect: str | int = "all"
    each: Each | None = None
    part: str | None = None
    key: tuple[tuple[str, str], ...] = ()
    apply: Apply | None = None
    delivered_by: type[Event] | None = None
    failed_by: type[Event] | None = None
    on_failure: str | None = None
    sources: frozenset[str] | None = None

    def trusts(self, source: str) -> bool:
        """Whether events of a source count."""
        return self.sources is None or source in self.sources

    @property
    def seconds(self) -> float | None:
        """The duration of the wait, if it is a fixed duration."""
        return seconds_of(self.within)

    def due(self, view: GuardView, now: int) -> int | None:
        """The deadline of a wait that starts now, in microseconds since 1970 UTC; None for no deadline.

        Raises:
            RunError: The function raised, or gave no deadline.
        """
        try:
            return due(within_of(self.within, view, f"the wait {self.state!r}"), now)
        except RuleError as error:
            raise RunError(
                f"The wait {self.state!r} cannot begin, because {error.message}. Nothing was changed; correct within=, then try again.",
                code="wait_error",
            ) from error

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """The events that are checked, by their names on the wire."""
        found = {event.name_on_wire: Role.SETTLES for event in self.events}
        if self.delivered_by is not None:
            found[self.delivered_by.name_on_wire] = Role.DELIVERED
        if self.failed_by is not None:
            found[self.failed_by.name_on_wire] = Role.FAILED
        return found

    @cached_property
    def classes(self) -> Mapping[str, type[Event]]:
        """The event classes by their names on the wire."""
        looked_at = [*self.events, self.delivered_by, self.failed_by]
        return {event.name_on_wire: event for event in looked_at if event is not None}

    @property
    def settled_as(self) -> ItemStatus:
        """The status of an item that its event has settled."""
        return ItemStatus.DELIVERED if self.delivered_by is None else ItemStatus.ACKNOWLEDGED

    @property
    def unsettled(self) -> tuple[ItemStatus, ...]:
        """The statuses of items that may still be settled."""
        return (ItemStatus.REQUESTED,) if self.delivered_by is None else (ItemStatus.REQUESTED, ItemStatus.DELIVERED)

    @property
    def ends(self) -> Mapping[str, str]:
        """The following states, each with its cause."""
        found: dict[str, str] = {}
        for target, why in (
            (self.then, ", ".join(self.roles_of(Role.SETTLES))),
            (self.on_failure, ", ".join(self.roles_of(Role.FAILED))),
            (self.on_timeout, "deadline"),
        ):
            if target is not None:
                found[target] = f"{found[target]}, {why}" if target in found else why
        return found

    def roles_of(self, role: Role) -> list[str]:
        """The events of a role."""
        return [name for name, its in self.roles.items() if its is role]

    def items(self, data: Any) -> list[tuple[str, str | None]]:
        """The expected items at the start of the wait: event and part of each.

        Raises:
            RunError: `each` gives nothing to wait for, or the same part twice.
        """
        names = [event.name_on_wire for event in self.events]
        if self.each is None:
            many = isinstance(self.expect, int) and len(names) == 1
            return [(names[0], None)] * int(self.expect) if many else [(name, None) for name in names]
        parts = [str(part) for part in (self.each(data) if callable(self.each) else getattr(data, self.each))]
        if not parts or len(set(parts)) < len(parts):
            raise RunError(
                f"The wait {self.state!r} expects an event for each of {parts}, which is {'nothing' if not parts else 'not told apart'}. "
                "Nothing was changed; fill the data that `each` looks at with different names before the workflow comes here.",
                code="wait_error",
            )
        return [(name, part) for part in parts for name in names]

    def needed(self, total: int) -> int:
        """The number of settled items that ends the wait."""
        match self.expect:
            case "all":
                return total
            case "any":
                return min(1, total)
            case number:
                return min(int(number), total)

    def correlation(self, workflow_id: str, data: Mapping[str, Any]) -> str:
        """The correlation key of this wait's events, from the instance's stored data."""
        if not self.key:
            return by_instance(workflow_id)
        return _by_key({event: data.get(field) for event, field in self.key})

    def correlation_of(self, event: EventEnvelope) -> str | None:
        """The correlation key of an event, or None if it lacks a field of the key."""
        if not self.key:
            return by_instance(event.workflow_id)
        keys = wire_keys(self.classes[event.event_name])
        found = {name: event.fields.get(keys[name]) for name, _ in self.key}
        return None if None in found.values() else _by_key(found)

    def part_of(self, event: EventEnvelope) -> str | None:
        """The expected part that an event refers to."""
        if self.part is None:
            return None
        value = event.fields.get(wire_keys(self.classes[event.event_name])[self.part])
        return None if value is None else str(value)

    def read(self, event: EventEnvelope) -> Event:
        """Parse the event with its class. Unknown fields are dropped, because events may gain fields.

        Raises:
            InvalidInput: The event does not fit the class.
        """
        kind = self._closed[event.event_name]
        try:
            try:
                return kind.model_validate(event.fields)
            except ValidationError as error:
                unknown = [item["loc"] for item in error.errors() if item["type"] == "extra_forbidden"]
                return kind.model_validate(_without(event.fields, unknown))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise InvalidInput(
                f"The event {event.event_id} does not fit {event.event_name}: {wrong}. It moved nothing; fix its sender."
            ) from error

    @cached_property
    def _closed(self) -> Mapping[str, type[Event]]:
        # Nested models are in camelCase too; the classes that this creates parse them so.
        return {name: closed(kind) for name, kind in self.classes.items()}

    def to_json(self) -> JsonObject:
        """The rule as plain data, for fingerprints and for people."""
        return {
            "events": cast("JSON", {name: role.value for name, role in self.roles.items()}),
            "expect": self.expect,
            "each": self.each if isinstance(self.each, str) or self.each is None else "…",
            "part": self.part,
            "key": [[event, data] for event, data in self.key],
            **within_to_json(self.within),
            "then": self.then,
            "onTimeout": self.on_timeout,
            "onFailure": self.on_failure,
            **({} if self.sources is None else {"sources": [*sorted(self.sources)]}),
        }


def _without(fields: JsonObject, unknown: Iterable[tuple[int | str, ...]]) -> JsonObject:
    """Copy an event's fields without these, at any depth."""
    copied: JsonObject = copy.deepcopy(fields)
    for *way, last in unknown:
        place: Any = copied
        for step in way:
            if isinstance(place, list) and isinstance(step, int):
                place = place[step]
            elif isinstance(place, dict):
                place = place.get(step, {})
            else:
                place = {}
        if isinstance(place, dict):
            place.pop(str(last), None)
    return copied


def ending(*, needed: int, total: int, settled: int, failed: int) -> Ending | None:
    """How the counts end a wait; None while it continues."""
    if settled >= needed:
        return Ending.DONE
    return Ending.FAILED if total - failed < needed else None


def by_instance(workflow_id: str) -> str:
    """The correlation key of an event that names its instance."""
    return f"id:{workflow_id}"


def _by_key(values: Mapping[str, Any]) -> str:
    return f"key:{digest({name: str(value) for name, value in values.items()})}"


def check_rule(rule: WaitRule, data_model: type[Any] | None) -> None:
    """Refuse a rule that cannot work.

    Raises:
        WorkflowDefinitionError: The message says what is wrong, and how to fix it.
    """
    for problem in _problems(rule, data_model):
        raise WorkflowDefinitionError(f"The wait {rule.state!r} {problem}")


def _problems(rule: WaitRule, data_model: type[Any] | None) -> Iterable[str]:
    looked_at = [*rule.events, *(event for event in (rule.delivered_by, rule.failed_by) if event is not None)]
    given: list[object] = [*looked_at]
    for event in given:
        if not (isinstance(event, type) and issubclass(event, Event)):
            yield f"is given {event!r} as an event; give a subclass of interlock.Event."
            return
    if len(rule.roles) < len(looked_at):
        yield "is given one event for two purposes; each event either settles, or delivers, or fails."
    if not rule.events and (rule.within is None or rule.delivered_by or rule.failed_by):
        yield "waits for nothing: give for_event=, or a deadline with within= and on_timeout=."
    if rule.sources is not None and not rule.sources:
        yield "trusts no source, so that no event can end it: name those whose events count, or leave sources= out."
    if rule.events and rule.then is None:
        yield "has no state that follows its events; give then=."
    if not rule.events and rule.then is not None:
        yield "has then= and no event that could lead there; give for_event=, or leave then= out."
    if (rule.within is None) != (rule.on_timeout is None):
        yield "has a deadline without a state that follows it, or the other way round; give both within= and on_timeout=."
    if (rule.failed_by is None) != (rule.on_failure is None):
        yield "has failed_by= without on_failure=, or the other way round; give both."
    if isinstance(rule.expect, bool) or not (
        rule.expect in ("all", "any") or (isinstance(rule.expect, int) and rule.expect > 0)
    ):
        yield f"has expect={rule.expect!r}; give 'all', 'any' or a number from 1."
    elif isinstance(rule.expect, int) and rule.each is None and 1 < len(rule.events) < rule.expect:
        yield f"expects {rule.expect} of {len(rule.events)} events; it cannot get more than there are."
    if (rule.each is None) != (rule.part is None):
        yield "needs both each= (what there is one event for) and part= (the event's field that says which), or neither."
    yield from _wrong_fields(rule, looked_at, data_model)


def _wrong_fields(rule: WaitRule, looked_at: Iterable[type[Event]], data_model: type[Any] | None) -> Iterable[str]:
    in_data = [*([rule.each] if isinstance(rule.each, str) else []), *(field for _, field in rule.key)]
    known = set() if data_model is None else set(data_model.model_fields)
    for field in in_data:
        if field not in known:
            yield f"looks at {field!r} of the workflow's data, which has {', '.join(sorted(known)) or 'no fields'}."
    for event in looked_at:
        for field in [*([rule.part] if rule.part else []), *(field for field, _ in rule.key)]:
            if field not in event.model_fields:
                yield f"looks at {field!r} of {event.name_on_wire}, which has {', '.join(event.model_fields) or 'no fields'}."


__all__ = ["Ending", "Role", "WaitRule", "by_instance", "check_rule", "ending"]
