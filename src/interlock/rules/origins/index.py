"""Where a value comes from, looked for in what is kept of the sources."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
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


class Index:
    """The sources of one instance.

    Args:
        sources: What is kept of each.
        hashed: The keyed hash under which they were kept.
    """

    def __init__(self, sources: Iterable[Held], hashed: Hashed) -> None:
        self._hashed = hashed
        self._said: list[Sequence[Word]] = []
        self._starts: dict[str, list[tuple[int, int]]] = {}
        self._numbers: set[str] = set()
        self._secrets: set[str] = set()
        self._lengths: set[int] = set()
        self._names: set[str] = set()
        """Every text that may be a label, of as many words as some label has, that the person said."""
        self._read: list[_Read] = []
        self._named: set[str] = set()
        """The values of records that the person named."""
        self.add(sources)

    def add(self, sources: Iterable[Held]) -> None:
        """Look into more sources. Records that nobody named before are looked at again, for they may be named now."""
        new, before, names = [*sources], len(self._said), set[str]()
        for held in new:
            place = len(self._said)
            self._said.append(held.said)
            for at, said in enumerate(held.said):
                for word in {*said}:
                    self._starts.setdefault(word, []).append((place, at))
            self._numbers |= held.numbers
            self._secrets |= held.secrets
        lengths = {length for held in new for length in held.records.lengths} - self._lengths
        names |= self._said_of(lengths, self._said) | self._said_of(self._lengths, self._said[before:])
        self._lengths |= lengths
        for read in self._read:
            self._named |= read.values_named(names)
        self._names |= names
        for held in new:
            if held.records.sizes:
                self._read.append(_Read(held.records))
                self._named |= self._read[-1].values_named(self._names)

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
        if value is None or isinstance(value, bool):
            return Origin.APP
        if isinstance(value, str) and (not value.strip() or not is_plain(value)):
            return Origin.NOWHERE if value else Origin.APP
        if self._is_the_persons(value):
            return Origin.USER
        marks = [*marks_of(value, kind, self._hashed)]
        if not self._named.isdisjoint(marks):
            return Origin.RECORD
        return Origin.LISTED if any(mark in read for mark in marks for read in self._read) else Origin.NOWHERE

    def is_secret(self, value: Any) -> bool:
        """Whether a value stood in a field that a tool calls sensitive."""
        return value is not None and self._hashed(f"v:{plain(str(value))}") in self._secrets

    def _is_the_persons(self, value: Any) -> bool:
        if isinstance(value, str):
            found = plain(value).split(" ")
            return "" not in found and self._is_said([self._hashed(f"w:{word}") for word in found])
        said = number(value)
        return said is not None and self._hashed(f"n:{said}") in self._numbers

    def _is_said(self, wanted: Sequence[str]) -> bool:
        """Whether words stand side by side, in this order, in one thing that the person said."""
        return any(
            at + len(wanted) <= len(self._said[place])
            and all(word in said[:2] for word, said in zip(wanted, self._said[place][at:], strict=False))
            for place, at in self._starts.get(wanted[0], ())
        )


class _Read:
    """The records that one tool returned."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._ends = [*accumulate(records.sizes)]
        labels = chunks(records.labels, LABEL_WIDTH)
        self._labels = dict(zip(labels, range(len(labels)), strict=True))
        self._is_unique = len(self._labels) == len(labels)
        self._labels_end = [*accumulate(records.labelled)]
        self._unseen = records.selected

    def __contains__(self, mark: str) -> bool:
        """Whether a value is one of these records': looked for in the text itself, which is faster than to take it apart."""
        at = self._records.values.find(mark)
        while at > 0 and at % WIDTH:
            at = self._records.values.find(mark, at + 1)
        return at >= 0

    def values_named(self, names: Collection[str]) -> set[str]:
        """The values of the records that are named so, and at first also of those that the call named."""
        found, self._unseen = {*self._unseen}, frozenset[int]()
        for name in self._labels.keys() & names:
            places = [self._labels[name]] if self._is_unique else self._places(name)
            found |= {bisect_right(self._labels_end, place) for place in places}
        values = self._records.values
        return {
            one
            for number in found
            for one in chunks(
                values[WIDTH * (self._ends[number] - self._records.sizes[number]) : WIDTH * self._ends[number]], WIDTH
            )
        }

    def _places(self, name: str) -> list[int]:
        return [place for place, one in enumerate(chunks(self._records.labels, LABEL_WIDTH)) if one == name]


def least_trusted(origins: Collection[Origin]) -> Origin:
    """The least trusted of several origins; the application's where there is none."""
    order = [*Origin]
    return max(origins, key=order.index, default=Origin.APP)


__all__ = ["Index", "Origin", "least_trusted"]
