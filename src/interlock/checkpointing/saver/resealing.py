"""Seals rows again: for another place if a thread is copied, and with another key if keys are rotated."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.util import immutabledict

from ...tools.errors import InputError, StoreError
from ..database import Database
from ..encryption import misplaced
from ..tables.checkpoints import channel_values, checkpoints, threads, writes
from ..tables.conversations import conversations, messages
from ..tables.inputs import BESIDE_THE_QUEUE, has_inputs, inputs
from ..tables.workflow import PROTECTED
from ..vault import Placed, Vault
from .encoding.sealing import Place, Sealing, checkpoint_place, message_place, value_place, writes_place
from .storage import Storage

BATCH = 200
"""The number of rows per transaction, which bounds the wait of writers."""
Progress = Callable[[str, int], None]
"""Takes a table and the number of its rows that were sealed again."""


@dataclass(frozen=True)
class ReencryptReport:
    """The result of a re-encryption."""

    rows: int
    """Rows that were encrypted again and read back."""
    skipped: int
    """Rows that were already encrypted with the newest key."""


def place_of_row(table: sa.Table, owner: Sequence[str], row: Any) -> Place:
    """The place of a row; the owner is the thread, and its namespace if the table has one."""
    if table is messages:
        return message_place(owner[0], row.position)
    thread_id, namespace_key = owner
    if table is checkpoints:
        return checkpoint_place(thread_id, namespace_key, row.checkpoint_id)
    if table is channel_values:
        return value_place(thread_id, namespace_key, row.value_id)
    return writes_place(thread_id, namespace_key, row.checkpoint_id, row.task_id, row.part)


def split_kind(table: sa.Table, kind: str) -> tuple[str, str]:
    """Split a kind into its prefix and the type of the seal; for messages the prefix is the codec."""
    if table is not messages:
        return "", kind
    codec, _, sealed = kind.partition("|")
    return codec, sealed or "bytes"


def join_kind(table: sa.Table, codec: str, sealed: str) -> str:
    """The reverse of `split_kind`."""
    if table is not messages:
        return sealed
    return codec if sealed == "bytes" else f"{codec}|{sealed}"


def resealed(table: sa.Table, sealing: Sealing, row: Any, old: Place, new: Place) -> tuple[str, bytes]:
    """Seal the kind and body of a row for another place.

    Raises:
        StoreError: The row cannot be read in its place, or the result cannot be read back.
    """
    codec, kind = split_kind(table, row.kind)
    plain = sealing.unseal(kind, row.body, old)
    sealed, body = sealing.seal(plain, new)
    if sealing.unseal(sealed, body, new) != plain:
        raise StoreError(
            f"A row of {table.name} was sealed again and did not read back as it was. It was left as it is. "
            "Does the serializer give back the bytes that it got?",
            code="not_read_back",
        )
    return join_kind(table, codec, sealed), body


def copy_sealed(  # noqa: PLR0917 -- one row after the other, from here to there
    connection: sa.Connection,
    table: sa.Table,
    sealing: Sealing,
    source: int,
    old: Sequence[str],
    target: int,
    new: Sequence[str],
) -> None:
    """Copy the rows of a thread to another, each sealed for its new place."""
    owner = table.primary_key.columns.values()[0]
    for rows in _batches(connection, table, owner == source):
        copies = []
        for row in rows:
            kind, body = resealed(table, sealing, row, place_of_row(table, old, row), place_of_row(table, new, row))
            copies.append({**row._mapping, owner.name: target, "kind": kind, "body": body})
        connection.execute(sa.insert(table), copies)


def reencrypt(storage: Storage, sealing: Sealing, progress: Progress | None = None) -> ReencryptReport:
    """Seal every row with the newest key, in place. Safe beside workers that have both keys, and to run again.

    Raises:
        InputError: There are no keys.
        StoreError: A row cannot be read with any key. Earlier rows stay re-encrypted.
    """
    if sealing.plain:
        raise InputError(
            "This checkpointer has no encryption, so nothing was done. Give it keys: encryption=Encryption(…)."
        )
    storage.ready()
    done = skipped = 0
    workflow, conversation = storage.database, storage.conversation_database
    for number, *owner in _owners(workflow, threads.c.id, threads.c.thread_id, threads.c.namespace_key):
        for table in (checkpoints, channel_values, writes):
            done, skipped = _add((done, skipped), _reencrypt(workflow, table, sealing, number, owner, progress))
    for number, thread_id in _owners(conversation, conversations.c.id, conversations.c.thread_id):
        done, skipped = _add(
            (done, skipped), _reencrypt(conversation, messages, sealing, number, [thread_id], progress)
        )
    for table in PROTECTED:
        done, skipped = _add((done, skipped), reencrypt_texts(workflow, table, progress))
    with workflow.read() as connection:
        has_queue = has_inputs(connection)
    if has_queue:
        done, skipped = _add((done, skipped), reencrypt_texts(workflow, inputs, progress, options=BESIDE_THE_QUEUE))
    return ReencryptReport(done, skipped)


def reencrypt_texts(
    database: Database,
    table: sa.Table,
    progress: Progress | None = None,
    *,
    options: Mapping[str, Any] = immutabledict(),
) -> tuple[int, int]:
    """Encrypt the protected columns of a workflow table with the newest key. Returns the numbers of encrypted and of current rows."""
    vault = database.vault
    schema = None if "schema_translate_map" in options else database.schema
    if vault is None or not sa.inspect(database.engine).has_table(table.name, schema=schema):
        return 0, 0
    keys, protected = table.primary_key.columns.values(), [table.c[name] for name in table.info["protected"]]
    # Read the raw text, because the column type would decrypt it.
    stored = [sa.type_coerce(column, sa.Text()).label(f"stored_{column.name}") for column in protected]
    query = sa.select(*keys, *(table.c[name].label(f"place_{name}") for name in table.info["place"]), *stored)
    query = query.order_by(*keys).limit(BATCH).with_for_update()
    done = skipped = 0
    after: tuple[Any, ...] | None = None
    while True:
        changed = 0
        with database.write() as connection:
            page = query if after is None else query.where(sa.tuple_(*keys) > sa.tuple_(*after))
            rows = [dict(row) for row in connection.execute(page, execution_options=options).mappings()]
            for row in rows:
                changes = {}
                for column in protected:
                    text = row[f"stored_{column.name}"]
                    if text is not None and not vault.is_current(text):
                        place = [row[f"place_{name}"] for name in table.info["place"]]
                        changes[column.name] = Placed(_same_place(vault, column, text, place), place)
                if changes:
                    here = sa.and_(*(key == row[key.name] for key in keys))
                    connection.execute(sa.update(table).where(here).values(changes), execution_options=options)
                    changed += 1
        done, skipped = done + changed, skipped + len(rows) - changed
        if changed and progress is not None:
            progress(table.name, changed)
        if len(rows) < BATCH:
            return done, skipped
        after = tuple(rows[-1][key.name] for key in keys)


def _same_place(vault: Vault, column: sa.Column[Any], text: str, place: Sequence[Any]) -> str:
    """Check that a text belongs to this row, and encrypt it again; the result has to read back."""
    name = f"{column.table.name}.{column.name}"
    opened = vault.open(text, name)
    was = getattr(opened, "place", None)
    if was and was != tuple(place):
        raise misplaced(str(place[0]))
    if vault.open(vault.seal(Placed(opened, place), name), name) != opened:
        raise StoreError(
            f"A text of {name} was encrypted again and did not read back as it was. It was left as it is.",
            code="not_read_back",
        )
    return opened


def _add(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    return left[0] + right[0], left[1] + right[1]


def _owners(database: Database, number: sa.Column[Any], *names: sa.Column[Any]) -> Iterator[Sequence[Any]]:
    after = -1
    while True:
        query = sa.select(number, *names).where(number > after).order_by(number).limit(BATCH)
        with database.read() as connection:
            rows = connection.execute(query).all()
        yield from rows
        if len(rows) < BATCH:
            return
        after = rows[-1][0]


def _reencrypt(  # noqa: PLR0917 -- one row after the other
    database: Database, table: sa.Table, sealing: Sealing, number: int, owner: Sequence[str], progress: Progress | None
) -> tuple[int, int]:
    """The numbers of processed and skipped rows of one thread in one table."""
    keys = table.primary_key.columns.values()
    done = skipped = 0
    after: tuple[Any, ...] | None = None
    while True:
        with database.write() as connection:
            rows = _batch(connection, table, keys[0] == number, after, lock=True)
            changes = []
            for row in rows:
                if sealing.is_bound(split_kind(table, row.kind)[1], row.body):
                    skipped += 1
                    continue
                place = place_of_row(table, owner, row)
                kind, body = resealed(table, sealing, row, place, place)
                at = {f"at_{key.name}": row._mapping[key.name] for key in keys}
                changes.append({**at, "new_kind": kind, "new_body": body})
            if changes:
                here = sa.and_(*(key == sa.bindparam(f"at_{key.name}") for key in keys))
                update = sa.update(table).where(here)
                connection.execute(update.values(kind=sa.bindparam("new_kind"), body=sa.bindparam("new_body")), changes)
        done += len(changes)
        if changes and progress is not None:
            progress(table.name, len(changes))
        if len(rows) < BATCH:
            return done, skipped
        after = tuple(rows[-1]._mapping[key.name] for key in keys)


def _batches(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> Iterator[Sequence[Any]]:
    keys = table.primary_key.columns.values()
    after: tuple[Any, ...] | None = None
    while rows := _batch(connection, table, where, after):
        yield rows
        after = tuple(rows[-1]._mapping[key.name] for key in keys)


def _batch(
    connection: sa.Connection,
    table: sa.Table,
    where: sa.ColumnElement[bool],
    after: Iterable[Any] | None,
    *,
    lock: bool = False,
) -> Sequence[Any]:
    keys = table.primary_key.columns.values()
    query = sa.select(table).where(where).order_by(*keys).limit(BATCH)
    if after is not None:
        query = query.where(sa.tuple_(*keys) > sa.tuple_(*after))
    return connection.execute(query.with_for_update() if lock else query).all()
