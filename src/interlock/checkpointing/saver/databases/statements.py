"""The statements of the hot path, compiled once per database and run on the driver's own cursor.

They are written with SQLAlchemy Core, so that each dialect gets its own text; running them through Core would cost more than the
databases' own work.
"""

import functools
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Engine

from ...connecting.engines import Dialect
from ...tables.checkpoints import channel_values, checkpoints, threads, writes
from ...tables.conversations import conversations, messages
from ..encoding.messages import SUPERSEDED, UNNAMED

_INSERTS: dict[Dialect, Any] = {
    Dialect.SQLITE: sqlite.insert,
    Dialect.POSTGRESQL: postgresql.insert,
    Dialect.MYSQL: mysql.insert,
}


LINE = 30
"""How many ancestors of a checkpoint are read at once."""

_thread = sa.select(threads.c.id, threads.c.head, threads.c.deleted_up_to).where(
    threads.c.thread_id == sa.bindparam("thread_id"), threads.c.namespace_key == sa.bindparam("namespace_key")
)


class Statement:
    """The text of a statement and the order of its parameters."""

    __slots__ = ("order", "text")

    def __init__(self, engine: Engine, statement: Any, columns: list[str] | None = None) -> None:
        make: Any = type(engine.dialect)
        styles = {"sqlite": "qmark", "asyncpg": "numeric_dollar"}
        style = styles.get(engine.dialect.driver) or styles.get(engine.dialect.name, "format")
        dialect = make(paramstyle=style)
        schema = engine.get_execution_options().get("schema_translate_map")
        compiled = statement.compile(
            dialect=dialect,
            column_keys=columns,
            schema_translate_map=schema,
            compile_kwargs={"render_postcompile": True},
            render_schema_translate=schema is not None,
        )
        self.text = str(compiled)
        self.order = tuple(compiled.positiontup or ())


def insert_or_ignore(dialect: Dialect, table: sa.Table) -> Any:
    """An insert that keeps an existing row with the same primary or unique key."""
    insert = _INSERTS[dialect](table)
    return insert.prefix_with("IGNORE") if dialect is Dialect.MYSQL else insert.on_conflict_do_nothing()


def upsert(dialect: Dialect, table: sa.Table) -> Any:
    """An insert that overwrites an existing row except its primary key."""
    insert = _INSERTS[dialect](table)
    keys = [column.name for column in table.primary_key]
    rest = [column.name for column in table.columns if column.name not in keys]
    if dialect is Dialect.MYSQL:
        return insert.on_duplicate_key_update({name: insert.inserted[name] for name in rest})
    return insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in rest})


def names(table: sa.Table) -> list[str]:
    """The columns of a table in order."""
    return [column.name for column in table.columns]


class Statements:
    """Every statement of the hot path for one database; each is compiled when it is first used."""

    def __init__(self, engine: Engine, dialect: Dialect) -> None:
        self._engine = engine
        self._dialect = dialect

    def _insert(self, statement: Any, columns: list[str]) -> str:
        prepared = Statement(self._engine, statement, columns)
        if list(prepared.order) != columns:
            raise AssertionError(f"parameters are in the order {prepared.order}, not {columns}")
        return prepared.text

    def _query(self, statement: Any, *order: str) -> str:
        prepared = Statement(self._engine, statement)
        if prepared.order != order:
            raise AssertionError(f"parameters are in the order {prepared.order}, not {order}")
        return prepared.text

    # Threads

    @functools.cached_property
    def find_thread(self) -> str:
        """(thread_id, namespace_key) -> (id, head, deleted_up_to)."""
        return self._query(_thread, "thread_id", "namespace_key")

    @functools.cached_property
    def lock_thread(self) -> str:
        """As `find_thread`, with a row lock until the transaction ends. SQLite has one writer anyway."""
        return self._query(_thread.with_for_update(), "thread_id", "namespace_key")

    @functools.cached_property
    def add_thread(self) -> str:
        """(thread_id, namespace_key, long_namespace); does nothing if it exists."""
        columns = ["thread_id", "namespace_key", "long_namespace"]
        return self._insert(insert_or_ignore(self._dialect, threads), columns)

    @functools.cached_property
    def follow_head(self) -> str:
        """(new, id, parent, same, no_parent): moves the head if the step follows it, starts the thread, or is the head itself."""
        allowed = sa.or_(
            threads.c.head == sa.bindparam("parent"),
            threads.c.head == sa.bindparam("same"),
            sa.and_(threads.c.head.is_(None), sa.bindparam("no_parent", type_=sa.Integer) == sa.literal_column("1")),
        )
        return self._query(
            sa.update(threads).values(head=sa.bindparam("new")).where(threads.c.id == sa.bindparam("thread"), allowed),
            *("new", "thread", "parent", "same", "no_parent"),
        )

    @functools.cached_property
    def raise_head(self) -> str:
        """(at_least, new, id, late): for puts without a fence, unless the thread was deleted since."""
        at_least, new, late = (sa.bindparam(name, type_=sa.String) for name in ("at_least", "new", "late"))
        head = sa.case((threads.c.head > at_least, threads.c.head), else_=new)
        alive = sa.or_(threads.c.deleted_up_to.is_(None), threads.c.deleted_up_to < late)
        return self._query(
            sa.update(threads).values(head=head).where(threads.c.id == sa.bindparam("thread"), alive),
            *("at_least", "new", "thread", "late"),
        )

    @functools.cached_property
    def newest(self) -> str:
        """(thread) -> (checkpoint_id,)."""
        newest = sa.select(sa.func.max(checkpoints.c.checkpoint_id)).where(
            checkpoints.c.thread == sa.bindparam("thread")
        )
        return self._query(newest, "thread")

    # Checkpoints, values, writes

    @functools.cached_property
    def put_checkpoint(self) -> str:
        """The columns of `workflow_checkpoints`."""
        return self._insert(upsert(self._dialect, checkpoints), names(checkpoints))

    @functools.cached_property
    def put_value(self) -> str:
        """The columns of `workflow_channel_values`; keeps an existing version."""
        return self._insert(insert_or_ignore(self._dialect, channel_values), names(channel_values))

    @functools.cached_property
    def add_writes(self) -> str:
        """The columns of `workflow_writes`; does nothing if the part exists."""
        return self._insert(insert_or_ignore(self._dialect, writes), names(writes))

    @functools.cached_property
    def put_writes(self) -> str:
        """The columns of `workflow_writes`; replaces an existing part."""
        return self._insert(upsert(self._dialect, writes), names(writes))

    @functools.cached_property
    def one_part(self) -> str:
        """(thread, checkpoint_id, task_id, part) -> (kind, body)."""
        keys = ["thread", "checkpoint_id", "task_id", "part"]
        statement = sa.select(writes.c.kind, writes.c.body).where(*(writes.c[k] == sa.bindparam(k) for k in keys))
        return self._query(statement.with_for_update(), *keys)

    @functools.cached_property
    def latest(self) -> str:
        """(thread_id, namespace_key) -> the newest checkpoint."""
        return self._checkpoint(one=False)

    @functools.cached_property
    def exactly(self) -> str:
        """(thread_id, namespace_key, checkpoint_id) -> that checkpoint."""
        return self._checkpoint(one=True)

    def _checkpoint(self, *, one: bool) -> str:
        where = [
            threads.c.thread_id == sa.bindparam("thread_id"),
            threads.c.namespace_key == sa.bindparam("namespace_key"),
        ]
        order = ["thread_id", "namespace_key"]
        if one:
            where.append(checkpoints.c.checkpoint_id == sa.bindparam("checkpoint_id"))
            order.append("checkpoint_id")
        c = checkpoints.c
        statement = (
            sa.select(threads.c.id, c.checkpoint_id, c.parent_id, c.kind, c.body, c.metadata, c.outside)
            .join_from(threads, checkpoints, c.thread == threads.c.id)
            .where(*where)
        )
        if one:
            return self._query(statement, *order)
        # On some dialects Core would add a parameter for the offset.
        return self._query(statement.order_by(c.checkpoint_id.desc()), *order) + " LIMIT 1"

    @functools.cached_property
    def line_of(self) -> str:
        """(thread_id, namespace_key, checkpoint_id) -> (checkpoint_id, parent_id) of that checkpoint and of up to `LINE` before it."""
        c = checkpoints.c
        line = (
            sa.select(c.thread, c.checkpoint_id, c.parent_id, sa.literal_column("0").label("depth"))
            .join_from(threads, checkpoints, c.thread == threads.c.id)
            .where(
                threads.c.thread_id == sa.bindparam("thread_id"),
                threads.c.namespace_key == sa.bindparam("namespace_key"),
                c.checkpoint_id == sa.bindparam("checkpoint_id"),
            )
            .cte("line", recursive=True)
        )
        line = line.union_all(
            sa.select(c.thread, c.checkpoint_id, c.parent_id, line.c.depth + sa.literal_column("1"))
            .join_from(line, checkpoints, sa.and_(c.thread == line.c.thread, c.checkpoint_id == line.c.parent_id))
            .where(line.c.depth < sa.literal_column(str(LINE)))
        )
        statement = sa.select(line.c.checkpoint_id, line.c.parent_id)
        return self._query(statement, "thread_id", "namespace_key", "checkpoint_id")

    @functools.cached_property
    def writes_of(self) -> str:
        """(thread, checkpoint_id) -> (task_id, part, task_path, kind, body)."""
        w = writes.c
        statement = sa.select(w.task_id, w.part, w.task_path, w.kind, w.body).where(
            w.thread == sa.bindparam("thread"), w.checkpoint_id == sa.bindparam("checkpoint_id")
        )
        return self._query(statement, "thread", "checkpoint_id")

    @functools.cached_property
    def value(self) -> str:
        """(thread, value_id) -> (kind, body)."""
        v = channel_values.c
        statement = sa.select(v.kind, v.body).where(
            v.thread == sa.bindparam("thread"), v.value_id == sa.bindparam("value_id")
        )
        return self._query(statement, "thread", "value_id")

    # Conversation

    @functools.cached_property
    def find_conversation(self) -> str:
        """(thread_id) -> (id, epoch, next position)."""
        next_position = (
            sa.select(
                sa.func.coalesce(sa.func.max(messages.c.position) + sa.literal_column("1"), sa.literal_column("0"))
            )
            .where(messages.c.conversation == conversations.c.id)
            .scalar_subquery()
        )
        statement = sa.select(conversations.c.id, conversations.c.epoch, next_position).where(
            conversations.c.thread_id == sa.bindparam("thread_id")
        )
        return self._query(statement, "thread_id")

    @functools.cached_property
    def add_conversation(self) -> str:
        """(thread_id, epoch, created_at)."""
        columns = ["thread_id", "epoch", "created_at"]
        return self._insert(insert_or_ignore(self._dialect, conversations), columns)

    @functools.cached_property
    def epoch(self) -> str:
        """(id) -> (epoch,)."""
        statement = sa.select(conversations.c.epoch).where(conversations.c.id == sa.bindparam("id"))
        return self._query(statement.with_for_update(read=True), "id")

    @functools.cached_property
    def add_message(self) -> str:
        """The columns of `conversation_messages` except the last; fails if the position is taken."""
        columns = names(messages)[:-1]
        return self._insert(_INSERTS[self._dialect](messages), columns)

    @functools.cached_property
    def name_message(self) -> str:
        """(name, conversation, position, name). Only an id may replace an id; other names were chosen without knowledge of it."""
        m = messages.c
        statement = (
            sa.update(messages)
            .values(message_id=sa.bindparam("new_id"))
            .where(m.conversation == sa.bindparam("of"), m.position == sa.bindparam("at"))
            .where(
                sa.or_(
                    m.message_id == sa.literal_column(f"'{UNNAMED}'"),
                    sa.bindparam("same_id", type_=m.message_id.type) != sa.literal_column(f"'{SUPERSEDED}'"),
                )
            )
        )
        return self._query(statement, "new_id", "of", "at", "same_id")

    @functools.cached_property
    def messages_between(self) -> str:
        """(conversation, first, last) -> (position, kind, body, role, message_id, erased_at)."""
        m = messages.c
        statement = (
            sa.select(m.position, m.kind, m.body, m.role, m.message_id, m.erased_at)
            .where(m.conversation == sa.bindparam("conversation"))
            .where(m.position >= sa.bindparam("first"), m.position <= sa.bindparam("last"))
        )
        return self._query(statement, "conversation", "first", "last")

    @functools.cached_property
    def erased(self) -> str:
        """(conversation) -> (position, kind, body, role, message_id, erased_at) of the erased messages."""
        m = messages.c
        statement = sa.select(m.position, m.kind, m.body, m.role, m.message_id, m.erased_at).where(
            m.conversation == sa.bindparam("conversation"), m.erased_at.is_not(None)
        )
        return self._query(statement, "conversation")
