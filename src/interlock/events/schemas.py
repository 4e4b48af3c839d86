"""The contracts of events as JSON Schema, and the detection of breaking changes.

An event's name contains its version, and a version may only grow: new fields have to be optional. Any other change needs a new version
under a new name, beside the old one.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..tools.errors import ContractError
from ..tools.events import Event
from ..tools.schemas.offered.schema import tidy
from ..tools.schemas.shapes import closed, wire_keys
from ..tools.sinks import whole_file

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SAYS_NOTHING = frozenset({"title", "description", "default", "examples", "$comment", "deprecated", "$schema", "$id"})


def event_schema(event: type[Event]) -> Schema:
    """The JSON Schema of an event in its wire form: its own fields and those of the envelope."""
    own = tidy(closed(event).model_json_schema(mode="serialization", by_alias=True))
    keys = set(wire_keys(event).values())
    text: Schema = {"type": "string", "minLength": 1}
    properties: Schema = {
        "eventName": {"const": event.name_on_wire},
        "eventId": {**text, "description": "The same at every redelivery."},
        "occurredAt": {"type": "string", "format": "date-time"},
        "traceId": text,
        "workflowId": {"type": "string"},
        **{key: value for key, value in own.get("properties", {}).items() if key in keys},
        "metadata": {"type": "object"},
    }
    required = [name for name in properties if name not in keys or name in own.get("required", ())]
    schema: Schema = {
        "$schema": DRAFT,
        "$id": event.name_on_wire,
        "title": event.__name__,
        "type": "object",
        "properties": properties,
        "required": required,
    }
    if event.__doc__ and event.__doc__ != Event.__doc__:
        schema["description"] = " ".join(event.__doc__.split("\n\n")[0].split())
    if "$defs" in own:
        schema["$defs"] = own["$defs"]
    return schema


def known_events() -> list[type[Event]]:
    """All imported event classes, by name.

    Raises:
        ContractError: Two classes go by one name and differ.
    """
    found: dict[str, type[Event]] = {}
    waiting: list[type[Event]] = [*Event.__subclasses__()]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if any(getattr(base, "name_on_wire", None) == one.name_on_wire for base in one.__mro__[1:]):
            continue  # the same event, converted by `closed` for parsing
        other = found.setdefault(one.name_on_wire, one)
        if other is not one and _bare(event_schema(other)) != _bare(event_schema(one)):
            raise ContractError(
                f"{other.__module__}.{other.__qualname__} and {one.__module__}.{one.__qualname__} are both the event {one.name_on_wire!r}, and their "
                "fields differ. Give one of them another name or version."
            )
    return [found[name] for name in sorted(found)]


def export(events: Iterable[type[Event]], folder: Path) -> list[Path]:
    """Write one file for each event, `<name>.v<version>.json`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for event in events:
        path = folder / f"{event.name_on_wire}.json"
        with whole_file(path) as file:
            file.write(json.dumps(event_schema(event), indent=2, ensure_ascii=False) + "\n")
        written.append(path)
    return written


def breaking_changes(events: Iterable[type[Event]], folder: Path) -> dict[str, list[str]]:
    """The changes since an export to a folder that break consumers, event by event.

    An event that is not in the folder is new. A file without an event is ignored, because it may belong to another application.

    Raises:
        ContractError: A file of the folder cannot be read.
    """
    found: dict[str, list[str]] = {}
    for event in events:
        path = folder / f"{event.name_on_wire}.json"
        if not path.exists():
            continue
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ContractError(
                f"{path} is not a JSON Schema: {error}. Export the events again from the last release."
            ) from None
        changes = differences(before, event_schema(event))
        if changes:
            found[event.name_on_wire] = changes
    return found


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The changes of a schema that break consumers, or events in transit."""
    return [*_Comparison(before, after).of(before, after, "")]


class _Comparison:
    """Compares two schemas, definition by definition; a recursive one is checked once."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str]] = set()

    def of(self, before: Any, after: Any, path: str) -> Iterable[str]:
        """The differences at one place."""
        if isinstance(before, dict) and "$ref" in before:
            pair = (str(before["$ref"]), json.dumps(after, sort_keys=True))
            if pair in self._seen:
                return
            self._seen.add(pair)
        before, after = _resolved(before, self._old), _resolved(after, self._new)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self._fields(before, after, path)
            yield from self._rest(before, after, path)
        elif before != after:
            yield f"{path or 'the event'}: was {before!r}, is {after!r}"

    def _fields(self, before: Schema, after: Schema, path: str) -> Iterable[str]:
        was, now = before.get("properties", {}), after.get("properties", {})
        had, has = before.get("required", ()), after.get("required", ())
        for name in was:
            field = _join(path, name)
            if name not in now:
                yield f"{field}: was removed"
                continue
            yield from self.of(was[name], now[name], field)
            if name in had and name not in has:
                yield f"{field}: may be missing now"
            if name in has and name not in had:
                yield f"{field}: is now required, and events in progress lack it"
        for name in sorted(set(has) - was.keys()):
            yield f"{_join(path, name)}: is new and required, and events in progress lack it; make it optional"

    def _rest(self, before: Schema, after: Schema, path: str) -> Iterable[str]:
        for key in sorted((before.keys() | after.keys()) - _SAYS_NOTHING - {"properties", "required", "$defs"}):
            was, now = before.get(key), after.get(key)
            if key in {"items", "additionalProperties"} and None not in (was, now):
                yield from self.of(was, now, f"{path}[]")
            elif key in {"anyOf", "oneOf", "allOf", "prefixItems"} and len(was or ()) == len(now or ()):
                for one, other in zip(was or (), now or (), strict=True):
                    yield from self.of(one, other, path)
            elif was != now:
                yield f"{path or 'the event'}: {key} was {was!r}, is {now!r}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    if not isinstance(schema, dict) or "$ref" not in schema:
        return schema
    name = str(schema["$ref"]).removeprefix("#/$defs/")
    return root.get("$defs", {}).get(name, schema)


def _bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key not in _SAYS_NOTHING}
    return [_bare(item) for item in schema] if isinstance(schema, list) else schema


__all__ = ["breaking_changes", "differences", "event_schema", "export", "known_events"]
