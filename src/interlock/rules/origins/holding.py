"""What is kept of a source: keyed hashes of its trusted values, and no text.

A source is what a person said, or what a tool returned. The hashes cannot be read back
without guessing the value and having the instance's key.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...tools.canonical import JsonObject
from ...tools.origins import EACH, MarkedField, MarkKind
from .words import is_plain, label, number, plain, small, words

Hashed = Callable[[str], str]
"""The keyed hash of a text."""
MOST_WORDS = 4_000
"""How many words of one message are kept; a value that stands behind them is asked about."""
MOST_RECORDS = 1_000
"""How many records of one output are kept, likewise."""


class Word(NamedTuple):
    """The hashes of one word that a person said."""

    raw: str
    """As it stands."""
    core: str
    """Without the punctuation around it."""
    small: str
    """With small letters, for the names of records."""


@dataclass(frozen=True)
class Record:
    """One record of an output: how it is named, and its trusted values."""

    labels: tuple[tuple[str, ...], ...] = ()
    """Each label as the hashes of its words."""
    values: frozenset[str] = frozenset()
    is_selected: bool = False
    """Whether the call that read it named it."""


@dataclass(frozen=True)
class Held:
    """What is kept of one source."""

    said: tuple[Word, ...] = ()
    """The words of a person in their order."""
    numbers: frozenset[str] = frozenset()
    """The numbers that a person said."""
    records: tuple[Record, ...] = ()
    secrets: frozenset[str] = frozenset()
    """Values of fields that the tool calls sensitive."""

    def to_json(self) -> JsonObject:
        """As it is stored."""
        return {
            "said": [word.raw if len({*word}) == 1 else [*word] for word in self.said],
            "numbers": [*sorted(self.numbers)],
            "records": [
                {
                    "labels": [[*one] for one in record.labels],
                    "values": [*sorted(record.values)],
                    "selected": record.is_selected,
                }
                for record in self.records
            ],
            "secrets": [*sorted(self.secrets)],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Held":
        """Read what `to_json` gave."""
        return cls(
            tuple(Word(one, one, one) if isinstance(one, str) else Word(*one) for one in data["said"]),
            frozenset(data["numbers"]),
            tuple(
                Record(tuple(tuple(label) for label in one["labels"]), frozenset(one["values"]), one["selected"])
                for one in data["records"]
            ),
            frozenset(data["secrets"]),
        )


def of_words(text: str, hashed: Hashed) -> Held:
    """What is kept of what a person said."""
    said, numbers = [], set()
    for word, core in [*words(text)][:MOST_WORDS]:
        if not is_plain(word):
            said.append(Word(*[hashed("hidden")] * 3))  # it keeps its place, and matches nothing
            continue
        said.append(Word(hashed(f"w:{word}"), hashed(f"w:{core}"), hashed(f"w:{small(core)}")))
        if (found := number(core)) is not None:
            numbers.add(hashed(f"n:{found}"))
    return Held(tuple(said), frozenset(numbers))


def of_output(
    output: Any,
    fields: Sequence[MarkedField],
    hashed: Hashed,
    *,
    sensitive: frozenset[str],
    is_traced: bool,
    is_selected: bool,
) -> Held:
    """What is kept of what a tool returned.

    Args:
        output: As on the wire.
        fields: The tool's output fields with their markers.
        hashed: The keyed hash.
        sensitive: The names of its sensitive fields.
        is_traced: Whether all that it was called with came from a trusted source; else facts in its output may be what a
            model chose (a sum, an echo), and only `Id` and `Own` count.
        is_selected: Whether a person named what it was called with.
    """
    known = Fields(fields)
    found = _Records(known, hashed, is_traced, is_selected)
    found.walk(output, (), None)
    secrets = frozenset(
        hashed(f"v:{plain(str(value))}")
        for path, value in leaves(output)
        if {*path} & sensitive and value is not None and len(str(value)) >= 4
    )
    return Held(records=tuple(found.records[:MOST_RECORDS]), secrets=secrets)


class Fields:
    """Marked fields by their paths, of which an argument or an output has values."""

    def __init__(self, fields: Sequence[MarkedField]) -> None:
        self._by_path: dict[tuple[str, ...], list[MarkedField]] = {}
        self._fields = fields
        for one in fields:
            self._by_path.setdefault(one.path, []).append(one)

    def at(self, path: tuple[str, ...]) -> list[MarkedField]:
        """The fields that a value at this path may be; none where nothing is known of it."""
        exact = self._by_path.get(path)
        if exact is not None:
            return exact
        return self._like(path)

    def names(self, path: tuple[str, ...]) -> bool:
        """Whether the last name of a path is one that the schema has itself, and no key of a mapping."""
        return any(
            len(one.path) >= len(path)
            and one.path[len(path) - 1] == path[-1]
            and all(part in {EACH, here} for part, here in zip(one.path, path, strict=False))
            for one in self._fields
        )

    def _like(self, path: tuple[str, ...]) -> list[MarkedField]:
        return [
            one
            for one in self._fields
            if len(one.path) == len(path)
            and all(part in {EACH, here} for part, here in zip(one.path, path, strict=True))
        ]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that holds no other, with the path to it; an item of a list is at `*`."""
    match value:
        case Mapping():
            for name, inner in value.items():
                yield from leaves(inner, (*path, str(name)))
        case list() | tuple():
            for inner in value:
                yield from leaves(inner, (*path, EACH))
        case _:
            yield path, value


def marks_of(value: Any, kind: str | None, hashed: Hashed) -> Iterator[str]:
    """The hashes under which a trusted value is found again.

    Args:
        value: The value.
        kind: The kind of record that it names, for an id: then it is found as such an id, and in no other way.
        hashed: The keyed hash.
    """
    if value is None or isinstance(value, bool):
        return
    if kind is not None:
        yield hashed(f"id:{kind}:{plain(str(value))}")
    elif (found := number(value)) is not None and not isinstance(value, str):
        yield hashed(f"n:{found}")
    elif isinstance(value, str) and value.strip() and is_plain(value, lines=True):
        yield hashed(f"v:{plain(value)}")


@dataclass
class _Records:
    """Goes through an output and gathers its records: each object that has an id or a label, else the output as a whole."""

    fields: Fields
    hashed: Hashed
    is_traced: bool
    is_selected: bool
    records: list[Record] = field(default_factory=list)

    def walk(self, value: Any, path: tuple[str, ...], into: "_Open | None") -> None:
        match value:
            case Mapping():
                names = [one for name in value for one in self.fields.at((*path, str(name)))]
                is_record = any(
                    one.mark is not None and one.mark.kind in {MarkKind.ID, MarkKind.LABEL} for one in names
                )
                own = _Open() if is_record or into is None else into
                for name, inner in value.items():
                    self.walk(inner, (*path, str(name)), own)
                if own is not into:
                    self._close(own, is_alone=into is None and not path)
            case list() | tuple():
                for inner in value:
                    self.walk(inner, (*path, EACH), into)
            case _:
                own = into or _Open()
                self._leaf(value, path, own)
                if into is None:
                    self._close(own, is_alone=not path)

    def _leaf(self, value: Any, path: tuple[str, ...], into: "_Open") -> None:
        candidates = self.fields.at(path)
        if not candidates:
            return
        if all(one.mark is not None and one.mark.kind is MarkKind.LABEL for one in candidates):
            if isinstance(value, str):
                self._name(value, into)
            return
        kinds = {None if one.mark is None else one.mark for one in candidates}
        if len(kinds) != 1:
            return  # it may be one thing or another: the less trusted one counts, and that is none
        (mark,) = kinds
        if mark is None:
            if self.is_traced and not any(one.is_text for one in candidates):
                into.values.update(marks_of(value, None, self.hashed))
        elif mark.kind is MarkKind.ID:
            into.values.update(marks_of(value, mark.of, self.hashed))
            into.labels.append(tuple(self.hashed(f"w:{small(core)}") for _, core in words(str(value)) if core))
        elif mark.kind is MarkKind.OWN:
            into.values.update(marks_of(value, None, self.hashed))

    def _name(self, text: str, into: "_Open") -> None:
        into.labels.append(tuple(self.hashed(f"w:{word}") for word in label(text)))

    def _close(self, record: "_Open", *, is_alone: bool) -> None:
        if record.values:
            labels = tuple(one for one in dict.fromkeys(record.labels) if one)
            self.records.append(Record(labels, frozenset(record.values), self.is_selected and is_alone))


@dataclass
class _Open:
    labels: list[tuple[str, ...]] = field(default_factory=list)
    values: set[str] = field(default_factory=set)


__all__ = ["Fields", "Hashed", "Held", "Record", "Word", "leaves", "marks_of", "of_output", "of_words"]
