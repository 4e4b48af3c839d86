"""Values from masked fields, which are then masked in every text that quotes them."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from ..canonical import JSON
from ._fields import redact_and_find
from ._quoted import MASK

SHORTEST_LEARNED = 6
"""Shorter values occur in ordinary texts by chance."""
_FEW = 24
_LONG_NUMBER = 12
_GROUPED = re.compile(r"(?<![0-9])[0-9](?:[ .-]?[0-9]){11,}")
"""A long number as people write it, in groups."""


class Secrets:
    """The values of masked fields: it learns them from data, and masks them wherever they are quoted.

    Args:
        values: The initially known values.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._numbers: set[str] = set()
        self._ordered: list[str] | None = None
        self._starts: dict[str, list[int]] = {}
        for value in values:
            self.learn(value)

    def __bool__(self) -> bool:
        return bool(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def learn(self, value: object) -> None:
        """Learn a value, and every value inside it."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                self._add(one)
            elif isinstance(one, (int, float, Decimal)) and not isinstance(one, bool):
                self._add(str(one))
            elif isinstance(one, Mapping):
                waiting.extend(one.values())
            elif isinstance(one, (list, tuple, set, frozenset)):
                waiting.extend(one)

    def learn_from(self, value: JSON, sensitive: Collection[str] = ()) -> None:
        """Learn the values of the fields that `redact` masks in some data."""
        self._redact(value, sensitive)

    def redacted(self, value: JSON, sensitive: Collection[str] = ()) -> JSON:
        """Mask the sensitive fields of some data, learn their values, and mask all known values everywhere in the data."""
        masked: JSON = self.value(self._redact(value, sensitive))
        return masked

    def _redact(self, value: JSON, sensitive: Collection[str]) -> JSON:
        """Mask the sensitive fields of some data, and learn their values."""
        masked, found = redact_and_find(value, sensitive)
        for one in found:
            self.learn(one)
        return masked

    def text(self, text: str) -> str:
        """Mask the known values in a text."""
        if not self._values or len(text) < SHORTEST_LEARNED:
            return text
        if self._numbers:
            text = _GROUPED.sub(self._number, text)
        if len(self._values) > _FEW:
            return self._scanned(text)
        if self._ordered is None:
            self._ordered = sorted(self._values, key=len, reverse=True)
        for secret in self._ordered:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def value(self, value: Any) -> Any:
        """Mask the known values in the texts, keys and numbers of some data."""
        if not self._values:
            return value
        match value:
            case str():
                return self.text(value)
            case bool() | None:
                return value
            case int() | float():
                return MASK if str(value) in self._values else value
            case Mapping():
                return {self.text(key): self.value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value

    def _add(self, text: str) -> None:
        if len(text) < SHORTEST_LEARNED or text == MASK:
            return
        written = json.dumps(text, ensure_ascii=False)[1:-1]
        for form in {text, text.strip(), written, repr(text)[1:-1]}:
            if form not in self._values and len(form) >= SHORTEST_LEARNED:
                self._values.add(form)
                self._ordered = None
                lengths = self._starts.setdefault(form[:SHORTEST_LEARNED], [])
                if len(form) not in lengths:
                    lengths.append(len(form))
                    lengths.sort(reverse=True)
        digits = re.sub(r"[ .-]", "", text)
        if len(digits) >= _LONG_NUMBER and digits.isascii() and digits.isdecimal():
            self._numbers.add(digits)

    def _number(self, found: re.Match[str]) -> str:
        digits = re.sub(r"[ .-]", "", found[0])
        known = digits in self._numbers or (len(self._numbers) <= _FEW and any(one in digits for one in self._numbers))
        return MASK if known else found[0]

    def _scanned(self, text: str) -> str:
        """The same result as replacing each value separately, in one pass."""
        parts: list[str] = []
        at = after = 0
        while at <= len(text) - SHORTEST_LEARNED:
            lengths = self._starts.get(text[at : at + SHORTEST_LEARNED], ())
            length = next((one for one in lengths if text[at : at + one] in self._values), 0)
            if length:
                parts += [text[after:at], MASK]
                at = after = at + length
            else:
                at += 1
        return "".join([*parts, text[after:]])


__all__ = ["SHORTEST_LEARNED", "Secrets"]
