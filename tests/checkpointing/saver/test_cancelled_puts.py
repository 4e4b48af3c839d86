"""What a cancelled task put is committed all the same, and whoever asks next reads behind it: on every database, without luck."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.connecting.capacity import Capacity
from tests.checkpointing.support import config, put


@contextlib.contextmanager
def held(saver: SQLCheckpointer, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No commit begins before the event is set."""
    gate, commit = threading.Event(), saver._storage.commit

    def later(job: Any) -> None:
        assert gate.wait(20)
        commit(job)

    monkeypatch.setattr(saver._storage, "commit", later)
    try:
        yield gate
    finally:
        gate.set()


@pytest.mark.parametrize("threads", [1, 4])
async def test_what_a_cancelled_task_put_is_read_by_whoever_asks_next(
    saver: SQLCheckpointer, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    at = put(saver, config("t"), {"a": 1}, source="input")
    # Nothing is remembered of the thread, so that the put needs a thread of the database's own; with one thread it waits for that.
    monkeypatch.setattr(saver.database, "threads", type(saver.database.threads)(Capacity(threads=threads)))
    fresh = SQLCheckpointer(saver.database)
    with held(fresh, monkeypatch) as gate:
        putting = [asyncio.create_task(fresh.aput_writes(at, [("a", number)], f"task-{number}")) for number in range(3)]
        await asyncio.sleep(0)
        for one in putting:
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*putting)
        reading = asyncio.create_task(fresh.aget_tuple(config("t")))
        await asyncio.sleep(0)
        gate.set()
        found = await reading

    assert found is not None
    assert sorted(found.pending_writes or ()) == [(f"task-{number}", "a", number) for number in range(3)]
    assert fresh._storage.elsewhere._of_thread == {}


async def test_a_put_that_fails_after_its_task_was_cancelled_keeps_nobody_waiting(
    saver: SQLCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = put(saver, config("t"), {"a": 1}, source="input")
    fresh = SQLCheckpointer(saver.database)
    saver.delete_thread("t")
    with held(fresh, monkeypatch) as gate:
        putting = asyncio.create_task(fresh.aput_writes(at, [("a", 2)], "task"))
        await asyncio.sleep(0)
        putting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await putting
        gate.set()
        assert await fresh.aget_tuple(config("t")) is None

    assert fresh._storage.elsewhere._of_thread == {}
