"""A pytest plugin that collects once, and then runs tests in forked copies of itself.

`Warm` takes over pytest's run loop. It first measures the tests that it does not know yet: which lines of the targets each passes
through, and how much processor time it takes. Then it runs each mutant in a process of its own, with the tests that pass through
the changed line: first those that noticed something in that function before, then the cheapest, one of a kind before a second
of it, up to a budget. The first failure ends it. A test that fails without a mutant is believed no longer, and the mutant runs again.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import targets
from tests.mutants.knowledge import Knowledge
from tests.mutants.making import Mutant
from tests.mutants.swapping import CannotSwapError, Holders, holders_in, swap, users

_CHEAP = 0.12
"""Seconds of processor time."""
_NAMED = 400
"""At most so many of the tests that a mutant names."""
_LONGEST = 120
"""Seconds after which a test that is being measured is given up.

In CPython 3.11 a traced thread can stand still for ever: when the interpreter destroys the greenlets of a thread that has ended, coverage's
weak reference to one of them calls Python code from within a pending call, and the first instruction of that code is repeated as long as another
call is pending. No signal handler runs there, so it is ended from outside.
"""
KILLED, SURVIVED, NOT_COVERED, TIMEOUT = "killed", "survived", "not covered", "timeout"


@dataclass
class Outcome:
    """What became of one mutant."""

    mutant: Mutant
    status: str
    killer: str = ""
    asked: int = 0


@dataclass
class Plan:
    """What to run, and whom to tell."""

    mutants: list[Mutant]
    tell: Callable[[Outcome], None]
    budget: float
    """Seconds of processor time that the tests of one mutant may take, as measured without it."""
    workers: int
    variants: int
    """At most so many parameters of one test function."""
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of earlier runs: how often a test noticed something in a file or a function."""
    until: float = float("inf")
    """Seconds since the epoch after which no mutant is begun."""


@dataclass
class Warm:
    """The plugin; `knowledge` is kept between runs."""

    plan: Plan
    knowledge: Knowledge
    _items: dict[str, pytest.Item] = field(default_factory=dict)
    _others: list[pytest.Item] = field(default_factory=list)
    _believed: set[str] = field(default_factory=set)
    _holders: Holders = field(default_factory=dict)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept: dict[str, list[pytest.Item]] = {}
        for item in items:
            if not any(item.nodeid.startswith(path) for path in targets.NOT_ASKED):
                kept.setdefault(item.nodeid.partition("[")[0], []).append(item)
        chosen = [
            item
            for name, variants in kept.items()
            for item in (
                variants
                if len(variants) <= self.plan.variants or name.startswith(targets.WHOLE)
                else random.Random(name).sample(variants, self.plan.variants)
            )
        ]
        self._others = [item for variants in kept.values() for item in variants if item not in {*chosen}]
        items[:] = chosen

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        if any(not mutant.tests for mutant in self.plan.mutants):
            self._measure()
            self._add_cheap_ones()
        changed = {*targets.files([]), *(mutant.file for mutant in self.plan.mutants)}
        self._holders = holders_in({str(targets.PACKAGE / name) for name in changed})
        gc.collect()
        gc.freeze()  # what is there is shared with the forked processes as long as nobody writes to it
        self._run_all()
        return True

    # Measuring

    def _measure(self) -> None:
        new = [node for node in self._items if not self.knowledge.knows(node) and node.startswith(targets.TESTS)]
        if not new:
            return
        print(f"\nmeasuring {len(new)} tests", flush=True)
        waiting = [new[at : at + 40] for at in range(0, len(new), 40)]
        running: dict[int, tuple[list[str], _Child]] = {}
        done = 0
        while waiting or running:
            while waiting and len(running) < self.plan.workers:
                chunk = waiting.pop(0)
                child = _Child(lambda child, chunk=chunk: self._measured(child, chunk), seconds=1200)
                running[child.pid] = (chunk, child)
            for child in _ended([child for _, child in running.values()], silent=_LONGEST):
                chunk, _ = running.pop(child.pid)
                lines = child.lines()
                if child.timed_out and (told := len([line for line in lines if line.count("\t") >= 2])) < len(chunk):
                    # Nothing was kept of those before it: they are measured again without it.
                    print(f"  given up: {chunk[told]}", flush=True)
                    self.knowledge.learn([chunk[told]], child.folder / "none", [])
                    waiting.insert(0, chunk[:told] + chunk[told + 1 :])
                    chunk = []
                self.knowledge.learn(chunk, child.folder / "coverage", lines if chunk else [])
                self.knowledge.save()
                done += len(chunk)
                child.clean()
                print(f"  {done} of {len(new)}", flush=True)

    def _add_cheap_ones(self) -> None:
        """Take all parameters of a test function that costs next to nothing: tables of pure rules, and whole stories."""
        times: dict[str, list[float]] = {}
        for node in self._items:
            times.setdefault(node.partition("[")[0], []).append(self.knowledge.seconds(node))
        cheap = {kind for kind, some in times.items() if sum(some) / len(some) < _CHEAP}
        more = [item for item in self._others if item.nodeid.partition("[")[0] in cheap]
        self._items |= {item.nodeid: item for item in more}
        self._measure()

    def _measured(self, child: _Child, chunk: list[str]) -> int:
        from coverage import Coverage

        measuring = Coverage(
            data_file=str(child.folder / "coverage"),
            include=[str(targets.PACKAGE / name) for name in targets.files([])],
            concurrency=["thread", "greenlet"],
            config_file=False,
            messages=False,
        )
        measuring.start()
        for node in chunk:
            measuring.switch_context(node)
            began = time.process_time()
            passed = _run([self._items[node]])
            child.say(f"{node}\t{time.process_time() - began:.3f}\t{passed}")
        measuring.stop()
        measuring.save()
        return 0

    # Mutants

    def _run_all(self) -> None:
        waiting = list(self.plan.mutants)
        running: list[tuple[Mutant, list[str], _Child]] = []
        while (waiting and time.time() < self.plan.until) or running:
            while waiting and len(running) < self.plan.workers and time.time() < self.plan.until:
                mutant = waiting.pop(0)
                nodes = self._chosen(mutant)
                if not nodes:
                    self.plan.tell(Outcome(mutant, NOT_COVERED))
                    continue
                running.append((mutant, nodes, self._begin(mutant, nodes)))
            for child in _ended([child for *_, child in running]):
                mutant, nodes, _ = next(entry for entry in running if entry[2] is child)
                running = [entry for entry in running if entry[2] is not child]
                outcome = self._judged(mutant, nodes, child)
                child.clean()
                if outcome is None:
                    waiting.insert(0, mutant)
                else:
                    self.plan.tell(outcome)

    def _begin(self, mutant: Mutant, nodes: list[str]) -> _Child:
        seconds = 8 + 3 * sum(self.knowledge.seconds(node) for node in nodes)
        return _Child(lambda child: self._try(child, mutant, nodes), seconds)

    def _try(self, child: _Child, mutant: Mutant, nodes: list[str]) -> int:
        source = mutant.write()
        if mutant.function:
            try:
                swap(self._holders, source, str(targets.PACKAGE / mutant.file), mutant.function, mutant.first_line)
            except SyntaxError:
                child.say("does not compile")
                return 3
            except CannotSwapError:
                pass
            else:
                for node in nodes:
                    if not _run([self._items[node]]):
                        child.say(node)
                        return 1
                return 0
        return self._afresh(child, source, mutant, nodes)

    def _afresh(self, child: _Child, source: str, mutant: Mutant, nodes: list[str]) -> int:
        """Run the tests in a new interpreter, for what is decided when a module is imported."""
        changed = child.folder / "changed.py"
        changed.write_text(source)
        surroundings = {**os.environ, "INTERLOCK_MUTANT": f"{targets.PACKAGE / mutant.file}{os.pathsep}{changed}"}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-n0",
            "-p",
            "no:cacheprovider",
            "-p",
            "tests.mutants.imported",
        ]
        ended = subprocess.run(
            [*command, *nodes], cwd=targets.ROOT, env=surroundings, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            failed = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            child.say(failed[0] if failed and failed[0] in self._items else "import")
        return 1 if ended.returncode else 0

    def _judged(self, mutant: Mutant, nodes: list[str], child: _Child) -> Outcome | None:
        said = child.lines()
        if child.timed_out:
            return Outcome(mutant, TIMEOUT, asked=len(nodes))
        if child.code == 0:
            return Outcome(mutant, SURVIVED, asked=len(nodes))
        killer = said[-1] if said else "process"
        if killer in self._items and killer not in self._believed:
            alone = _Child(lambda _: 0 if _run([self._items[killer]]) else 1, 120)
            while not _ended([alone]):
                pass
            alone.clean()
            if alone.code != 0:
                self.knowledge.distrust(killer)
                return None
            self._believed.add(killer)
        self.plan.kills[mutant.file, killer] += 1
        self.plan.kills[mutant.function, killer] += 5
        self.plan.kills["", killer.partition("[")[0]] += 1
        return Outcome(mutant, KILLED, killer, len(nodes))

    def _chosen(self, mutant: Mutant) -> list[str]:
        if mutant.tests:
            failing = self.knowledge.failing
            named = [node for node in self._items if node.startswith(mutant.tests) and node not in failing]
            return sorted(named, key=lambda node: -self._score(mutant, node))[:_NAMED]
        covering = [node for node in self._covering(mutant) if node in self._items]
        covering.sort(key=lambda node: (-self._score(mutant, node), self.knowledge.seconds(node)))
        # Those that noticed something in the file, those that are about it, whole stories, and those of its room. Then one test of each other file, a
        # second one of each, and of those with parameters one before a second of it.
        files: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        ranked = []
        for node in covering:
            file, kind = node.partition("::")[0], node.partition("[")[0]
            near = 0 if self._noticed(mutant, node) else targets.nearness(node, mutant.file)
            first = None if near is None else (0, near)
            ranked.append((first or (1 + kinds[kind], files[file]), len(ranked), node))
            kinds[kind] += 1
            files[file] += kinds[kind] == 1
        chosen, spent = [], 0.0
        for *_, node in sorted(ranked):
            spent += self.knowledge.seconds(node)
            if chosen and spent > self.plan.budget:
                break
            chosen.append(node)
            if not mutant.function and len(chosen) == 40:
                break
        return chosen

    def _covering(self, mutant: Mutant) -> list[str]:
        if mutant.function:
            return self.knowledge.covering(mutant.file, mutant.line, exactly=True)
        # What stands in a module or class is run by its import: those are asked that pass through a line which uses it.
        lines = users((targets.PACKAGE / mutant.file).read_text(), mutant.line)
        found = [node for line in lines for node in self.knowledge.covering(mutant.file, line, exactly=True)]
        return [*dict.fromkeys(found)] or self.knowledge.covering(mutant.file, mutant.line, exactly=False)

    def _noticed(self, mutant: Mutant, node: str) -> int:
        return self.plan.kills[mutant.file, node] + self.plan.kills[mutant.function, node]

    def _score(self, mutant: Mutant, node: str) -> int:
        return 10 * self._noticed(mutant, node) + self.plan.kills["", node.partition("[")[0]]


def _run(items: list[pytest.Item]) -> bool:
    """Run the items, each alone; whether none failed."""
    failed: list[str] = []

    class Failures:
        @staticmethod
        def pytest_runtest_logreport(report: Any) -> None:
            if report.failed:
                failed.append(report.nodeid)

    watch = Failures()
    manager = items[0].config.pluginmanager
    if (terminal := manager.get_plugin("terminalreporter")) is not None:
        manager.unregister(terminal)  # this is a forked process: what it runs is nobody's progress
    manager.register(watch)
    for item in items:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    manager.unregister(watch)
    return not failed


class _Child:
    """A forked copy of this process that does one thing in a folder of its own, with a limit on its time."""

    def __init__(self, do: Callable[[_Child], int], seconds: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="interlock-mutant-"))
        self.code: int | None = None
        self.timed_out = False
        self._until, self._began = time.monotonic() + 6 * seconds, time.time()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._be(do, seconds)

    def _be(self, do: Callable[[_Child], int], seconds: float) -> None:
        code = 2
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(self.folder)
            code = do(self)
        except BaseException as error:
            self.say(f"{type(error).__name__}: {error}")
        finally:
            os._exit(code)

    def say(self, line: str) -> None:
        with (self.folder / "said").open("a") as said:
            said.write(f"{line}\n")

    def lines(self) -> list[str]:
        said = self.folder / "said"
        return said.read_text().splitlines() if said.exists() else []

    def look(self, silent: float = float("inf")) -> bool:
        """Whether it has ended; one that takes too long, or says nothing for so many seconds, is ended here."""
        said = self.folder / "said"
        spoke = said.stat().st_mtime if said.exists() else self._began
        if time.monotonic() > self._until or time.time() - max(spoke, self._began) > silent:
            self.timed_out = True
            self._kill()
        pid, status = os.waitpid(self.pid, 0 if self.timed_out else os.WNOHANG)
        if not pid:
            return False
        self.code = os.waitstatus_to_exitcode(status)
        self.timed_out = self.timed_out or self.code in (-signal.SIGXCPU, -signal.SIGKILL)
        return True

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def clean(self) -> None:
        """End what it left running, and remove its folder."""
        self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _ended(children: list[_Child], silent: float = float("inf")) -> list[_Child]:
    ended = [child for child in children if child.look(silent)]
    if not ended:
        time.sleep(0.02)
    return ended
