"""LangGraph's checkpoints in SQL, with conversations in separate tables; each step writes only what it changed."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from sqlalchemy.engine import URL, Engine

from ..tools.errors import InputError
from . import schema as tables
from .connecting.capacity import Capacity
from .conversation import Conversations
from .database import Database
from .encryption import Encryption
from .fault_points import FaultPoint, is_hung, reach
from .identifiers import checked
from .reports.size_report import SizeReport, size_report
from .saver import history, reading, threads
from .saver.encoding.sealing import Sealing, Sealings
from .saver.jobs import Job, PutJob, WritesJob
from .saver.keeping import retention as retentions
from .saver.keeping.policy import Retention, RetentionReport, given
from .saver.keys import place_of
from .saver.looking import indexes
from .saver.looking.listing import list_tuples
from .saver.memory import CACHE_BYTES
from .saver.protocols import inspected_once
from .saver.resealing import Progress, ReencryptReport, reencrypt
from .saver.storage import Storage
from .serializing import TypedSerializer, declared_types
from .tables.checkpoints import TASK_ID_LENGTH

if TYPE_CHECKING:  # see `database`
    from sqlalchemy.ext.asyncio import AsyncEngine

Target: TypeAlias = "str | URL | Engine | AsyncEngine | Database"


class SQLCheckpointer(BaseCheckpointSaver[str]):
    """Checkpoints for LangGraph in SQLite, PostgreSQL, MySQL or MariaDB; synchronous and asynchronous in one object.

    Messages are in the `conversation_…` tables, once each, and everything else in the `workflow_…` tables, which only refer
    to them. It is safe to use from several threads, event loops and processes at once.

    Args:
        target: A database URL, an engine, or an open `Database` (which the workflow store may share).
        conversation: Another database for the conversation.
        schema: The schema that the tables are in (PostgreSQL), or the database (MySQL).
        serde: Your own serializer, used for every value. The default, `TypedSerializer`, returns each value as it was stored, refuses a
            value that it could not return so, and never runs code that a row names.
        strict: Whether the default serializer refuses classes that are not allowed. By default `LANGGRAPH_STRICT_MSGPACK` decides, and a
            compiled workflow is strict and allows the classes that it declares.
        allowed_types: Your classes that are allowed in strict mode; or their module and name.
        moved_types: The new location of classes that were moved or renamed: `{"old.module.Name": NewClass}`.
        encryption: Keys that encrypt every value. Each value is bound to its row, and cannot be decrypted elsewhere.
        encrypted_only: Refuse to load a value that is not encrypted, or not bound to its row.
        fenced: Refuse a step that does not follow the newest checkpoint of its thread, because another run was first. A run from a
            checkpoint that its config names by ID may start a branch, as in LangGraph's time travel.
        memory_bytes: How many bytes of conversations are cached between steps.
        metadata_index: Metadata keys with an index for the filters of `list` and `alist`. `setup` creates the indexes.
        retention: What `retain` keeps. Nothing is deleted until your own job calls `retain`, or `interlock db prune` runs.
        synchronous: On SQLite: `FULL` survives power loss, `NORMAL` survives a killed process.
        capacity: How many connections and threads each of the databases may use.

    Raises:
        StoreError: The database cannot be used.
    """

    def __init__(
        self,
        target: Target,
        *,
        conversation: "Target | None" = None,
        schema: str | None = None,
        serde: SerializerProtocol | None = None,
        strict: bool | None = None,
        allowed_types: Sequence[type | tuple[str, ...]] = (),
        moved_types: Mapping[str, type] | None = None,
        encryption: Encryption | None = None,
        encrypted_only: bool = False,
        fenced: bool = True,
        memory_bytes: int = CACHE_BYTES,
        metadata_index: Sequence[str] = (),
        retention: Retention | None = None,
        synchronous: str = "FULL",
        capacity: Capacity | None = None,
    ) -> None:
        if serde is None:
            serde = TypedSerializer(allowed_types=allowed_types, strict=strict, moved_types=moved_types)
        elif strict is not None or allowed_types or moved_types:
            raise InputError(
                "strict, allowed_types and moved_types are for the default serializer, and another one was given. Nothing was opened. "
                "Leave serde out, or give them to the serializer: serde=TypedSerializer(strict=True, allowed_types=[…])."
            )
        super().__init__(serde=serde)
        keys = indexes.checked_keys(metadata_index)
        self.retention = retention
        self._sealings = Sealings(encryption, encrypted_only=encrypted_only)
        self._sealing().check()
        opened = partial(Database.open, synchronous=synchronous, schema=schema, capacity=capacity)
        self.database = opened(target)
        self.conversation_database = self.database
        self._closing = [] if isinstance(target, Database) else [self.database]
        if conversation is not None:
            self.conversation_database = opened(conversation)
            if not isinstance(conversation, Database):
                self._closing.append(self.conversation_database)
        if encryption is not None:
            self.database.protect(encryption, encrypted_only=encrypted_only)
        self._storage = Storage(self.database, self.conversation_database, memory_bytes, keys)
        self._fenced = fenced

    def declaring(self, *schemas: Any) -> "SQLCheckpointer":
        """Return this checkpointer in strict mode, where the types that the schemas declare (see `declared_types`) are allowed as well.

        With `strict=False`, or with your own serializer, nothing changes. `Workflow.compile` calls this method. For other graphs, write
        `builder.compile(checkpointer=saver.declaring(builder))`.
        """
        if not isinstance(self.serde, TypedSerializer) or self.serde.is_permissive:
            return self
        declared = declared_types(*schemas)
        return cast("SQLCheckpointer", self.with_allowlist(cast("Any", declared)))

    # Opening and closing

    def setup(self) -> None:
        """Create the tables, or upgrade them to this release. It is safe to call again, and from several processes at once."""
        for database, groups in self._storage.databases():
            tables.setup(database, groups=groups)
        indexes.create(self.database, self._storage.metadata_keys)

    async def asetup(self) -> None:
        """Asynchronous form of `setup`, with the same arguments, result and errors."""
        await self.database.arun(self.setup)

    def close(self) -> None:
        """Store pending puts of cancelled tasks, and close the databases that this checkpointer opened."""
        self._storage.close()
        for database in self._closing:
            database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that the config names, or the newest one of its thread and namespace; None if there is none."""
        return reading.get_tuple(self._storage, place_of(config), self._sealing(), config)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """List checkpoints, newest first. No lock is held between two of them.

        The filter applies to the metadata, with the semantics of LangGraph's saver for the same database: on PostgreSQL and MySQL the
        metadata must contain the filter; on SQLite each value must be equal, and a dot in a key leads into a nested value.

        Raises:
            StoreError: A row is damaged; the error names it.
        """
        return list_tuples(self._storage, self._sealing(), config, filter, before, limit)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return the history from which LangGraph rebuilds its delta channels."""
        return history.delta_channel_history(self._storage, place_of(config), self._sealing(), channels)

    def parents(self, config: RunnableConfig) -> Mapping[str, str | None]:
        """Return a checkpoint's ancestors without values: each parent's ID by its child's. A long line is cut off: pass its last ID to continue."""
        return history.parents(self._storage, place_of(config))

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; it is committed when this returns.

        Raises:
            ConflictError: Another run wrote to the thread since the parent checkpoint, or the thread was deleted.
            StoreError: It was not stored; the message says why.
        """
        job = self._put_job(config, checkpoint, metadata, new_versions)
        self._commit(job)
        return job.place.config(job.checkpoint_id)

    def put_imported(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> None:
        """Store a checkpoint of another saver with all its values, regardless of the checkpoints before and after it."""
        place = place_of(config)
        versions = checkpoint["channel_versions"]
        threads.revive(self._storage, place.thread_id)
        job = PutJob(self._storage, place, self._sealing(), config, checkpoint, metadata, versions, fenced=False)
        self._storage.commit(job)

    @inspected_once
    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote after a checkpoint; it is committed when this returns."""
        job = self._writes_job(config, writes, task_id, task_path)
        if writes:
            self._commit(job)

    def delete_thread(self, thread_id: str, *, instance: bool = False) -> None:
        """Delete a thread with its checkpoints and its conversation. Later writes of runs that have not ended are refused.

        Args:
            thread_id: The thread.
            instance: Whether to erase its workflow instances in this database as well. Their audit records stay, without payloads, and
                still verify. A new run on the thread starts over.

        Raises:
            InProgress: An effect outside the database is in progress on an instance. The thread stays.
        """
        if instance:
            self._erase_instances(str(thread_id))
        threads.delete_thread(self._storage, str(thread_id))

    def delete_unused(self, thread_id: str, since: int, *, dry_run: bool = False) -> bool:
        """Delete a thread unless it was used since a moment (microseconds since 1970 UTC). Return whether it was deleted."""
        return retentions.delete_unused(self._storage, self._sealing(), thread_id, since, dry_run=dry_run)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that these runs made.

        Newer checkpoints do not change: a checkpoint from which delta channels of another run are rebuilt is kept.
        """
        threads.delete_for_runs(self._storage, run_ids, self._sealing())

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread with its whole history and its conversation."""
        threads.copy_thread(self._storage, str(source_thread_id), str(target_thread_id), self._sealing())

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete old checkpoints (`keep_latest`) or all (`delete`) of threads, except those from which delta channels are rebuilt."""
        threads.prune(self._storage, thread_ids, strategy, self._sealing())

    def retain(
        self,
        policy: Retention | None = None,
        *,
        dry_run: bool = False,
        progress: Callable[[int, int, str], None] | None = None,
        after: str | None = None,
    ) -> RetentionReport:
        """Delete what a retention policy does not keep, thread by thread; workers may run meanwhile. To continue after an interruption,
        call it again.

        Args:
            policy: What to keep; by default the checkpointer's `retention`.
            dry_run: Only report what would be deleted.
            progress: Called for each thread.
            after: Begin after this thread, in the order of the IDs.
        """
        chosen, erase = given(policy or self.retention), self._erase_instances
        return retentions.retain(
            self._storage, self._sealing(), chosen, erase, dry_run=dry_run, progress=progress, after=after
        )

    async def aretain(self, policy: Retention | None = None, *, dry_run: bool = False) -> RetentionReport:
        """Asynchronous form of `retain`, with the same arguments, result and errors."""
        return await self.database.arun(partial(self.retain, policy, dry_run=dry_run))

    def _erase_instances(self, thread_id: str) -> int:
        from . import WorkflowStore, erase_instances  # noqa: PLC0415 -- what a saver alone does without

        return erase_instances(WorkflowStore(self.database), thread_id)

    def reencrypt(self, progress: Progress | None = None) -> ReencryptReport:
        """Encrypt again, with the newest key, every row that has an older key or no encryption.

        Each new row is verified before it replaces the old one. The call can be interrupted and repeated. Workers may run meanwhile,
        provided that they have the new key. Open the checkpointer with `encrypted_only=False` for this.

        Raises:
            InputError: The checkpointer has no encryption keys.
            StoreError: A row cannot be decrypted with any of the keys.
        """
        return reencrypt(self._storage, self._sealing(), progress)

    async def areencrypt(self, progress: Progress | None = None) -> ReencryptReport:
        """Asynchronous form of `reencrypt`, with the same arguments, result and errors."""
        return await self.database.arun(partial(self.reencrypt, progress))

    def size_reports(self) -> Sequence[SizeReport]:
        """Return the sizes of the tables: one report for each database."""
        self._storage.ready()
        return [size_report(database, groups=groups) for database, groups in self._storage.databases()]

    # The conversation

    @property
    def conversations(self) -> Conversations:
        """The conversations, apart from the workflow: list, read, export or erase them, or keep them for a limited time."""
        return Conversations(self._storage, self._sealing())

    def erase_conversation(self, thread_id: str) -> int:
        """Erase every message of a thread permanently, and return how many there were. The workflow can still be read and resumed."""
        return self.conversations.erase(thread_id)

    async def aerase_conversation(self, thread_id: str) -> int:
        """Asynchronous form of `erase_conversation`, with the same arguments, result and errors."""
        return await self.conversations.aerase(thread_id)

    # The same, asynchronously

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Asynchronous form of `get_tuple`. It first waits for puts that a cancelled run left in the thread's queue."""
        get = partial(reading.get_tuple, self._storage, place_of(config), self._sealing(), config, behind=True)
        return await self.database.arun(get)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Asynchronous form of `list`, with the same arguments, result and errors."""
        items = self.list(config, filter=filter, before=before, limit=limit)
        end = object()
        while (item := await self.database.arun(partial(next, items, end))) is not end:
            yield item

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Asynchronous form of `get_delta_channel_history`, with the same arguments, result and errors."""
        return await self.database.arun(partial(self.get_delta_channel_history, config=config, channels=channels))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Asynchronous form of `put`, with the same arguments, result and errors."""
        job = self._put_job(config, checkpoint, metadata, new_versions)
        await self._acommit(job)
        return job.place.config(job.checkpoint_id)

    @inspected_once
    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Asynchronous form of `put_writes`, with the same arguments, result and errors."""
        job = self._writes_job(config, writes, task_id, task_path)
        if writes:
            await self._acommit(job)

    async def adelete_thread(self, thread_id: str, *, instance: bool = False) -> None:
        """Asynchronous form of `delete_thread`, with the same arguments, result and errors."""
        await self.database.arun(partial(self.delete_thread, thread_id, instance=instance))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Asynchronous form of `delete_for_runs`, with the same arguments, result and errors."""
        await self.database.arun(partial(self.delete_for_runs, run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Asynchronous form of `copy_thread`, with the same arguments, result and errors."""
        await self.database.arun(partial(self.copy_thread, source_thread_id, target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Asynchronous form of `prune`, with the same arguments, result and errors."""
        await self.database.arun(partial(self.prune, thread_ids, strategy=strategy))

    # Versions

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Return the version that follows `current`: it sorts after it, and differs from the version of any other branch."""
        del channel
        if current is None:
            number, width = 0, 10
        else:
            digits = str(current).partition(".")[0]  # other savers use integer versions
            number, width = int(digits), max(len(digits), 10)
        return f"{number + 1:0{width}}.{random.getrandbits(32):08x}"

    def _put_job(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> PutJob:
        place, sealing = place_of(config), self._sealing()
        place.at(checkpoint["id"])  # checks the id, and LangGraph continues from there
        return PutJob(self._storage, place, sealing, config, checkpoint, metadata, new_versions, fenced=self._fenced)

    def _writes_job(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> WritesJob:
        place = place_of(config)
        if place.checkpoint_id is None:
            raise KeyError("checkpoint_id")
        task_id = checked("task_id", task_id, TASK_ID_LENGTH)
        return WritesJob(self._storage, place, self._sealing(), writes, task_id, task_path)

    def _commit(self, job: Job) -> None:
        reach(FaultPoint.BEFORE_CHECKPOINT)
        self._storage.commit(job)
        reach(FaultPoint.AFTER_CHECKPOINT)

    async def _acommit(self, job: Job) -> None:
        if is_hung() or not await self._storage.acommit(job):
            await self._storage.elsewhere.settle(job.thread_id, partial(self._commit, job))

    def _sealing(self) -> Sealing:
        """The sealing of the current serializer, because LangGraph and its users replace it after construction."""
        return self._sealings.of(self.serde)
