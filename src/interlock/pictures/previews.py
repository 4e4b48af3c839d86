"""A preview as lines and as changes of single fields, for the card, the terminal and the console.

A preview is any JSON. These mappings are changes, at the top or under any name: `{"before": a, "after": b}`, `{"from": a, "to": b}`,
`{"old": a, "new": b}`, `{"added": a}` and `{"removed": a}`. Everything else is shown unchanged, a line for each field.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

_PAIRS = (("before", "after"), ("from", "to"), ("old", "new"))


@dataclass(frozen=True)
class Change:
    """One field before and after; None if it is absent."""

    path: str
    before: str | None
    after: str | None

    @property
    def words(self) -> str:
        """The change in words: `3 → 4`, `+ 4` or `- 3`."""
        if self.before is None:
            return f"+ {self.after}"
        return f"- {self.before}" if self.after is None else f"{self.before} → {self.after}"


def changes(preview: Any) -> list[Change]:
    """The changes in a preview."""
    found = [] if not isinstance(preview, Mapping) else list(_found(preview, ""))
    beginnings = {one.path.partition(".")[0] for one in found}
    if len(found) > 1 and len(beginnings) == 1 and all("." in one.path for one in found):
        # Drop the common prefix of the paths, which distinguishes none of them.
        return [replace(one, path=one.path.partition(".")[2]) for one in found]
    return found


def preview_lines(
    preview: Any, path: str = "", *, write: Callable[[Any], str] | None = None
) -> Iterator[tuple[str, str]]:
    """The lines of a preview: the path of a field, which is empty at the top, and its change or value.

    Args:
        preview: The preview of a call.
        path: The names that lead to it.
        write: Formats a value; `plain_of` by default.
    """
    write = write or plain_of
    if isinstance(preview, Mapping) and (told := _changes_in(preview, path, write)) is not None:
        for change in told:
            yield change.path, change.words
    elif isinstance(preview, Mapping) and preview:
        for name, value in preview.items():
            yield from preview_lines(value, str(name) if path in {"", "changes"} else f"{path}.{name}", write=write)
    elif isinstance(preview, list) and preview:
        for value in preview:
            yield from preview_lines(value, path, write=write)
    else:
        yield path, write(preview)


def plain_of(value: Any) -> str:
    """A value for people: text unchanged, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _found(value: Mapping[str, Any], path: str) -> Iterator[Change]:
    if (told := _changes_in(value, path, plain_of)) is not None:
        yield from told
        return
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _found(inner, f"{path}.{name}" if path else str(name))


def _changes_in(value: Mapping[str, Any], path: str, write: Callable[[Any], str]) -> list[Change] | None:
    """The changes that a mapping represents; None if it has none of the known shapes."""
    for before, after in _PAIRS:
        if set(value) == {before, after}:
            return list(_between(value[before], value[after], path, write))
    if set(value) == {"added"}:
        return [Change(path, None, write(value["added"]))]
    if set(value) == {"removed"}:
        return [Change(path, write(value["removed"]), None)]
    return None


def _between(before: Any, after: Any, path: str, write: Callable[[Any], str]) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from _between(before.get(name), after.get(name), f"{path}.{name}" if path else str(name), write)
    elif before != after:
        yield Change(path, None if before is None else write(before), None if after is None else write(after))


__all__ = ["Change", "changes", "plain_of", "preview_lines"]
