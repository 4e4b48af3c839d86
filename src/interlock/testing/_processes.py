"""Runs a function in a separate process, which can be killed or stopped at a fault point."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from ..tools.storable import described
from ._faults import Fault, injected, kill, stop

T = TypeVar("T")
_PRELOADED = ("interlock.graphs", "interlock.checkpointing", "interlock.testing", "sqlalchemy.orm")
"""The modules that a workflow needs, because `import interlock` imports lazily."""
_ACTIONS: dict[str, Callable[[str | None, int], Fault]] = {"kill": kill, "stop": stop}


class Child(Generic[T]):
    """A function that runs in its own process.

    Args:
        function: A function that can be imported by its name. The new process shares nothing with this one.
        arguments: What it is called with.
        kill_at: Kill the process at this fault point (None for any), the given number of times that it is reached.
        stop_at: Stop the process at this fault point until `resume` is called.
        preload: Modules to import before processes are forked, which saves their importing each time.
    """

    def __init__(
        self,
        function: Callable[..., T],
        *arguments: Any,
        kill_at: tuple[str | None, int] | None = None,
        stop_at: tuple[str | None, int] | None = None,
        preload: Iterable[str] = (),
    ) -> None:
        # A fork of a process with threads may inherit a lock that nobody releases, so fork from a clean process.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*_PRELOADED, *preload])
        self._answer, theirs = context.Pipe(duplex=False)
        plan = [(name, *at) for name, at in (("kill", kill_at), ("stop", stop_at)) if at is not None]
        self.process = context.Process(target=_run, args=(theirs, function, arguments, plan), daemon=True)
        self.process.start()
        theirs.close()

    def result(self, seconds: float = 120.0) -> T:
        """Return the function's result, or raise the exception that it raised.

        Raises:
            Killed: The process was killed.
            TimeoutError: It did not end in time.
        """
        try:
            if not self._answer.poll(seconds):
                raise TimeoutError(f"the process {self.process.pid} did not end within {seconds:.0f} s")
            kind, value = self._answer.recv()
        except EOFError:
            raise Killed(self.ended(seconds)) from None
        self.ended(seconds)
        if kind == "raised":
            raise value
        found: T = value
        return found

    def ended(self, seconds: float = 120.0) -> int:
        """Wait for the end of the process.

        Returns:
            The exit code; the negative number of the signal, if a signal ended the process.
        """
        self.process.join(seconds)
        if self.process.exitcode is None:
            raise TimeoutError(f"the process {self.process.pid} did not end within {seconds:.0f} s")
        return self.process.exitcode

    def stopped(self, seconds: float = 60.0) -> bool:
        """Wait until the process has stopped at its fault point. Return False if it ended instead, or did not stop in time."""
        deadline = time.monotonic() + seconds
        pid = self.process.pid
        while time.monotonic() < deadline and self.process.is_alive():
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "T":
                    return True
            self.process.join(0.005)
        return False

    def resume(self) -> None:
        """Let a stopped process continue."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process, stopped or not."""
        if self.process.is_alive():
            self._signal(signal.SIGKILL)
        self.process.join()

    def _signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None  # noqa: S101 -- it was started
        os.kill(self.process.pid, number)

    def __enter__(self) -> Child[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._answer.close()


class Killed(Exception):  # noqa: N818 -- it says what happened
    """The child process ended without a result."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"the process ended with the exit code {exit_code} and without an answer")
        self.exit_code = exit_code


def _run(
    answer: Connection,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    plan: list[tuple[str, str | None, int]],
) -> None:
    with injected(*(_ACTIONS[name](point, nth) for name, point, nth in plan)):
        try:
            outcome = ("returned", function(*arguments))
        except Exception as error:
            outcome = ("raised", _portable(error))
    answer.send(outcome)
    answer.close()


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own
    except Exception:
        return RuntimeError(described(error))
    return error


__all__ = ["Child", "Killed"]
