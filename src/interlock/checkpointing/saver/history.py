"""Reads the history of LangGraph's delta channels along the chain of parents, in few round trips."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from ..tables.checkpoints import channel_values, checkpoints, threads, writes
from .encoding import body
from .encoding.plain import Encoded
from .encoding.sealing import Sealing, checkpoint_place, value_place
from .encoding.separation import Decoder
from .keys import Place
from .reading import messages_for, open_writes
from .storage import Storage

STEP = 100
"""The number of ancestors per query."""


def delta_channel_history(
    storage: Storage, place: Place, sealing: Sealing, channels: Sequence[str]
) -> Mapping[str, DeltaChannelHistory]:
    """For each channel: the writes of the ancestors back to the nearest one that has a value, and that value."""
    if not channels:
        return {}
    storage.ready()
    collected: dict[str, list[tuple[str, str, Encoded]]] = {channel: [] for channel in channels}
    seeds: dict[str, Encoded] = {}
    remaining = set(channels)
    with storage.database.read() as connection:
        thread, parent = _target(connection, place)
        while parent is not None and remaining:
            ancestors = _ancestors(connection, thread, parent)
            if not ancestors:
                break
            pending = _writes(connection, thread, [row.checkpoint_id for row in ancestors])
            for row in ancestors:
                parent = row.parent_id
                if not remaining:
                    break
                for write in reversed(
                    open_writes(pending.get(row.checkpoint_id, ()), place, row.checkpoint_id, sealing)
                ):
                    if write[1] in remaining:
                        collected[write[1]].append(write)
                where = checkpoint_place(place.thread_id, place.namespace_key, row.checkpoint_id)
                _, values, _ = body.unpack(sealing.unseal(row.kind, row.body, where), row.checkpoint_id)
                for channel in [channel for channel in remaining if channel in values]:
                    value = values[channel]
                    if isinstance(value, int):
                        value = _outside(connection, thread, place, value, sealing)
                    seeds[channel] = value
                    remaining.discard(channel)
    everything = [encoded for found in collected.values() for _, _, encoded in found] + list(seeds.values())
    _, known = messages_for(storage, place.thread_id, everything, sealing)
    decoder = Decoder(known.__getitem__, sealing)
    result: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        replay: list[PendingWrite] = [
            (task_id, name, decoder.decode(encoded)) for task_id, name, encoded in reversed(collected[channel])
        ]
        result[channel] = {"writes": replay}
        if channel in seeds:
            result[channel]["seed"] = decoder.decode(seeds[channel])
    return result


def parents(storage: Storage, place: Place) -> dict[str, str | None]:
    """The parents of a checkpoint and of those before it, by id, as far as one query goes; empty if the checkpoint does not exist."""
    storage.ready()
    with storage.database.raw_query() as cursor:
        cursor.execute(storage.statements.line_of, (place.thread_id, place.namespace_key, place.checkpoint_id))
        return dict(cursor.fetchall())


def _target(connection: sa.Connection, place: Place) -> tuple[int, str | None]:
    c = checkpoints.c
    query = (
        sa.select(c.thread, c.parent_id)
        .join_from(checkpoints, threads, c.thread == threads.c.id)
        .where(threads.c.thread_id == place.thread_id, threads.c.namespace_key == place.namespace_key)
        .order_by(c.checkpoint_id.desc())
        .limit(1)
    )
    if place.checkpoint_id is not None:
        query = query.where(c.checkpoint_id == place.checkpoint_id)
    row = connection.execute(query).first()
    return (0, None) if row is None else (row.thread, row.parent_id)


def _ancestors(connection: sa.Connection, thread: int, first: str) -> list[Any]:
    """Up to `STEP` checkpoints along the chain of parents, nearest first."""
    c = checkpoints.c
    chain = (
        sa.select(c.checkpoint_id, c.parent_id, sa.literal(1).label("depth"))
        .where(c.thread == thread, c.checkpoint_id == first)
        .cte("chain", recursive=True)
    )
    chain = chain.union_all(
        sa.select(c.checkpoint_id, c.parent_id, chain.c.depth + 1)
        .join_from(chain, checkpoints, c.checkpoint_id == chain.c.parent_id)
        .where(c.thread == thread, chain.c.depth < STEP)
    )
    query = (
        sa.select(c.checkpoint_id, c.parent_id, c.kind, c.body)
        .join_from(chain, checkpoints, c.checkpoint_id == chain.c.checkpoint_id)
        .where(c.thread == thread)
        .order_by(chain.c.depth)
    )
    return list(connection.execute(query).all())


def _writes(connection: sa.Connection, thread: int, checkpoint_ids: list[str]) -> dict[str, list[Any]]:
    w = writes.c
    query = sa.select(w.checkpoint_id, w.task_id, w.part, w.task_path, w.kind, w.body).where(
        w.thread == thread, w.checkpoint_id.in_(checkpoint_ids)
    )
    found: dict[str, list[Any]] = {}
    for checkpoint_id, *rest in connection.execute(query):
        found.setdefault(checkpoint_id, []).append(rest)
    return found


def _outside(connection: sa.Connection, thread: int, place: Place, value_id: int, sealing: Sealing) -> Encoded:
    v = channel_values.c
    row = connection.execute(sa.select(v.kind, v.body).where(v.thread == thread, v.value_id == value_id)).one()
    where = value_place(place.thread_id, place.namespace_key, value_id)
    return body.unpack_value(sealing.unseal(row.kind, row.body, where))
