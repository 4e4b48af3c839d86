"""A preview that says before and after, as changes of single fields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...pictures.card_text import plain_of

_PAIRS = (("before", "after"), ("from", "to"), ("old", "new"))


@dataclass(frozen=True)
class Change:
    """One field before and after; None where it is not there."""

    path: str
    before: str | None
    after: str | None


def changes(preview: Any) -> list[Change]:
    """The changes that a preview tells of, as `{"before": ..., "after": ...}` at its top or under any name; none where it does not."""
    found = [] if not isinstance(preview, Mapping) else list(_found(preview, ""))
    beginnings = {one.path.partition(".")[0] for one in found}
    if len(found) > 1 and len(beginnings) == 1 and all("." in one.path for one in found):
        # What all of them begin with tells none of them apart.
        return [replace(one, path=one.path.partition(".")[2]) for one in found]
    return found


def _found(value: Mapping[str, Any], path: str) -> Iterator[Change]:
    for before, after in _PAIRS:
        if set(value) == {before, after}:
            yield from _between(value[before], value[after], path)
            return
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _found(inner, f"{path}.{name}" if path else str(name))


def _between(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from _between(before.get(name), after.get(name), f"{path}.{name}" if path else str(name))
    elif before != after:
        yield Change(path, _text(before), _text(after))


def _text(value: Any) -> str | None:
    return None if value is None else plain_of(value)


__all__ = ["Change", "changes"]
