"""Group commit: the line of jobs that wait for their commit. A waiter that finds no leader leads, and commits all waiting jobs.

A commit of many jobs costs little more than a commit of one, so the cost per job falls with the load. Without other waiters, a job is
committed at once, in its own thread.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from .helpers import Helpers
from .jobs import Job, PutJob
from .memory import Conversation
from .protocols import Told, Waiter

MOST = 64
"""The maximum number of jobs in one commit."""
PATIENCE_SECONDS = 0.003
"""How long pending writes wait for the next checkpoint to share its commit, per job in progress: under load the checkpoint comes
later."""
LONGEST_PATIENCE_SECONDS = 0.05
LONGEST_FINISH_SECONDS = 1.0
"""The maximum wait of a reader for jobs in line, on SQLite, where the reader may hold the write lock that they need."""
LONGEST_FINISH_ON_SERVERS_SECONDS = 30.0
"""The same on servers, where a reader holds nothing that blocks the jobs."""
IMPATIENT_FOR = 3
"""After a futile wait, this many pending writes do not wait."""
MOST_APART = 16
"""The maximum number of concurrent separate jobs of tasks, because each needs a connection."""


class Line:
    """Jobs in commit order; the jobs of one thread are never reordered.

    A thread is apart while one of its jobs is executed separately: later jobs of the thread wait for it, even if they have another
    cache of the conversation.

    Args:
        turn: The write lock of the database, taken before each commit.
        commit: Commits jobs together, sets the error of failed ones, and returns those that have to be executed separately.
        alone: Executes one job separately, and sets its error if it fails.
        fail: Fails a job with an error.
    """

    def __init__(
        self,
        turn: Callable[[], AbstractContextManager[None]],
        commit: Callable[[list[Job]], Sequence[Job]],
        alone: Callable[[Job], None],
        fail: Callable[[Job, BaseException], None],
    ) -> None:
        self._turn = turn
        self._commit = commit
        self._alone = alone
        self._fail = fail
        self._guard = threading.Lock()
        self._left = threading.Condition(self._guard)
        self._finishing = 0
        """The number of callers in `finish`."""
        self._waiting: list[Job] = []
        self._apart: set[str] = set()
        self._led = False
        self._under_way = 0
        self._leaders = Helpers(1, "interlock-commit")
        self._apart_helpers = Helpers(MOST_APART, "interlock-apart")

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, job: Job, waiter: Waiter) -> None:
        """Add a job to the line. The caller holds the conversation's lock, so that the line has the order of positions."""
        job.waiter = waiter
        with self._guard:
            self._waiting.append(job)
            self._under_way += 1
            job.joined_with = job.conversation
            job.conversation.in_line += 1

    def finish(self, conversation: Conversation, seconds: float = LONGEST_FINISH_SECONDS) -> None:
        """Wait until a conversation's jobs in line are done, for at most this many seconds.

        The wait is bounded because the caller may hold the lock that the jobs need, such as a tool with the write lock.
        """
        with self._guard:
            last = conversation.left + conversation.in_line
            mine = [job for job in self._waiting if job.joined_with is conversation]
            for job in mine:
                job.urgent = True
            leads = bool(mine) and not self._led and conversation.thread_id not in self._apart
            self._led = self._led or leads
        if leads:
            self._lead_once()
        with self._guard:
            self._finishing += 1
            try:
                self._left.wait_for(lambda: conversation.left >= last, seconds)
            finally:
                self._finishing -= 1

    # Threads

    def settle(self, job: Job, waiter: "ThreadWaiter") -> None:
        """Wait until a job in line is committed or failed. The job continues if the thread is interrupted."""
        try:
            told = None
            if self._may_wait(job):
                told = waiter.hear(self._patience())
                if told is None:
                    job.conversation.impatient = IMPATIENT_FOR
            self._settle(job, waiter, told)
        except BaseException:
            # Other waiters may depend on this thread's duty to lead.
            threading.Thread(target=self._settle, args=(job, waiter), name="interlock-heir", daemon=True).start()
            raise

    def _settle(self, job: Job, waiter: "ThreadWaiter", told: Told | None = None) -> None:
        while told is not Told.DONE:
            if told is None:
                told = Told.LEAD if self._urge(job) else waiter.hear()
                continue
            if told is Told.LEAD:
                self._lead_once()
            else:
                self._do_apart(job)
            told = waiter.hear()

    # Tasks

    async def asettle(self, job: Job, waiter: "TaskWaiter") -> None:
        """As `settle`. The job continues when the task is cancelled."""
        if not self._may_wait(job):
            self._let_lead(job)
            await waiter.future
            return
        timer = waiter.loop.call_later(self._patience(), self._lose_patience, job)
        try:
            await waiter.future
        except asyncio.CancelledError:
            self._let_lead(job)  # no other waiter would commit it
            raise
        finally:
            timer.cancel()
            job.urgent = True  # if its event loop was abandoned, the next leader commits it

    def _lose_patience(self, job: Job) -> None:
        job.conversation.impatient = IMPATIENT_FOR
        self._let_lead(job)

    def _let_lead(self, job: Job) -> None:
        if self._urge(job):
            self.lead_elsewhere()

    def lead_elsewhere(self) -> None:
        """Lead in the line's own thread, until nobody waits."""
        self._leaders.do(self._lead_on)

    def do_apart_elsewhere(self, job: Job) -> None:
        """Execute a job separately, in another thread than the leader's, because it may block."""
        self._apart_helpers.do(partial(self._do_apart, job))

    def close(self) -> None:
        """Wait for the line's own threads: they may still be committing jobs of cancelled tasks."""
        self._leaders.close()
        self._apart_helpers.close()

    # Waiting

    @staticmethod
    def _may_wait(job: Job) -> bool:
        """Whether pending writes may wait for the next checkpoint, which saves a commit.

        LangGraph waits for pending writes only at the end of a run, and usually puts the next checkpoint a moment later. After a
        futile wait, the next pending writes do not wait.
        """
        if not job.may_wait:
            return False
        if job.conversation.impatient > 0:
            job.conversation.impatient -= 1
            return False
        return True

    def _patience(self) -> float:
        return min(PATIENCE_SECONDS * self._under_way, LONGEST_PATIENCE_SECONDS)

    def _urge(self, job: Job) -> bool:
        """Mark a job as urgent; returns whether its waiter has to lead."""
        with self._guard:
            job.urgent = True
            if job not in self._waiting:
                return False  # it is being executed
            if self._led or job.thread_id in self._apart:
                return False
            self._led = True
            return True

    # Leading

    def _lead_once(self) -> None:
        """Commit one batch, and pass the lead on: a waiting thread has other work after its own job."""
        try:
            self._commit_together()
        finally:
            self._pass_on()

    def _lead_on(self) -> None:
        """Commit batches until no job waits."""
        try:
            while self._commit_together():
                pass
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """Pass the lead to the first urgent waiter, if there is one."""
        with self._guard:
            heir = next((job for job in self._waiting if job.urgent and job.thread_id not in self._apart), None)
            self._led = heir is not None
        if heir is not None:
            heir.waiter.tell(Told.LEAD)

    def _commit_together(self) -> bool:
        batch: list[Job] = []
        apart: Sequence[Job] = ()
        try:
            with self._turn():
                batch = self._take()
                if batch:
                    apart = self._commit(batch)
        except BaseException as error:
            apart = ()
            batch = batch or self._take()  # all waiters of the same lock would fail as well
            for job in batch:
                self._fail(job, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._tell(batch, apart)
        return bool(batch)

    def _take(self) -> list[Job]:
        """The next batch: urgent jobs, and the jobs before them in their threads."""
        with self._guard:
            if len(self._waiting) == 1:  # the usual case
                (job,) = self._waiting
                return [self._waiting.pop()] if job.urgent and job.thread_id not in self._apart else []
            wanted = {job.thread_id for job in self._waiting if job.urgent} - self._apart
            batch: list[Job] = []
            last: dict[str, Job] = {}
            rest: list[Job] = []
            for job in self._waiting:
                thread_id = job.thread_id
                if len(batch) >= MOST or thread_id not in wanted or not _goes_with(job, last.get(thread_id)):
                    wanted.discard(thread_id)
                    rest.append(job)
                else:
                    last[thread_id] = job
                    batch.append(job)
            self._waiting = rest
            return batch

    def _tell(self, batch: Sequence[Job], apart: Sequence[Job]) -> None:
        told: list[tuple[Job, Told]] = []
        with self._guard:
            behind = []
            for job in batch:
                if job not in apart:
                    self._leave(job)
                    told.append((job, Told.DONE))
                elif job.thread_id in self._apart:
                    job.urgent = True
                    behind.append(job)
                else:
                    self._apart.add(job.thread_id)
                    told.append((job, Told.APART))
            self._waiting[:0] = behind
        for job, what in told:
            job.waiter.tell(what)

    def _leave(self, job: Job) -> None:
        self._under_way -= 1
        job.joined_with.in_line -= 1
        job.joined_with.left += 1
        if self._finishing:
            self._left.notify_all()

    def _do_apart(self, job: Job) -> None:
        try:
            self._alone(job)
        except BaseException as error:
            self._fail(job, error)
            raise
        finally:
            with self._guard:
                self._leave(job)
                self._apart.discard(job.thread_id)
                leads, self._led = not self._led, True
            job.waiter.tell(Told.DONE)
            if leads:
                self._pass_on()


def _goes_with(job: Job, before: Job | None) -> bool:
    """Whether a job can be committed together with the previous job of its thread.

    Both have to be prepared with the same cache, because the commit sees one state of a thread.
    """
    if before is None:
        return True
    together = not isinstance(before, PutJob) and before.place[:2] == job.place[:2]
    return together and before.conversation is job.conversation


class ThreadWaiter:
    """The waiter for a thread."""

    __slots__ = ("_signal", "_told")

    def __init__(self) -> None:
        self._signal = threading.Lock()
        self._signal.acquire()
        self._told: Told | None = None

    def tell(self, what: Told) -> None:
        """Wake it."""
        self._told = what
        self._signal.release()

    def hear(self, seconds: float = -1) -> Told | None:
        """Wait for a message; None on a timeout."""
        return self._told if self._signal.acquire(timeout=seconds) else None


class TaskWaiter:
    """The waiter for a task. Its duties are done in another thread, because it must not block its event loop."""

    __slots__ = ("_job", "_line", "future", "loop")

    def __init__(self, line: Line, job: Job) -> None:
        self._line = line
        self._job = job
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()

    def tell(self, what: Told) -> None:
        """Wake the task, or do its duty in another thread."""
        if what is Told.LEAD:
            self._line.lead_elsewhere()
        elif what is Told.APART:
            self._line.do_apart_elsewhere(self._job)
        else:
            with contextlib.suppress(RuntimeError):  # its event loop is closed
                self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)
