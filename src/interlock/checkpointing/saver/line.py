"""The line of jobs that wait for their commit, and who commits them: whoever finds nobody leading leads, for all that wait.

One commit for many costs little more than one for one, so that the more there is to do, the less each costs; and where nobody else
waits, a job is committed at once, in the thread that brought it.
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
"""At most so many jobs in one commit."""
PATIENCE_SECONDS = 0.003
"""How long pending writes wait for the checkpoint that takes them along, for each job that is in progress: the more there is to do, the
later it comes."""
LONGEST_PATIENCE_SECONDS = 0.05
LONGEST_FINISH_SECONDS = 1.0
"""How long anyone who reads waits for what is in line, at most: on SQLite, where they may hold the turn that it waits for."""
LONGEST_FINISH_ON_SERVERS_SECONDS = 30.0
"""The same on servers, where nothing that they may hold keeps it there."""
IMPATIENT_FOR = 3
"""So many times they do not wait after they waited without success."""
MOST_APART = 16
"""At most so many jobs of tasks are done by themselves at once: each needs a connection."""


class Line:
    """Jobs in the order in which they are to be committed; those of one thread are never overtaken by a later one.

    A thread stands apart while one of its jobs is being done by itself: the later ones wait for that, whatever is remembered of
    the conversation meanwhile.

    Args:
        turn: A turn among the writers of the database, taken before each commit.
        commit: Commits jobs together, sets the error of those that fail, and gives those that have to be done by themselves.
        alone: Does one job by itself, and sets its error when it fails.
        fail: Makes a job fail with an error.
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
        """How many wait in `finish`."""
        self._waiting: list[Job] = []
        self._apart: set[str] = set()
        self._led = False
        self._under_way = 0
        self._leaders = Helpers(1, "interlock-commit")
        self._apart_helpers = Helpers(MOST_APART, "interlock-apart")

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, job: Job, waiter: Waiter) -> None:
        """Are in line. The conversation's lock is held, so that the line has the order in which positions were given."""
        job.waiter = waiter
        with self._guard:
            self._waiting.append(job)
            self._under_way += 1
            job.joined_with = job.conversation
            job.conversation.in_line += 1

    def finish(self, conversation: Conversation, seconds: float = LONGEST_FINISH_SECONDS) -> None:
        """Return when what is in line of a conversation is done, or after so many seconds.

        The caller may hold what that waits for, as a tool does that has the turn: it is not waited for without success.
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

    # A thread that waits

    def settle(self, job: Job, waiter: "ThreadWaiter") -> None:
        """Return when the job, which is in line, is committed or has failed. It continues when the thread is interrupted."""
        try:
            told = None
            if self._may_wait(job):
                told = waiter.hear(self._patience())
                if told is None:
                    job.conversation.impatient = IMPATIENT_FOR
            self._settle(job, waiter, told)
        except BaseException:
            # Others may wait for what this thread would have been told to do.
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

    # A task that waits

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
            self._let_lead(job)  # nobody else would
            raise
        finally:
            timer.cancel()
            job.urgent = True  # where its loop was given up, whoever leads next takes it along

    def _lose_patience(self, job: Job) -> None:
        job.conversation.impatient = IMPATIENT_FOR
        self._let_lead(job)

    def _let_lead(self, job: Job) -> None:
        if self._urge(job):
            self.lead_elsewhere()

    def lead_elsewhere(self) -> None:
        """Lead in a thread of the line's own, until nobody waits."""
        self._leaders.do(self._lead_on)

    def do_apart_elsewhere(self, job: Job) -> None:
        """Do a job by itself, in another thread than the one that leads: it may have to wait for others."""
        self._apart_helpers.do(partial(self._do_apart, job))

    def close(self) -> None:
        """Return when nobody leads or does a job apart in the line's own threads: what cancelled tasks put may be on its way."""
        self._leaders.close()
        self._apart_helpers.close()

    # Waiting

    @staticmethod
    def _may_wait(job: Job) -> bool:
        """Whether to let the checkpoint that follows pending writes take them along, which spares a commit.

        LangGraph does not wait for pending writes but at the end of a run, and puts the next checkpoint a moment later. Where
        that proves wrong, the next ones are not kept waiting.
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
        """The job is to be done now. Whether its waiter is to lead."""
        with self._guard:
            job.urgent = True
            if job not in self._waiting:
                return False  # it is being done
            if self._led or job.thread_id in self._apart:
                return False
            self._led = True
            return True

    # Leading

    def _lead_once(self) -> None:
        """Commit what waits: a thread that waits for its own job continues with what it has to do after that."""
        try:
            self._commit_together()
        finally:
            self._pass_on()

    def _lead_on(self) -> None:
        """Commit what waits, until nobody waits."""
        try:
            while self._commit_together():
                pass
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """The leader leaves; anyone who is the first that waits takes its place."""
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
            batch = batch or self._take()  # anyone who waits for the same turn waits without success as well
            for job in batch:
                self._fail(job, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._tell(batch, apart)
        return bool(batch)

    def _take(self) -> list[Job]:
        """What to commit next: what is to be done now, and what stands before it in its thread."""
        with self._guard:
            if len(self._waiting) == 1:  # most often nobody else waits
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
    """Whether a job can be committed together with the one before it in its thread.

    Both have to be prepared from the same memory: the commit sees one state of a thread, and not two.
    """
    if before is None:
        return True
    together = not isinstance(before, PutJob) and before.place[:2] == job.place[:2]
    return together and before.conversation is job.conversation


class ThreadWaiter:
    """A thread that waits for its job."""

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
        """Wait until it is told something; None when that took too long."""
        return self._told if self._signal.acquire(timeout=seconds) else None


class TaskWaiter:
    """A task that waits for its job. What it would have to do itself is done in another thread: it must not keep its loop waiting."""

    __slots__ = ("_job", "_line", "future", "loop")

    def __init__(self, line: Line, job: Job) -> None:
        self._line = line
        self._job = job
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()

    def tell(self, what: Told) -> None:
        """Wake it, or do what it is to do."""
        if what is Told.LEAD:
            self._line.lead_elsewhere()
        elif what is Told.APART:
            self._line.do_apart_elsewhere(self._job)
        else:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)
