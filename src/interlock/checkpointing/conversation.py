"""Lists, reads, exports and erases conversations, or limits how much of them is kept and for how long.

Erasing deletes the text and keeps the position: the workflow stays readable and continues, with placeholders for the messages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from langchain_core.messages import BaseMessage, message_to_dict

from . import sources as source_rows
from .connecting.engines import Dialect
from .database import Database
from .saver.encoding.messages import SUPERSEDED, UNNAMED, Message
from .saver.encoding.sealing import Sealing, message_place
from .saver.encoding.separation import Decoder
from .saver.storage import Storage
from .saver.threads import empty_the_log
from .saver.tombstones import nameless_tombstone, tombstone
from .tables import inputs as waiting
from .tables.conversations import conversations, messages

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH = 500
_counts = sa.or_(messages.c.message_id.is_(None), messages.c.message_id != SUPERSEDED)
"""Selects each message once, not at the position that it had before it got an id."""


@dataclass(frozen=True)
class ConversationSummary:
    """One conversation in a listing."""

    thread_id: str
    messages: int
    """The number of messages, including erased ones."""
    erased: int
    """The number of erased messages."""
    created_at: datetime
    cursor: int
    """The value of `after` for the next page."""


@dataclass(frozen=True)
class ConversationMessage:
    """One stored message."""

    position: int
    """Its position in the order in which messages were stored."""
    message_id: str | None
    role: str
    created_at: datetime
    erased_at: datetime | None
    message: Any
    """The message, or the pair, dictionary or text that represents one."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data, with the message in LangChain's exchange format."""
        shown = message_to_dict(self.message) if isinstance(self.message, BaseMessage) else self.message
        return {
            "position": self.position,
            "messageId": self.message_id,
            "role": self.role,
            "createdAt": self.created_at.isoformat(),
            "erasedAt": None if self.erased_at is None else self.erased_at.isoformat(),
            "message": shown,
        }


class Conversations:
    """The conversations of a checkpointer: its property `conversations`."""

    def __init__(self, storage: Storage, sealing: Sealing) -> None:
        self._storage = storage
        self._database: Database = storage.conversation_database
        self._sealing = sealing

    def list(self, *, limit: int = 50, after: int = 0) -> list[ConversationSummary]:
        """One page of all conversations, oldest first.

        Args:
            limit: The maximum number.
            after: The `cursor` of the last conversation of the previous page.
        """
        self._storage.ready()
        c, m = conversations.c, messages.c
        counted = (
            sa.select(c.id, c.thread_id, c.created_at, sa.func.count(m.position), sa.func.count(m.erased_at))
            .join_from(conversations, messages, sa.and_(m.conversation == c.id, _counts), isouter=True)
            .where(c.id > after)
            .group_by(c.id, c.thread_id, c.created_at)
            .order_by(c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(counted).all()
        return [
            ConversationSummary(thread_id, total, erased, _when(created), number)
            for number, thread_id, created, total, erased in rows
        ]

    def messages(
        self, thread_id: str, *, limit: int | None = None, after: int = -1, every_version: bool = False
    ) -> Iterator[ConversationMessage]:
        """The messages of a conversation in the order in which they were first stored.

        Args:
            thread_id: LangGraph's thread.
            limit: The maximum number.
            after: Begin after this position.
            every_version: Whether an edited message is returned once for each version, instead of only in its current form.
        """
        self._storage.ready()
        query = (
            sa.select(messages)
            .join_from(messages, conversations, messages.c.conversation == conversations.c.id)
            .where(conversations.c.thread_id == str(thread_id), _counts)
            .order_by(messages.c.position)
        )
        if not every_version:
            later = messages.alias("later")
            query = query.where(
                sa.not_(
                    sa.exists().where(
                        later.c.conversation == messages.c.conversation,
                        later.c.message_id == messages.c.message_id,
                        messages.c.message_id != UNNAMED,
                        later.c.position > messages.c.position,
                    )
                )
            )
        while limit is None or limit > 0:
            size = _BATCH if limit is None else min(limit, _BATCH)
            with self._database.read() as connection:
                rows = connection.execute(query.where(messages.c.position > after).limit(size)).all()
            for row in rows:
                yield self._show(row, str(thread_id))
            if len(rows) < size:
                return
            after = rows[-1].position
            limit = None if limit is None else limit - size

    def export(self, thread_id: str) -> Iterator[dict[str, Any]]:
        """The whole conversation as plain JSON data, one item for each message, in order."""
        for message in self.messages(thread_id):
            yield message.to_json()

    def erase(self, thread_id: str) -> int:
        """Erase every message of a conversation, permanently. The workflow continues with placeholders.

        A run that is continuing meanwhile cannot bring the messages back. Inputs of the thread that wait in a queue go with them, and what was
        kept of a person's words to trace arguments to them: values that only they said are asked about from then on.

        Returns:
            How many messages were erased.
        """
        self._storage.ready()
        with self._storage.database.write() as connection:
            waiting.erase(connection, waiting.inputs.c.thread_id == str(thread_id))
            source_rows.erase_words(connection, str(thread_id))
        return self._erase(str(thread_id), sa.true())

    async def aerase(self, thread_id: str) -> int:
        """Asynchronous form of `erase`, with the same arguments, result and errors."""
        return await self._database.arun(partial(self.erase, thread_id))

    def retain(
        self,
        *,
        newer_than: timedelta | None = None,
        last: int | None = None,
        thread_ids: Sequence[str] | None = None,
    ) -> int:
        """Erase messages that are older than a time, or before the last ones of their conversation.

        Args:
            newer_than: Keep messages that were stored within this time.
            last: Keep this many of the latest messages of each conversation.
            thread_ids: Only these conversations; otherwise all.

        Returns:
            How many messages were erased.
        """
        self._storage.ready()
        erased = 0
        threads = self._threads() if thread_ids is None else iter(thread_ids)
        for thread_id in threads:
            which: sa.ColumnElement[bool] = sa.false()
            if newer_than is not None:
                with self._database.read() as connection:
                    now = self._database.now(connection)
                which = sa.or_(which, messages.c.created_at < now - newer_than // timedelta(microseconds=1))
            if last is not None and (first := self._first_of_last(str(thread_id), last)) is not None:
                which = sa.or_(which, messages.c.position < first)
            erased += self._erase(str(thread_id), which)
        return erased

    def _threads(self) -> Iterator[str]:
        after = 0
        while page := self.list(limit=_BATCH, after=after):
            yield from (summary.thread_id for summary in page)
            after = page[-1].cursor

    def _first_of_last(self, thread_id: str, last: int) -> int | None:
        """The position of the first of the `last` messages; beyond the end if all are erased."""
        query = (
            sa.select(messages.c.position)
            .join_from(messages, conversations, messages.c.conversation == conversations.c.id)
            .where(conversations.c.thread_id == thread_id)
            .order_by(messages.c.position.desc())
        )
        with self._database.read() as connection:
            if last <= 0:
                newest = connection.scalar(query.limit(1))
                return None if newest is None else newest + 1
            return connection.scalar(query.offset(last - 1).limit(1))

    def _erase(self, thread_id: str, which: sa.ColumnElement[bool]) -> int:
        self._storage.ready()
        database = self._database
        erased = 0
        with database.write() as connection:
            if database.dialect is Dialect.SQLITE:
                # Overwrite the text, and not only unlink its pages.
                connection.exec_driver_sql("PRAGMA secure_delete=ON")
            now = database.now(connection)
            found = sa.select(conversations.c.id).where(conversations.c.thread_id == thread_id).with_for_update()
            number = connection.scalar(found)
            if number is None:
                return 0
            query = (
                sa.select(messages)
                .where(messages.c.conversation == number, messages.c.erased_at.is_(None), which)
                .order_by(messages.c.position)
                .limit(_BATCH)
            )
            here = sa.and_(messages.c.conversation == number, messages.c.position == sa.bindparam("at"))
            erase = sa.update(messages).where(here).values(kind=sa.bindparam("as_kind"), body=sa.bindparam("as_body"))
            after = -1
            while rows := connection.execute(query.where(messages.c.position > after)).all():
                connection.execute(erase.values(erased_at=now), [self._tombstone(row, thread_id) for row in rows])
                erased += len(rows)
                after = rows[-1].position
            if erased:
                epoch = conversations.c.epoch + 1
                raised = sa.update(conversations).where(conversations.c.id == number)
                connection.execute(raised.values(epoch=epoch, erased_at=now))
        self._storage.memory.forget_threads(lambda known: known == thread_id)
        if erased and database.dialect is Dialect.SQLITE:
            empty_the_log(database)
        return erased

    def _tombstone(self, row: Any, thread_id: str) -> dict[str, Any]:
        try:
            kind, body = tombstone(self._stored(row, thread_id), self._sealing)
        except Exception:
            kind, body = nameless_tombstone(row.role)
        typ, data = self._sealing.seal(body, message_place(thread_id, row.position))
        return {"at": row.position, "as_kind": kind if typ == "bytes" else f"{kind}|{typ}", "as_body": data}

    def _stored(self, row: Any, thread_id: str) -> Message:
        codec, _, sealed = row.kind.partition("|")
        plain = self._sealing.unseal(sealed or "bytes", row.body, message_place(thread_id, row.position))
        return Message(row.position, codec, plain, row.role, _id_of(row))

    def _show(self, row: Any, thread_id: str) -> ConversationMessage:
        known: dict[int, Message] = {}
        decoder = Decoder(known.__getitem__, self._sealing)
        return ConversationMessage(
            row.position,
            _id_of(row),
            row.role,
            _when(row.created_at),
            None if row.erased_at is None else _when(row.erased_at),
            decoder.message(self._stored(row, thread_id)),
        )


def _id_of(row: Any) -> str | None:
    return None if row.message_id in (UNNAMED, SUPERSEDED) else row.message_id


def _when(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
