"""The rules of `words.toml`, and what they find in a text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

WORDS = Path(__file__).with_name("words.toml")
PLACES = ("manual", "messages", "docstrings")


@dataclass(frozen=True)
class Rule:
    """One pattern that is refused."""

    pattern: re.Pattern[str]
    write: str
    """What to write instead."""
    places: frozenset[str] = field(default=frozenset(PLACES))


@dataclass(frozen=True)
class Text:
    """A paragraph, a table cell, a list item or a string of the source, without its code."""

    place: str
    """One of `PLACES`."""
    path: str
    line: int
    words: str


@dataclass(frozen=True)
class Finding:
    """One match of a rule."""

    text: Text
    rule: Rule
    found: str

    def __str__(self) -> str:
        return f"{self.text.path}:{self.text.line}: {self.found!r}; write: {self.rule.write}"


def load(path: Path = WORDS) -> list[Rule]:
    """The rules of a word list.

    Raises:
        ValueError: A rule names a place that does not exist.
    """
    rules = []
    for entry in tomllib.loads(path.read_text("utf-8"))["rule"]:
        places = frozenset(entry.get("in", PLACES))
        if not places <= {*PLACES}:
            raise ValueError(f"{path.name}: {entry['pattern']} names {sorted(places)}; known are {PLACES}")
        rules.append(Rule(re.compile(entry["pattern"], re.IGNORECASE), entry["write"], places))
    return rules


def check(texts: Iterable[Text], rules: Iterable[Rule]) -> Iterator[Finding]:
    """Every sentence that a rule refuses, in the order of the texts."""
    rules = [*rules]
    for text in texts:
        for sentence in _sentences(text.words):
            for rule in rules:
                if text.place in rule.places and (match := rule.pattern.search(sentence)):
                    yield Finding(text, rule, match[0] if len(match[0]) < 60 else f"{match[0][:57]}...")


def _sentences(words: str) -> list[str]:
    return re.split(r"(?<=[.!?:;])\s+", " ".join(words.split()))
