"""Where a value comes from, looked for in what is kept of the sources."""

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
    """Where a value comes from; of several origins the first one of this list counts."""

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
    """How a source is called by people."""

    kind: str
    """`words` of a person, or the `output` of a tool."""
    name: str
    """Who said it, or the tool that returned it."""
    audit_ref: str | None = None
    """The record of what the tool returned."""
    at: int = 0
    """When it was kept; microseconds since 1970 UTC."""


@dataclass(frozen=True)
class Found:
    """A value's origin, and the source in which it was found."""

    origin: Origin
    source: Named | None = None
    """None where it is the application's, comes from nowhere, or nobody told what its source is called."""


class Index:
    """The sources of one instance.

    Args:
        sources: What is kept of each.
        hashed: The keyed hash under which they were kept.
        named: What each of them is called, in the same order.
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
        """Every text that may be a label, of as many words as some label has, that the person said."""
        self._read: list[tuple[int, _Read]] = []
        self._named: dict[str, int] = {}
        """The values of records that the person named, each with the first source that has it so."""
        self._matched = (0, 0)
        """Of how many sources, and of how many reads, it is known which records the person named."""
        self._matching = threading.Lock()
        self.add(sources, named)

    def add(self, sources: Iterable[Held], named: Sequence[Named] = ()) -> None:
        """Look into more sources.

        Args:
            sources: What is kept of each.
            named: What each of them is called, in the same order.
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
        """Find the records that the person named; those that nobody named before are looked at again, for they may be named now.

        Done when a value of a record is first asked about: most calls are about what the person said.
        """
        with self._matching:
            sources, reads = self._matched
            all_sources, all_reads = len(self._said), len(self._read)
            new = self._read[reads:all_reads]
            lengths = {length for _, read in new for length in read.lengths} - self._lengths
            said = self._said[:all_sources]
            names = self._said_of(lengths, said) | self._said_of(self._lengths, said[sources:])
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

    def _said_of(self, lengths: Collection[int], said: Sequence[Sequence[Word]]) -> set[str]:
        return {
            label_hash([word.small for word in one[at : at + length]], self._hashed)
            for length in lengths
            for one in said
            for at in range(len(one) - length + 1)
        }

    def origin(self, value: Any, *, kind: str | None = None) -> Origin:
        """Where a value comes from.

        Args:
            value: A value as on the wire, which holds no other.
            kind: The kind of record that it is to name, for an id.
        """
        return self.found(value, kind=kind).origin

    def found(self, value: Any, *, kind: str | None = None) -> Found:
        """Where a value comes from, and the first source that has it so.

        Args:
            value: A value as on the wire, which holds no other.
            kind: The kind of record that it is to name, for an id.
        """
        if value is None or isinstance(value, bool):
            return Found(Origin.APP)
        if isinstance(value, str) and (not value.strip() or not is_plain(value)):
            return Found(Origin.NOWHERE if value else Origin.APP)
        place = self._said_at(value)
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
        """Whether a value was in a field that a tool calls sensitive."""
        return value is not None and self._hashed(f"v:{plain(str(value))}") in self._secrets

    def _said_at(self, value: Any) -> int | None:
        """The source in which the person said a value: whole words, side by side and in this order."""
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
    """The records that one tool returned.

    Nothing is taken apart before it is needed: to look for a few hashes in the text costs less than to make an index of all of them.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self.lengths = records.lengths
        self._looked_for = 0
        self._unseen = records.selected

    def __contains__(self, mark: str) -> bool:
        """Whether a value is one of these records'."""
        return next(_places(mark, self._records.values, WIDTH), None) is not None

    def values_named(self, names: Collection[str]) -> set[str]:
        """The values of the records that are named so, and at first also of those that the call named."""
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
        """The places of the labels that are among these."""
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
"""After how many names that were looked for in a text an index of it is made."""


def _places(one: str, hashes: str, width: int) -> Iterator[int]:
    """Where a hash is in a text of hashes: the number of each place at which one begins."""
    at = hashes.find(one)
    while at >= 0:
        if at % width == 0:
            yield at // width
        at = hashes.find(one, at + 1)


def least_trusted(origins: Collection[Origin]) -> Origin:
    """The least trusted of several origins; the application's where there is none."""
    order = [*Origin]
    return max(origins, key=order.index, default=Origin.APP)


__all__ = ["Found", "Index", "Named", "Origin", "least_trusted"]
