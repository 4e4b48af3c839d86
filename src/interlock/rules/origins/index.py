"""Where a value comes from, looked for in what is kept of the sources."""

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from typing import Any

from .holding import Hashed, Held, Record, Word, marks_of
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
        self._unnamed: list[Record] = []
        self._selected: set[str] = set()
        self._listed: set[str] = set()
        self.add(sources)

    def add(self, sources: Iterable[Held]) -> None:
        """Look into more sources. Records that nobody named before are looked at again, for they may be named now."""
        unnamed = [*self._unnamed]
        for held in sources:
            place = len(self._said)
            self._said.append(held.said)
            for at, said in enumerate(held.said):
                for word in {*said}:
                    self._starts.setdefault(word, []).append((place, at))
            self._numbers |= held.numbers
            self._secrets |= held.secrets
            unnamed.extend(held.records)
        self._unnamed = []
        for record in unnamed:
            if record.is_selected or any(map(self._is_named, record.labels)):
                self._selected |= record.values
            else:
                self._listed |= record.values
                self._unnamed.append(record)

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
        marks = {*marks_of(value, kind, self._hashed)}
        for origin, known in (
            (Origin.RECORD, self._selected),
            (Origin.LISTED, self._listed),
        ):
            if marks & known:
                return origin
        return Origin.NOWHERE

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
        return self._stand(wanted, lambda word, said: word in said[:2])

    def _is_named(self, wanted: Sequence[str]) -> bool:
        """Whether the person said a name, whatever the size of its letters."""
        return self._stand(wanted, lambda word, said: word == said.small)

    def _stand(self, wanted: Sequence[str], is_alike: Callable[[str, Word], bool]) -> bool:
        if not wanted:
            return False
        return any(
            at + len(wanted) <= len(self._said[place])
            and all(map(is_alike, wanted, self._said[place][at : at + len(wanted)]))
            for place, at in self._starts.get(wanted[0], ())
        )


def least_trusted(origins: Collection[Origin]) -> Origin:
    """The least trusted of several origins; the application's where there is none."""
    order = [*Origin]
    return max(origins, key=order.index, default=Origin.APP)


__all__ = ["Index", "Origin", "least_trusted"]
