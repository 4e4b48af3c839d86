"""Finds the origin of a value in the stored sources."""

import threading
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import Any

from .holding import LABEL_WIDTH, WIDTH, Hashed, Held, Records, Word, chunks, label_hash, marks_of
from .words import is_plain, number, plain


class Origin(StrEnum):
    """The origin of a value; of several origins the first of this list counts."""

    USER = "user"
    """The words of the person served."""
    APP = "app"
    """The tool's author: a default, a constant, a boolean."""
    RECORD = "record"
    """A trusted field of a record that the person named."""
    LISTED = "listed"
    """A trusted field of any other record that a tool returned."""
    NOWHERE = "nowhere"
    """No trusted source: text of others, or what a model made."""


@dataclass(frozen=True)
class Named:
    """The name of a source for people."""

    kind: str
    """`words` for a person's message, `output` for a tool's output."""
    name: str
    """The person, or the tool."""
    audit_ref: str | None = None
    """The id of the record of the tool's output."""
    at: int = 0
    """When the source was stored; microseconds since 1970 UTC."""


@dataclass(frozen=True)
class Found:
    """A value's origin, and the source in which it was found."""

    origin: Origin
    source: Named | None = None
    """None if the value is the application's, has no source, or the source has no name."""


class Index:
    """The sources of one instance.

    Args:
        sources: The stored form of each source.
        hashed: The keyed hash that was used to store them.
        named: The name of each source, in the same order.
    """

    def __init__(self, sources: Iterable[Held], hashed: Hashed, named: Sequence[Named] = ()) -> None:
        self._hashed = hashed
        self._called: list[Named | None] = []
        self._said: list[Sequence[Word]] = []
        self._starts: dict[str, list[tuple[int, int]]] = {}
        self._numbers: dict[str, int] = {}
        self._secrets: set[str] = set()
        self._lengths: set[int] = set()
        self._names: set[str] = set()
        """Every phrase of the person that may be a label: those with as many words as some label has."""
        self._read: list[tuple[int, _Read]] = []
        self._named: dict[str, int] = {}
        """The values of the records that the person named, each with the first such source."""
        self._matched = (0, 0)
        """The numbers of sources and of reads that `_match` has processed."""
        self._matching = threading.Lock()
        self.add(sources, named)

    def add(self, sources: Iterable[Held], named: Sequence[Named] = ()) -> None:
        """Add sources.

        Args:
            sources: The stored form of each source.
            named: The name of each source, in the same order.
        """
        new = [*sources]
        self._called += [*named, *[None] * (len(new) - len(named))]
        for held in new:
            place = len(self._said)
            self._said.append(held.said)
            for at, said in enumerate(held.said):
                for word in {*said}:
                    self._starts.setdefault(word, []).append((place, at))
            for number_said in held.numbers:
                self._numbers.setdefault(number_said, place)
            self._secrets |= held.secrets
            if held.records.sizes:
                self._read.append((place, _Read(held.records)))

    def _match(self) -> None:
        """Find the records that the person named. Records without a match are checked again, because new words may name them.

        This runs only when a lookup needs records: most calls use values that the person said.
        """
        with self._matching:
            sources, reads = self._matched
            all_sources, all_reads = len(self._said), len(self._read)
            new = self._read[reads:all_reads]
            lengths = {length for _, read in new for length in read.lengths} - self._lengths
            said = self._said[:all_sources]
            names = self._phrases(lengths, said) | self._phrases(self._lengths, said[sources:])
            self._lengths |= lengths
            for place, read in self._read[:reads]:
                self._name(place, read.values_named(names))
            self._names |= names
            for place, read in new:
                self._name(place, read.values_named(self._names))
            self._matched = (all_sources, all_reads)

    def _name(self, place: int, values: Iterable[str]) -> None:
        for value in values:
            self._named.setdefault(value, place)

    def _phrases(self, lengths: Collection[int], said: Sequence[Sequence[Word]]) -> set[str]:
        return {
            label_hash([word.small for word in one[at : at + length]], self._hashed)
            for length in lengths
            for one in said
            for at in range(len(one) - length + 1)
        }

    def origin(self, value: Any, *, kind: str | None = None) -> Origin:
        """Find the origin of a value.

        Args:
            value: A scalar value as on the wire.
            kind: For an id, the kind of record that it has to name.
        """
        return self.found(value, kind=kind).origin

    def found(self, value: Any, *, kind: str | None = None) -> Found:
        """Find the origin of a value, and the first source with that origin.

        Args:
            value: A scalar value as on the wire.
            kind: For an id, the kind of record that it has to name.
        """
        if value is None or isinstance(value, bool):
            return Found(Origin.APP)
        if isinstance(value, str) and (not value.strip() or not is_plain(value)):
            return Found(Origin.NOWHERE if value else Origin.APP)
        place = self._source_of_words(value)
        if place is not None:
            return Found(Origin.USER, self._called[place])
        marks = [*marks_of(value, kind, self._hashed)]
        listed = next((place for place, read in self._read if any(mark in read for mark in marks)), None)
        if listed is None:
            return Found(Origin.NOWHERE)
        if self._matched != (len(self._said), len(self._read)):
            self._match()
        for mark in marks:
            if (named := self._named.get(mark)) is not None:
                return Found(Origin.RECORD, self._called[named])
        return Found(Origin.LISTED, self._called[listed])

    def is_secret(self, value: Any) -> bool:
        """Whether a sensitive field of a tool held the value."""
        return value is not None and self._hashed(f"v:{plain(str(value))}") in self._secrets

    def _source_of_words(self, value: Any) -> int | None:
        """The source in which the person said a value: as whole, adjacent words in this order."""
        if not isinstance(value, str):
            said = number(value)
            return None if said is None else self._numbers.get(self._hashed(f"n:{said}"))
        found = plain(value).split(" ")
        if "" in found:
            return None
        wanted = [self._hashed(f"w:{word}") for word in found]
        for place, at in self._starts.get(wanted[0], ()):
            said_there = self._said[place]
            if at + len(wanted) <= len(said_there) and all(
                word in said[:2] for word, said in zip(wanted, said_there[at:], strict=False)
            ):
                return place
        return None


class _Read:
    """The records of one tool output.

    It is parsed lazily: searching the text for a few hashes is cheaper than indexing all of them.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self.lengths = records.lengths
        self._looked_for = 0
        self._unseen = records.selected

    def __contains__(self, mark: str) -> bool:
        """Whether one of these records has the value."""
        return next(_places(mark, self._records.values, WIDTH), None) is not None

    def values_named(self, names: Collection[str]) -> set[str]:
        """The values of the records with these labels; the first call adds the records that the reading call named."""
        found, self._unseen = {*self._unseen}, frozenset[int]()
        for place in self._named_at(names):
            found.add(bisect_right(self._labels_end, place))
        values = self._records.values
        return {
            one
            for number in found
            for one in chunks(
                values[WIDTH * (self._ends[number] - self._records.sizes[number]) : WIDTH * self._ends[number]], WIDTH
            )
        }

    def _named_at(self, names: Collection[str]) -> Iterator[int]:
        """The positions of these labels."""
        self._looked_for += len(names)
        if self._looked_for <= _FEW:
            for name in names:
                yield from _places(name, self._records.labels, LABEL_WIDTH)
            return
        for name in self._labels.keys() & names:
            yield from [self._labels[name]] if self._is_unique else _places(name, self._records.labels, LABEL_WIDTH)

    @cached_property
    def _ends(self) -> list[int]:
        return [*accumulate(self._records.sizes)]

    @cached_property
    def _labels_end(self) -> list[int]:
        return [*accumulate(self._records.labelled)]

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {one: place for place, one in enumerate(chunks(self._records.labels, LABEL_WIDTH))}

    @cached_property
    def _is_unique(self) -> bool:
        return len(self._labels) * LABEL_WIDTH == len(self._records.labels)


_FEW = 60
"""The number of label searches in a text after which it is indexed."""


def _places(one: str, hashes: str, width: int) -> Iterator[int]:
    """The index of each occurrence of a hash in a text of concatenated hashes."""
    at = hashes.find(one)
    while at >= 0:
        if at % width == 0:
            yield at // width
        at = hashes.find(one, at + 1)


def least_trusted(origins: Collection[Origin]) -> Origin:
    """The least trusted of several origins; the application's if there are none."""
    order = [*Origin]
    return max(origins, key=order.index, default=Origin.APP)


__all__ = ["Found", "Index", "Named", "Origin", "least_trusted"]
