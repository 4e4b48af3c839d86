"""What is kept between runs: the lines that each test passes through, its time, and the sources as they were measured."""

from __future__ import annotations

import difflib
import pickle
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.mutants import targets


@dataclass
class Knowledge:
    """Of tests by their node id; of lines by file."""

    path: Path
    times: dict[str, float] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    lines: dict[str, dict[str, dict[int, set[int]]]] = field(default_factory=dict)
    """By digest of a source and file: for each line the tests, as numbers."""
    names: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Knowledge:
        """What an earlier run left at `path`, or nothing."""
        known = cls(path)
        if path.exists():
            # Written by this module, on this machine, in a folder that git does not take.
            vars(known).update(pickle.loads(path.read_bytes()))  # noqa: S301
            known.path = path
        return known

    def save(self) -> None:
        """Keep it for the next run."""
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(pickle.dumps({name: value for name, value in vars(self).items() if name != "path"}))

    def knows(self, node: str) -> bool:
        """Whether the test was measured."""
        return node in self.times

    def seconds(self, node: str) -> float:
        """Processor time of the test."""
        return self.times.get(node, 1.0) + 0.01

    def distrust(self, node: str) -> None:
        """Ask a test no more that fails without a mutant."""
        self.failing.add(node)
        self.save()

    def learn(self, nodes: list[str], coverage: Path, said: list[str]) -> None:
        """Take in what one process measured."""
        from coverage import CoverageData

        numbers = {}
        for line in said:
            if line.count("\t") < 2:
                print(f"  {line}")
                continue
            node, seconds, passed = line.rsplit("\t", 2)
            self.times[node] = float(seconds)
            if passed != "True":
                self.failing.add(node)
            numbers[node] = len(self.names)
            self.names.append(node)
        for node in nodes:
            if node not in self.times:  # the process ended before it
                self.times[node] = 0.0
                self.failing.add(node)
        if not coverage.exists():
            return
        data = CoverageData(str(coverage))
        data.read()
        for measured in data.measured_files():
            file = Path(measured).relative_to(targets.PACKAGE).as_posix()
            source = Path(measured).read_text()
            lines = self.lines.setdefault(file, {}).setdefault(source, {})
            for line, contexts in data.contexts_by_lineno(measured).items():
                lines.setdefault(line, set()).update(numbers[context] for context in contexts if context in numbers)

    def covering(self, file: str, line: int, exactly: bool) -> list[str]:
        """The tests that pass through a line of a file as it is now; or, not `exactly`, through any line of it."""
        now = (targets.PACKAGE / file).read_text()
        found: set[int] = set()
        for source, lines in self.lines.get(file, {}).items():
            if exactly:
                at = line if source == now else _earlier(source, now).get(line)
                # The first line of a statement stands for those that it goes on to.
                while at is not None and at > 0 and at not in lines and line - at < 40:
                    at -= 1
                found |= lines.get(at or 0, set())
            else:
                found |= set().union(*lines.values())
        return [self.names[number] for number in sorted(found) if self.names[number] not in self.failing]


@cache
def _earlier(source: str, now: str) -> dict[int, int]:
    """For each line of a file now: which it was in an earlier source; changed lines are the line before them."""
    matcher = difflib.SequenceMatcher(None, source.splitlines(), now.splitlines(), autojunk=False)
    found = {}
    for _, before, before_end, after, after_end in matcher.get_opcodes():
        for offset in range(after_end - after):
            found[after + offset + 1] = min(before + offset, max(before_end - 1, before)) + 1
    return found
