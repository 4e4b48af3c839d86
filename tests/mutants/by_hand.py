"""Mutants that a person would write: each takes one promise away. `make mutants ARGS=--by-hand` asks the tests about all of them.

The generated ones change what the operators of a tool can change. These leave out a condition, a lock or a column that a promise
rests on, and say which.
"""

from __future__ import annotations

import ast
import hashlib
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.mutants.making import Mutant  # it needs what only `make mutants` installs

LIST = Path(__file__).with_name("by_hand.toml")


@dataclass(frozen=True)
class Change:
    """One of the list."""

    promise: str
    """What is gone with it."""
    file: str
    """Under `src/interlock`."""
    before: str
    """A text that stands there once."""
    instead: str
    tests: tuple[str, ...] = ()
    """Files or folders of the tests that have to notice it, for a file that is none of the targets. Empty for one that is: those that
    pass through the line are asked."""


def changes() -> list[Change]:
    """The list."""
    listed = tomllib.loads(LIST.read_text())["change"]
    return [Change(**{**change, "tests": (*change.get("tests", ()),)}) for change in listed]


@dataclass(frozen=True)
class Stale:
    """A change that no longer applies: its text is not there once."""

    change: Change
    times: int


def made(package: Path) -> Iterator[Mutant | Stale]:
    """The mutants of the list, on the sources under `package`."""
    from tests.mutants.making import Mutant

    for change in changes():
        file, before, after = change.file, change.before, change.instead
        source = (package / file).read_text() if (package / file).exists() else ""
        times = source.count(before)
        if times != 1:
            yield Stale(change, times)
            continue
        at = source.index(before)
        # The line that differs first, for the tests that pass through it.
        same = next((n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(after))
        line = source.count("\n", 0, at + min(same, len(before) - 1)) + 1
        while not source.splitlines()[line - 1].strip():
            line += 1
        function, first = _around(source, line)
        changed = source[:at] + after + source[at + len(before) :]
        yield Mutant(
            key=hashlib.blake2b(f"{file} {change.promise}".encode(), digest_size=4).hexdigest(),
            file=file,
            function=function,
            first_line=first,
            line=line,
            operator="by hand",
            before=change.promise,
            after=after,
            write=_writer(changed),
            tests=change.tests,
        )


def _writer(changed: str) -> Callable[[], str]:
    return partial(str, changed)


def _around(source: str, line: int) -> tuple[str, int]:
    """The outermost function around a line, and where it begins; nothing at the level of a module or class."""

    def look(nodes: list[ast.stmt], prefix: str) -> tuple[str, int]:
        for node in nodes:
            if not (isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)):
                continue
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if not first <= line <= (node.end_lineno or first):
                continue
            name = f"{prefix}{node.name}"
            return look(node.body, f"{name}.") if isinstance(node, ast.ClassDef) else (name, first)
        return "", 0

    return look(ast.parse(source).body, "")
