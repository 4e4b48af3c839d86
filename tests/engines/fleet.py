"""Worker processes that a test kills, stops and deploys anew, and that are started again whatever they ended of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engines.chaos_app import SPECS

DRAIN = 30.0
"""Seconds that a worker's runs get to end in after it was told to stop."""
TO_STOP = 120.0
"""Seconds after which a worker that was told to stop is killed, and reported."""
TO_DUMP = 2.0
"""Seconds that such a worker gets to write down where its threads stand."""


class Fleet:
    """Worker processes. Whatever they do that they should not is a line of `wrong`, and no reason to stop.

    Args:
        url: The database.
        workers: How many there are.
        concurrency: How many runs continue at once in each.
        log: Where they write to.
        patience: Seconds after which a worker that was told to stop is killed.
    """

    def __init__(self, url: str, *, workers: int, concurrency: int, log: Any, patience: float = TO_STOP) -> None:
        self._url, self._concurrency, self._log, self._patience = url, concurrency, log, patience
        self._stopped: dict[int, float] = {}
        self.release = 1
        self.wrong: list[str] = []
        self.processes = [self._started() for _ in range(workers)]

    def _started(self) -> subprocess.Popen[bytes]:
        apps = [part for spec in SPECS.values() for part in ("--app", spec)]
        options = {
            "--concurrency": self._concurrency,
            "--takeover": "4s",
            "--deadlines": 1,
            "--connections": 8,
            "--drain": f"{DRAIN:g}s",
        }
        given = [str(part) for option in options.items() for part in option]
        return subprocess.Popen(
            [sys.executable, "-m", "interlock", "work", *apps, "--db", self._url, *given],
            env={**os.environ, "CHAOS_RELEASE": str(self.release), "PYTHONPATH": os.getcwd()},
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def are_all_awake(self) -> bool:
        """Whether none of them is stopped."""
        return not self._stopped

    def kill(self, which: int) -> None:
        """Kill one, and start another."""
        self._stopped.pop(which, None)
        self._end(which)
        self.processes[which] = self._started()

    def stop(self, which: int, *, seconds: float) -> None:
        """Stop one until `wake` is called after so many seconds."""
        self.processes[which].send_signal(signal.SIGSTOP)
        self._stopped[which] = time.monotonic() + seconds

    def wake(self, *, everyone: bool = False) -> None:
        """Continue those that were stopped for long enough."""
        for which, until in [*self._stopped.items()]:
            if everyone or time.monotonic() > until:
                self.processes[which].send_signal(signal.SIGCONT)
                del self._stopped[which]

    def replace_ended(self) -> None:
        """Start another for each that ended though nobody told it to."""
        for which, process in enumerate(self.processes):
            if (code := process.poll()) is not None:
                self.wrong.append(f"a worker of release {self.release} ended by itself with {code}")
                self._stopped.pop(which, None)
                self.processes[which] = self._started()

    def deploy(self, meanwhile: Callable[[], None]) -> None:
        """One after another: told to stop, ended, started with the next release.

        Args:
            meanwhile: Called again and again while a worker ends.
        """
        self.wake(everyone=True)
        self.release += 1
        for which, process in enumerate(self.processes):
            if process.poll() is not None:
                self.replace_ended()
                continue
            # One that was started a moment ago does not listen yet, has begun nothing, and dies of the signal.
            listens = catches(process.pid, signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            code = self._ended(process, meanwhile)
            if code is None:
                self.wrong.append(
                    f"a worker that was told to stop had not ended after {self._patience:g} s, and was killed; "
                    "the log says where its threads stood"
                )
                process.send_signal(signal.SIGUSR1)  # chaos_app writes down where each thread stands
                _wait(process, TO_DUMP)
                self._end(which)
            elif code != 0 and (code != -signal.SIGTERM or listens):
                self.wrong.append(f"a worker that was told to stop ended with {code}")
            self.processes[which] = self._started()

    def _ended(self, process: subprocess.Popen[bytes], meanwhile: Callable[[], None]) -> int | None:
        until = time.monotonic() + self._patience
        while time.monotonic() < until:
            if (code := _wait(process, 0.1)) is not None:
                return code
            meanwhile()
        return process.poll()

    def _end(self, which: int) -> None:
        self.processes[which].kill()
        self.processes[which].wait()

    def close(self) -> None:
        """End them all."""
        self.wake(everyone=True)
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for which, process in enumerate(self.processes):
            _wait(process, 2 * DRAIN)
            self._end(which)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def catches(pid: int, sign: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, as Linux says it."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (sign - 1) & 1)
