"""The databases behind a checkpointer and its caches; shared by the copies of it that LangGraph makes."""

import contextlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa

from ...tools.errors import ConflictError, StoreUnavailable
from .. import schema
from ..connecting.engines import Dialect
from ..connecting.forks import renew_after_fork
from ..database import Database
from ..faults import is_deadlock, is_locked
from .databases import postgres, sqlite
from .databases.statements import Statements
from .encoding import body
from .encoding.plain import Encoded
from .encoding.sealing import Sealing, checkpoint_place
from .failures import contended, interrupted
from .helpers import Elsewhere
from .jobs import Job, PositionsTaken, late
from .keys import Place
from .line import LONGEST_FINISH_ON_SERVERS_SECONDS, LONGEST_FINISH_SECONDS, Line, TaskWaiter, ThreadWaiter
from .looking import indexes
from .memory import Conversation, Memory
from .rows import read_message, read_ordinary

ATTEMPTS = 5
_THREADS_REMEMBERED = 10_000


class Storage:
    """Reads and commits.

    Args:
        database: The database of the workflow tables.
        conversation_database: The database of the conversation tables, usually the same.
        memory_bytes: The size of the conversation cache.
        metadata_keys: The keys of the metadata that are indexed, or will be.
    """

    def __init__(
        self,
        database: Database,
        conversation_database: Database,
        memory_bytes: int,
        metadata_keys: Sequence[str] = (),
    ) -> None:
        self.metadata_keys = metadata_keys
        self.indexed: Sequence[str] = ()
        self.database = database
        self.conversation_database = conversation_database
        self.together = conversation_database is database
        self.statements = Statements(database.engine, database.dialect)
        self.conversation_statements = (
            self.statements
            if self.together
            else Statements(conversation_database.engine, conversation_database.dialect)
        )
        # The driver's error, or SQLAlchemy's on an application's engine.
        driver = conversation_database.engine.dialect.loaded_dbapi
        self.conversation_integrity_error = (driver.IntegrityError, sa.exc.IntegrityError)
        self._memory_bytes = memory_bytes
        self._threads: dict[tuple[str, str], int] = {}
        self._asked_for: OrderedDict[tuple[str, str, str | None], None] = OrderedDict()
        self.schema_name: str | None = database.schema
        self._one_writer = database.dialect is Dialect.SQLITE
        self.in_one_statement = self.together and database.takes_whole_puts
        self.loads_at_once = self.in_one_statement or self._one_writer
        self._by_trigger = self.together and self._one_writer and database.keeps_connections
        self._ready = False
        self.begin_anew()
        renew_after_fork(self)

    def begin_anew(self) -> None:
        """Discard caches and jobs in a forked process: they belong to the parent."""
        self.memory = Memory(self._memory_bytes)
        self._line = self._new_line() if self._one_writer or self.in_one_statement else None
        self._lines: weakref.WeakValueDictionary[str, Line] = weakref.WeakValueDictionary()
        self._guard = threading.Lock()
        self.elsewhere = Elsewhere(self.database)

    def close(self) -> None:
        """Wait for background writes."""
        if self._line is not None:
            self._line.close()

    def ready(self) -> None:
        """Check that the tables exist; on SQLite they are created.

        Raises:
            SchemaMismatch: They are missing, or belong to another release.
        """
        if self._ready:
            return
        with self._guard:
            if not self._ready:
                for database, groups in self.databases():
                    (schema.setup if database.dialect is Dialect.SQLITE else schema.check)(database, groups=groups)
                if self._one_writer:
                    indexes.create(self.database, self.metadata_keys)
                self.indexed = indexes.present(self.database, self.metadata_keys)
                self._ready = True

    def databases(self) -> list[tuple[Database, tuple[str, ...]]]:
        """The databases, each with its groups of tables."""
        if self.together:
            return [(self.database, schema.GROUPS)]
        return [(self.database, (schema.WORKFLOW,)), (self.conversation_database, (schema.CONVERSATION,))]

    # Conversations

    def open_conversation(
        self, conversation: Conversation, sealing: Sealing, *, whole: bool, found: tuple[int, int, int] | None = None
    ) -> None:
        """Load a conversation into the cache. The caller holds its lock.

        Args:
            conversation: The unopened conversation.
            sealing: Reads the messages.
            whole: Whether to load the messages too, for a put without a preceding load.
            found: Its id, epoch and next position, if just read.
        """
        statements = self.conversation_statements
        with self.conversation_database.raw_query() as cursor:
            if found is None:
                cursor.execute(statements.find_conversation, (conversation.thread_id,))
                found = cursor.fetchone()
            if found is not None:
                conversation.id, conversation.epoch, conversation.next = found
                conversation.stored = conversation.next
                if whole:
                    cursor.execute(statements.messages_between, (conversation.id, 0, conversation.next))
                elif conversation.epoch:
                    cursor.execute(statements.erased, (conversation.id,))
                if whole or conversation.epoch:
                    self.learn(conversation, cursor.fetchall(), sealing)
        conversation.opened = True

    @staticmethod
    def learn(conversation: Conversation, rows: list[Any], sealing: Sealing) -> None:
        """Cache rows of (position, kind, body, role, message_id, erased_at)."""
        there = conversation.messages
        if not there:
            ordinary, rows = read_ordinary(rows, sealing)
            conversation.add_all(ordinary)
        for row in rows:
            known = there.get(row[0])
            if known is None:
                conversation.add(read_message(conversation.thread_id, row, sealing), erased=row[5] is not None)
            elif known.foreign:
                conversation.learn_again(known, row[4])

    def stored_values(self, place: Place, sealing: Sealing) -> dict[str, tuple[Any, Encoded | int]]:
        """The version and the stored value of each channel in the checkpoint at a place; empty if it does not exist."""
        if place.checkpoint_id is None:
            return {}
        with self.database.raw_query() as cursor:
            cursor.execute(self.statements.exactly, (place.thread_id, place.namespace_key, place.checkpoint_id))
            row = cursor.fetchone()
        if row is None:
            return {}
        kind, data = row[3:5]
        where = checkpoint_place(place.thread_id, place.namespace_key, place.checkpoint_id)
        header, values, _ = body.unpack(sealing.unseal(kind, data, where), place.checkpoint_id)
        versions = header["channel_versions"]
        return {channel: (versions[channel], value) for channel, value in values.items() if channel in versions}

    # Threads

    def forget_thread(self, thread_id: str) -> None:
        """Discard the caches of a thread."""
        self.memory.forget_threads(lambda known: known == thread_id)
        for key in [key for key in list(self._threads) if key[0] == thread_id]:
            self._threads.pop(key, None)

    def asked_for(self, place: Place) -> None:
        """Record that a run requested this checkpoint by id: it may continue from there, despite later checkpoints."""
        self._asked_for[place.short] = None
        if len(self._asked_for) > _THREADS_REMEMBERED:
            with contextlib.suppress(KeyError):
                self._asked_for.popitem(last=False)

    def advance(self, cursor: Any, place: Place, checkpoint_id: str, *, fenced: bool) -> int:
        """Move the head of a thread to a new checkpoint.

        Raises:
            ConflictError: The step does not follow the head, or the thread was deleted meanwhile.
        """
        key = (place.thread_id, place.namespace_key)
        parent = place.checkpoint_id
        for _ in range(ATTEMPTS):
            thread = self._threads.get(key)
            if thread is None:
                thread = self._find_thread(cursor, place)
            if fenced:
                cursor.execute(
                    self.statements.follow_head, (checkpoint_id, thread, parent, checkpoint_id, int(parent is None))
                )
            else:
                late_if = parent or checkpoint_id
                cursor.execute(self.statements.raise_head, (checkpoint_id, checkpoint_id, thread, late_if))
            if cursor.rowcount > 0:
                return thread
            self._threads.pop(key, None)
            cursor.execute(self.statements.find_thread, key)
            row = cursor.fetchone()
            if row is None:
                continue  # the row was deleted, so insert a new one
            thread, head, deleted = row
            if deleted is not None and (parent or checkpoint_id) <= deleted:
                raise late(place)
            may_branch = parent is not None and (
                place.short in self._asked_for or self._newest_is(cursor, thread, parent)
            )
            if fenced and head is not None and head != parent and not may_branch:
                raise ConflictError(
                    f"Another run wrote to the thread {place.thread_id!r} since this step began: its newest checkpoint is "
                    f"{head}, and this step {'begins the thread' if parent is None else f'follows {parent}'}. Nothing of this step was written. "
                    "Load the thread again and continue from its newest checkpoint.",
                    details={"threadId": place.thread_id, "head": head, "parent": parent},
                )
            fenced = False
        raise StoreUnavailable(f"The thread {place.thread_id!r} was deleted again and again while it was written to.")

    def _newest_is(self, cursor: Any, thread: int, parent: str | None) -> bool:
        """Whether the parent is the newest checkpoint, although the head differs, because clocks of machines may disagree."""
        cursor.execute(self.statements.newest, (thread,))
        return bool(cursor.fetchone()[0] == parent)

    def thread_for_writes(self, cursor: Any, place: Place) -> int:
        """The number of a thread for pending writes, which may precede their checkpoint.

        It locks the thread's row, because, unlike a put, pending writes do not update it. So a deletion of the thread either commits
        first and is visible, or waits and deletes the writes too.

        Raises:
            ConflictError: The checkpoint was deleted with its thread.
        """
        key = (place.thread_id, place.namespace_key)
        cursor.execute(self.statements.lock_thread, key)
        row = cursor.fetchone()
        if row is None:
            self._find_thread(cursor, place)  # inserts it
            cursor.execute(self.statements.lock_thread, key)
            row = cursor.fetchone()
        if row[2] is not None and (place.checkpoint_id or "") <= row[2]:
            raise late(place)
        return int(row[0])

    def _find_thread(self, cursor: Any, place: Place) -> int:
        key = (place.thread_id, place.namespace_key)
        cursor.execute(self.statements.find_thread, key)
        if (row := cursor.fetchone()) is None:
            cursor.execute(self.statements.add_thread, (*key, place.long_namespace))
            cursor.execute(self.statements.find_thread, key)
            row = cursor.fetchone()
        thread: int = row[0]
        self.remember_thread(key, thread)
        return thread

    def remember_thread(self, key: tuple[str, str], thread: int) -> None:
        """Cache the number of a thread and namespace."""
        if len(self._threads) > _THREADS_REMEMBERED:
            self._threads.clear()
        self._threads[key] = thread

    def remembered_thread(self, key: tuple[str, str]) -> int | None:
        """The cached number of a thread and namespace, if any."""
        return self._threads.get(key)

    # Commits

    def commit(self, job: Job) -> None:
        """Commit a job.

        Raises:
            InterlockError: The commit failed, and nothing was written.
        """
        if not self._ready:
            job.take()
            self.ready()
        self.database.refuse_own_turn()
        waiter = ThreadWaiter()
        while True:
            conversation = self.memory.of(job.place.thread_id)
            if not (conversation.opened and conversation.lock.acquire(blocking=False)):
                job.take()
                conversation.lock.acquire()
            try:
                if conversation.dead:
                    continue
                self._prepare(job, conversation)
                line = self._line_of(conversation)
                line.join(job, waiter)
                break
            finally:
                conversation.lock.release()
        line.settle(job, waiter)
        self._settled(job)

    async def acommit(self, job: Job) -> bool:
        """As `commit`, without blocking a thread.

        Returns:
            Whether that was possible. If not, nothing was done, and the caller has to commit in a thread.
        """
        conversation, line = self.memory.of(job.place.thread_id), self._line
        if line is None or not self._ready or not conversation.lock.acquire(blocking=False):
            job.take()
            return False
        try:
            if conversation.dead or not conversation.opened or not job.is_ready(conversation):
                job.take()
                return False
            self.database.refuse_own_turn()
            self._prepare(job, conversation)
            waiter = TaskWaiter(line, job)
            line.join(job, waiter)
        finally:
            conversation.lock.release()
        await line.asettle(job, waiter)
        self._settled(job)
        return True

    def finish(self, thread_id: str) -> None:
        """Wait for earlier puts of a thread: the tasks that put them may have been abandoned."""
        seconds = LONGEST_FINISH_SECONDS if self._one_writer else LONGEST_FINISH_ON_SERVERS_SECONDS
        self.elsewhere.finish(thread_id, seconds)
        conversation = self.memory.known(thread_id)
        if conversation is not None and conversation.in_line:
            self._line_of(conversation).finish(conversation, seconds)

    def _line_of(self, conversation: Conversation) -> Line:
        """The line of a conversation: one for all on SQLite (one writer) and PostgreSQL (one statement), else one per thread."""
        if self._line is not None:
            return self._line
        if conversation.line is None:
            with self._guard:
                # An earlier cache of the thread may still have jobs in line.
                conversation.line = self._lines.get(conversation.thread_id)
                if conversation.line is None:
                    conversation.line = self._lines[conversation.thread_id] = self._new_line()
        return cast("Line", conversation.line)

    def _new_line(self) -> Line:
        return Line(self.database.turn, self._commit_together, self._one_by_one, self._fail)

    def _settled(self, job: Job) -> None:
        if job.error is not None:
            raise job.error
        self.memory.used(job.conversation)

    def _prepare(self, job: Job, conversation: Conversation) -> None:
        """Encode a job. The caller holds the conversation's lock, so that commits have the order of positions."""
        try:
            if not conversation.opened:
                self.open_conversation(conversation, job.sealing, whole=True)
            job.prepare(conversation)
        except BaseException:
            self.memory.forget(conversation)  # it may have assigned positions that nobody will store
            raise

    def _commit_together(self, batch: list[Job]) -> Sequence[Job]:
        """Commit jobs in one transaction; returns those that have to be executed separately."""
        try:
            apart = self._in_one_transaction(batch)
            for job in batch:
                if job not in apart:
                    job.mark_stored()
            return apart
        except PositionsTaken:
            pass
        except Exception as error:
            if is_locked(error) or (len(batch) == 1 and not is_deadlock(error)):
                for job in batch:  # if the file is locked, each job would wait equally long, in vain
                    self._fail(job, error)
                return ()
        if self.in_one_statement:
            return batch  # one of them may be blocked, and must not delay the others
        for job in batch:
            self._one_by_one(job)
        return ()

    def _in_one_transaction(self, batch: list[Job]) -> Sequence[Job]:
        if self.in_one_statement:
            return postgres.commit(self, batch)
        if not (self._by_trigger and sqlite.commit(self, batch)):
            self._in_several_statements(batch)
        return ()

    def _in_several_statements(self, batch: Sequence[Job]) -> None:
        begun = [job.conversation for job in batch if job.conversation.id is None]
        try:
            self._execute(batch)
        except BaseException:
            # The numbers from a rolled back transaction are invalid: another row may get them.
            for conversation in begun:
                conversation.id = None
            for job in batch:
                self._threads.pop(job.key, None)
            raise

    def _execute(self, batch: Sequence[Job]) -> None:
        if not self.together and any(job.refers for job in batch):
            # Messages first: a checkpoint with references to missing messages could not be loaded.
            with self.conversation_database.raw_write() as cursor:
                for job in batch:
                    job.store_messages(cursor)
        with self.database.raw_write(turn=not self._one_writer) as cursor:
            for job in batch:
                if self._by_trigger and sqlite.execute(self, cursor, job):
                    continue
                job.execute(cursor)
                if self.together:
                    job.store_messages(cursor)

    def _one_by_one(self, job: Job) -> None:
        for _ in range(ATTEMPTS):
            try:
                if not self.in_one_statement or postgres.commit(self, [job], waits=True):
                    self._in_several_statements([job])
            except PositionsTaken:
                # Prepare again from stored data only: jobs that others have prepared meanwhile come after this one, or fail.
                conversation = Conversation(job.place.thread_id)
                with conversation.lock:
                    self.memory.forget(job.conversation)
                    self.memory.replace(conversation)
                    try:
                        self._prepare(job, conversation)
                    except Exception as error:
                        self._fail(job, error)
                        return
            except Exception as error:
                if is_deadlock(error):
                    continue
                self._fail(job, error)
                return
            else:
                job.mark_stored()
                return
        self._fail(job, contended(job.place, ATTEMPTS))

    def _fail(self, job: Job, error: BaseException) -> None:
        self.memory.forget(job.conversation)
        job.error = error if isinstance(error, Exception) else interrupted(error)
