"""The stored form of a source: keyed hashes of its trusted values, and no text.

A source is a person's message or a tool's output. To reverse a hash, an attacker must have the instance's key and guess the value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...tools.canonical import JSON, JsonObject
from ...tools.origins import EACH, MarkedField, MarkKind
from .words import is_plain, label, number, plain, small, words

Hashed = Callable[[str], str]
"""The keyed hash of a text."""
WIDTH = 43
"""The length of a value's hash: 256 bits."""
LABEL_WIDTH = 22
"""The length of a label's hash: 132 bits."""
MOST_WORDS = 4_000
"""The maximum number of stored words per message; a later value counts as not said."""
MOST_RECORDS = 1_000
"""The maximum number of stored records per output."""


class Word(NamedTuple):
    """The hashes of one word of a person's message."""

    raw: str
    """The word unchanged."""
    core: str
    """The word without surrounding punctuation."""
    small: str
    """The word in lower case, for the names of records."""


@dataclass(frozen=True)
class Records:
    """The records of an output: their trusted values and their labels. Each text concatenates the hashes."""

    values: str = ""
    """The hashes of all values, in the order of the records."""
    sizes: tuple[int, ...] = ()
    """The number of values per record."""
    labels: str = ""
    """The hashes of all labels, in the order of the records."""
    labelled: tuple[int, ...] = ()
    """The number of labels per record."""
    lengths: frozenset[int] = frozenset()
    """The numbers of words of the labels."""
    selected: frozenset[int] = frozenset()
    """The indexes of the records that the reading call itself named."""


@dataclass(frozen=True)
class Held:
    """The stored form of one source."""

    said: tuple[Word, ...] = ()
    """The words of a person in order."""
    numbers: frozenset[str] = frozenset()
    """The numbers that a person said."""
    records: Records = Records()
    secrets: frozenset[str] = frozenset()
    """The values of the tool's sensitive fields."""

    def to_json(self) -> JsonObject:
        """The source as JSON, for the database."""
        places: dict[str, int] = {}
        said: list[JSON] = []
        for word in self.said:
            at = [places.setdefault(one, len(places)) for one in word]
            said.append(at[0] if len({*at}) == 1 else [*at])
        found: JsonObject = {}
        if said:
            found |= {"words": "".join(places), "said": said, "numbers": "".join(sorted(self.numbers))}
        if self.records.sizes:
            found |= {
                "values": self.records.values,
                "sizes": _counts(self.records.sizes),
                "labels": self.records.labels,
                "labelled": _counts(self.records.labelled),
                "lengths": [*sorted(self.records.lengths)],
                "selected": [*sorted(self.records.selected)],
            }
        return found | ({"secrets": "".join(sorted(self.secrets))} if self.secrets else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Held":
        """Parse what `to_json` returned."""
        each = chunks(data.get("words", ""), WIDTH)
        records = Records()
        if "values" in data:
            sizes, labelled = data["sizes"], data["labelled"]
            each_has = sizes if isinstance(sizes, list) else [sizes] * (len(data["values"]) // (WIDTH * sizes))
            records = Records(
                data["values"],
                tuple(each_has),
                data["labels"],
                tuple(labelled if isinstance(labelled, list) else [labelled] * len(each_has)),
                frozenset(data["lengths"]),
                frozenset(data["selected"]),
            )
        return cls(
            tuple(
                Word(*[each[at]] * 3) if isinstance(at, int) else Word(*[each[one] for one in at])
                for at in data.get("said", ())
            ),
            frozenset(chunks(data.get("numbers", ""), WIDTH)),
            records,
            frozenset(chunks(data.get("secrets", ""), WIDTH)),
        )


def _counts(each: Sequence[int]) -> JSON:
    """The count of each record, or one number if all counts are equal, as is common in lists."""
    return each[0] if len({*each}) == 1 else [*each]


def chunks(hashes: str, width: int) -> list[str]:
    """Split a text of concatenated hashes."""
    return [hashes[at : at + width] for at in range(0, len(hashes), width)]


def label_hash(small_words: Sequence[str], hashed: Hashed) -> str:
    """The hash of a label, from the hashes of its words. It is shorter than a value's hash, since it only names a record."""
    return hashed("l:" + "".join(small_words))[:LABEL_WIDTH]


def of_words(text: str, hashed: Hashed) -> Held:
    """The stored form of a person's message."""
    said, numbers = [], set()
    for word, core in [*words(text)][:MOST_WORDS]:
        if not is_plain(word):
            said.append(Word(*[hashed("hidden")] * 3))  # keeps the positions of the other words, and matches nothing
            continue
        said.append(Word(hashed(f"w:{word}"), hashed(f"w:{core}"), hashed(f"w:{small(core)}")))
        if (found := number(core)) is not None:
            numbers.add(hashed(f"n:{found}"))
    return Held(tuple(said), frozenset(numbers))


def of_output(
    output: Any,
    fields: "Fields",
    hashed: Hashed,
    *,
    sensitive: frozenset[str],
    is_traced: bool,
    is_selected: bool,
) -> Held:
    """The stored form of a tool's output.

    Args:
        output: The output as on the wire.
        fields: The tool's output fields with their markers.
        hashed: The keyed hash.
        sensitive: The names of its sensitive fields.
        is_traced: Whether all arguments came from a trusted source. If not, the model may have chosen facts in the output (a sum, an
            echo), and only `Id` and `Own` count.
        is_selected: Whether a person named the values of the arguments.
    """
    found = _Gathering(fields, hashed, is_traced, is_selected)
    found.walk(output, (), None)
    secrets = frozenset(
        hashed(f"v:{plain(str(value))}")
        for path, value in (leaves(output) if sensitive else ())
        if {*path} & sensitive and value is not None and len(str(value)) >= 4
    )
    return Held(records=_packed(found.records[:MOST_RECORDS]), secrets=secrets)


def _packed(records: "Sequence[_Record]") -> Records:
    return Records(
        "".join(one for record in records for one in sorted(record.values)),
        tuple(len(record.values) for record in records),
        "".join(one for record in records for one in record.labels),
        tuple(len(record.labels) for record in records),
        frozenset(length for record in records for length in record.labels.values()),
        frozenset(number for number, record in enumerate(records) if record.is_selected),
    )


class Fields:
    """The marked fields of an argument or an output, by path."""

    def __init__(self, fields: Sequence[MarkedField]) -> None:
        self._by_path: dict[tuple[str, ...], list[MarkedField]] = {}
        self._fields = fields
        self.may_be_trusted = any(
            not one.is_text if one.mark is None else one.mark.kind in {MarkKind.ID, MarkKind.OWN} for one in fields
        )
        """Whether any field can hold a trusted value; otherwise nothing of an output is stored."""
        for one in fields:
            self._by_path.setdefault(one.path, []).append(one)

    def at(self, path: tuple[str, ...]) -> list[MarkedField]:
        """The fields that may describe the value at a path; empty if the path is unknown."""
        exact = self._by_path.get(path)
        if exact is not None:
            return exact
        return self._with_path(path)

    def names(self, path: tuple[str, ...]) -> bool:
        """Whether the schema itself declares the last name of a path; keys of a mapping do not count."""
        return any(
            len(one.path) >= len(path)
            and one.path[len(path) - 1] == path[-1]
            and all(part in {EACH, here} for part, here in zip(one.path, path, strict=False))
            for one in self._fields
        )

    def _with_path(self, path: tuple[str, ...]) -> list[MarkedField]:
        return [
            one
            for one in self._fields
            if len(one.path) == len(path)
            and all(part in {EACH, here} for part, here in zip(one.path, path, strict=True))
        ]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar value with its path; list items have the name `*`."""
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
    """The hashes that find a trusted value again.

    Args:
        value: The value.
        kind: For an id, the kind of record; the value is then found only as an id of this kind.
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
class _Record:
    """One record: its labels and its trusted values."""

    labels: dict[str, int] = field(default_factory=dict)
    """The hash of each label with the label's number of words."""
    values: set[str] = field(default_factory=set)
    is_selected: bool = False


@dataclass
class _Gathering:
    """Collects the records of an output: each object with an id or a label, else the whole output."""

    fields: Fields
    hashed: Hashed
    is_traced: bool
    is_selected: bool
    records: list[_Record] = field(default_factory=list)

    def walk(self, value: Any, path: tuple[str, ...], into: _Record | None) -> None:
        match value:
            case Mapping():
                names = [one for name in value for one in self.fields.at((*path, str(name)))]
                is_record = any(
                    one.mark is not None and one.mark.kind in {MarkKind.ID, MarkKind.LABEL} for one in names
                )
                own = _Record() if is_record or into is None else into
                for name, inner in value.items():
                    self.walk(inner, (*path, str(name)), own)
                if own is not into:
                    self._close(own, is_alone=into is None and not path)
            case list() | tuple():
                here = (*path, EACH)
                each_is_one = any(
                    known.mark is not None and known.mark.kind is MarkKind.ID for known in self.fields.at(here)
                )
                for inner in value:
                    if each_is_one:  # each id of a list names a separate record
                        one = _Record()
                        self.walk(inner, here, one)
                        self._close(one, is_alone=False)
                    else:
                        self.walk(inner, here, into)
            case _:
                own = into or _Record()
                self._leaf(value, path, own)
                if into is None:
                    self._close(own, is_alone=not path)

    def _leaf(self, value: Any, path: tuple[str, ...], into: _Record) -> None:
        candidates = self.fields.at(path)
        if not candidates:
            return
        if all(one.mark is not None and one.mark.kind is MarkKind.LABEL for one in candidates):
            if isinstance(value, str):
                self._name(label(value), into)
            return
        kinds = {None if one.mark is None else one.mark for one in candidates}
        if len(kinds) != 1:
            return  # the value fits several fields: the least trusted one counts, and it is not trusted
        (mark,) = kinds
        if mark is None:
            if self.is_traced and not any(one.is_text for one in candidates):
                into.values.update(marks_of(value, None, self.hashed))
        elif mark.kind is MarkKind.ID:
            into.values.update(marks_of(value, mark.of, self.hashed))
            self._name([small(core) for _, core in words(str(value)) if core], into)
        elif mark.kind is MarkKind.OWN:
            into.values.update(marks_of(value, None, self.hashed))

    def _name(self, found: Sequence[str], into: _Record) -> None:
        if found:
            into.labels[label_hash([self.hashed(f"w:{word}") for word in found], self.hashed)] = len(found)

    def _close(self, record: _Record, *, is_alone: bool) -> None:
        if record.values:
            record.is_selected = self.is_selected and is_alone
            self.records.append(record)


__all__ = [
    "LABEL_WIDTH",
    "WIDTH",
    "Fields",
    "Hashed",
    "Held",
    "Records",
    "Word",
    "chunks",
    "label_hash",
    "leaves",
    "marks_of",
    "of_output",
    "of_words",
]
