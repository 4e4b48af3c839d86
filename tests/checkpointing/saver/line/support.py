"""A line whose commits are only written down, jobs for it, and a real one that waits until all stand in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.saver.jobs import Job, PutJob, WritesJob
from interlock.checkpointing.saver.keys import Place
from interlock.checkpointing.saver.line import Line, ThreadWaiter
from interlock.checkpointing.saver.memory import Conversation
from interlock.tools.errors import StoreUnavailable


class Scene:
    """A line whose commits are only written down. Where `gate` is held, whoever leads waits."""

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.batches: list[list[str]] = []
        self.alone: list[str] = []
        self.apart: set[str] = set()
        self.breaks_with: BaseException | None = None
        self.holds: dict[str, threading.Event] = {}
        self.line = Line(self.turn, self.commit, self.do_alone, self.fail)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        with self.gate:
            yield

    def commit(self, batch: list[Job]) -> Sequence[Job]:
        if self.breaks_with is not None:
            error, self.breaks_with = self.breaks_with, None
            raise error
        self.batches.append([name_of(job) for job in batch])
        return [job for job in batch if name_of(job) in self.apart]

    def do_alone(self, job: Job) -> None:
        if (held := self.holds.get(name_of(job))) is not None:
            held.wait(10)
        self.alone.append(name_of(job))

    def fail(self, job: Job, error: BaseException) -> None:
        job.error = error if isinstance(error, Exception) else StoreUnavailable(str(error))

    def settle(self, job: Job) -> None:
        waiter = ThreadWaiter()
        self.line.join(job, waiter)
        self.line.settle(job, waiter)

    def in_line(self, threads: ThreadPoolExecutor, *jobs: Job) -> list[Future[None]]:
        """Let each job stand in line in its own thread, one after the other."""
        waiting = []
        for job in jobs:
            before = len(self.line)
            waiting.append(threads.submit(self.settle, job))
            wait_until(lambda before=before: len(self.line) > before)
        return waiting

    def together(self, threads: ThreadPoolExecutor, *jobs: Job) -> None:
        """Let nobody commit until all of them stand in line, and wait for what becomes of them."""
        with self.gate:
            waiting = self.in_line(threads, *jobs)
        for one in waiting:
            one.result(10)


def name_of(job: Job) -> str:
    return cast("str", job.name)  # type: ignore[attr-defined]


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(10_000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it did not come to that")


def job_of(kind: type[Job], name: str, conversation: Conversation, place: str = "t") -> Any:
    job = kind.__new__(kind)
    job.urgent, job.error, job.conversation = False, None, conversation
    job.place, job.thread_id = Place(place, "", None), conversation.thread_id
    job.name = name  # type: ignore[attr-defined]
    return job


def checkpoint(name: str, conversation: Conversation | None = None, place: str = "t") -> Any:
    return job_of(PutJob, name, conversation or Conversation(name), place)


def writes(name: str, conversation: Conversation) -> Any:
    return job_of(WritesJob, name, conversation)


@contextlib.contextmanager
def gathering(saver: SQLCheckpointer) -> Iterator[Callable[[int], None]]:
    """Nobody commits until the block ends; the function waits until so many stand in line."""
    line = saver._storage._line
    assert line is not None
    gate, turn = threading.Lock(), line._turn

    @contextlib.contextmanager
    def gated() -> Iterator[None]:
        with gate, turn():
            yield

    line._turn = gated
    try:
        with gate:
            yield lambda number: wait_until(lambda: len(line) >= number)
    finally:
        line._turn = turn
