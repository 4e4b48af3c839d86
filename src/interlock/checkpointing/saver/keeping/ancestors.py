"""Finds the older checkpoints that newer ones need: LangGraph's delta channels store only the changes of a step."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from ...tables.checkpoints import checkpoints
from ..encoding import body
from ..encoding.sealing import Sealing, checkpoint_place

_BATCH = 200


class Link(NamedTuple):
    """A checkpoint in the chain of its thread."""

    parent_id: str | None
    deltas: frozenset[str]
    """The delta channels without a value here, which are rebuilt from its ancestors."""
    values: frozenset[str]
    """The channels with a value here. Only known if the thread has delta channels."""


def chain(connection: sa.Connection, thread: int, owner: tuple[str, str], sealing: Sealing) -> dict[str, Link]:
    """The checkpoints of a thread, oldest first, without values. Bodies are read only if there are delta channels.

    Args:
        connection: In a transaction.
        thread: The number of the thread.
        owner: Its thread id and namespace key.
        sealing: Reads the bodies.
    """
    c = checkpoints.c
    rows = connection.execute(
        sa.select(c.checkpoint_id, c.parent_id, c.metadata).where(c.thread == thread).order_by(c.checkpoint_id)
    ).all()
    counted = {row.checkpoint_id: frozenset(delta_channels(row.metadata)) for row in rows}
    nothing: frozenset[str] = frozenset()
    if not any(counted.values()):
        return {row.checkpoint_id: Link(row.parent_id, nothing, nothing) for row in rows}
    links: dict[str, Link] = {}
    for start in range(0, len(rows), _BATCH):
        some = {row.checkpoint_id: row for row in rows[start : start + _BATCH]}
        bodies = sa.select(c.checkpoint_id, c.kind, c.body).where(c.thread == thread, c.checkpoint_id.in_(some))
        for checkpoint_id, kind, data in connection.execute(bodies):
            place = checkpoint_place(*owner, checkpoint_id)
            header, values, _ = body.unpack(sealing.unseal(kind, data, place), checkpoint_id)
            there = frozenset(values)
            deltas = counted[checkpoint_id] & header["channel_versions"].keys() - there
            links[checkpoint_id] = Link(some[checkpoint_id].parent_id, frozenset(deltas), there)
    return links


def needed_by(links: Mapping[str, Link], kept: Iterable[str]) -> set[str]:
    """These checkpoints, and the ancestors of their delta channels, back to a value of each channel."""
    needed = set(kept)
    asked: dict[str, set[str]] = {}
    todo = [(links[one].parent_id, links[one].deltas) for one in needed if one in links]
    while todo:
        parent, missing = todo.pop()
        if parent is None or parent not in links:
            continue
        new = set(missing) - asked.setdefault(parent, set())
        if not new:
            continue
        asked[parent] |= new
        needed.add(parent)
        todo.append((links[parent].parent_id, frozenset(new - links[parent].values)))
    return needed


def delta_channels(metadata: str) -> Iterable[str]:
    """The delta channels whose updates LangGraph counts in a checkpoint's metadata."""
    counters = json.loads(metadata).get("counters_since_delta_snapshot")
    return counters if isinstance(counters, dict) else ()
