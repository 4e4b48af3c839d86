"""Tasks in the line: they wait without a thread each, and nothing of a cancelled one is lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from interlock.checkpointing.saver import line as lines
from interlock.checkpointing.saver.jobs import Job
from interlock.checkpointing.saver.line import TaskWaiter
from interlock.checkpointing.saver.memory import Conversation
from tests.checkpointing.saver.line.support import Scene, checkpoint, writes


async def settle(scene: Scene, job: Job) -> None:
    waiter = TaskWaiter(scene.line, job)
    scene.line.join(job, waiter)
    await scene.line.asettle(job, waiter)


async def turn_until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until the condition holds."""
    for _ in range(1_000_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


async def gathered(scene: Scene, *jobs: Job) -> list[asyncio.Task[None]]:
    tasks = []
    for number, job in enumerate(jobs, 1):
        tasks.append(asyncio.create_task(settle(scene, job)))
        await turn_until(lambda number=number: len(scene.line) >= number)
    return tasks


async def test_tasks_wait_without_a_thread_each(scene: Scene) -> None:
    before = threading.active_count()
    with scene.gate:
        tasks = await gathered(scene, *(checkpoint(str(number)) for number in range(40)))
        assert threading.active_count() <= before + 1
    await asyncio.gather(*tasks)

    assert scene.batches == [[str(number) for number in range(40)]]


async def test_threads_and_tasks_stand_in_the_same_line(scene: Scene, threads: ThreadPoolExecutor) -> None:
    with scene.gate:
        waiting = scene.in_line(threads, checkpoint("thread"))
        task = asyncio.create_task(settle(scene, checkpoint("task")))
        await turn_until(lambda: len(scene.line) >= 2)
    await task
    waiting[0].result(10)

    assert scene.batches == [["thread", "task"]]


async def test_a_task_is_not_kept_by_a_job_that_waits_for_somebody(scene: Scene) -> None:
    conversation = Conversation("t")
    scene.apart, scene.holds["held"] = {"held"}, threading.Event()
    held = asyncio.create_task(settle(scene, checkpoint("held", conversation)))
    await turn_until(lambda: "t" in scene.line._apart)
    behind = asyncio.create_task(settle(scene, checkpoint("behind", conversation)))
    await settle(scene, checkpoint("other"))
    assert not behind.done()
    scene.holds["held"].set()
    await asyncio.gather(held, behind)

    assert scene.batches == [["held"], ["other"], ["behind"]]


async def test_what_a_cancelled_task_put_is_committed_all_the_same(scene: Scene) -> None:
    with scene.gate:
        (task,) = await gathered(scene, checkpoint("put"))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await settle(scene, checkpoint("next"))

    assert sorted(name for batch in scene.batches for name in batch) == ["next", "put"]


def test_a_loop_that_is_closed_meanwhile_harms_nobody(scene: Scene) -> None:
    async def give_up() -> None:
        (task,) = await gathered(scene, checkpoint("put"))
        task.cancel()

    with scene.gate:
        asyncio.run(give_up())
    scene.settle(checkpoint("next"))

    assert sorted(name for batch in scene.batches for name in batch) == ["next", "put"]


async def test_a_task_lets_the_checkpoint_take_along_what_it_wrote(scene: Scene) -> None:
    conversation = Conversation("t")
    with scene.gate:
        tasks = await gathered(scene, writes("written", conversation), checkpoint("put", conversation))
    await asyncio.gather(*tasks)
    assert scene.batches == [["written", "put"]]

    await settle(scene, writes("last", conversation))
    assert scene.batches == [["written", "put"], ["last"]]


async def test_what_a_cancelled_task_wrote_waits_for_no_checkpoint(scene: Scene) -> None:
    task = asyncio.create_task(settle(scene, writes("written", Conversation("t"))))
    await turn_until(lambda: len(scene.line) == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await turn_until(lambda: bool(scene.batches))

    assert scene.batches == [["written"]]


async def test_whoever_reads_finishes_what_waits_of_the_conversation_and_nothing_else(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("PATIENCE_SECONDS", "LONGEST_PATIENCE_SECONDS"):
        monkeypatch.setattr(lines, limit, 60)
    conversation, another = Conversation("t"), Conversation("u")
    tasks = await gathered(scene, writes("written", conversation), writes("other", another))

    scene.line.finish(conversation)
    assert scene.batches == [["written"]]
    assert (conversation.in_line, another.in_line) == (0, 1)

    scene.line.finish(conversation)
    assert scene.batches == [["written"]]
    scene.line.finish(another)
    await asyncio.gather(*tasks)
    assert scene.batches == [["written"], ["other"]]


async def test_tasks_are_served_while_the_interpreter_exits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    scene.apart = {"alone"}
    await settle(scene, checkpoint("put"))
    await settle(scene, writes("written", Conversation("t")))
    await settle(scene, checkpoint("alone"))

    assert scene.batches == [["put"], ["written"], ["alone"]]
    assert scene.alone == ["alone"]


async def test_no_more_jobs_of_tasks_are_done_by_themselves_at_once_than_there_may_be_connections(scene: Scene) -> None:
    names = [str(number) for number in range(lines.MOST_APART + 8)]
    scene.apart, held = set(names), threading.Event()
    scene.holds = dict.fromkeys(names, held)
    with scene.gate:
        tasks = await gathered(scene, *(checkpoint(name) for name in names))
    await settle(scene, checkpoint("other"))
    most = sum(thread.name.startswith("interlock-apart") for thread in threading.enumerate())
    held.set()
    await asyncio.gather(*tasks)

    assert most == lines.MOST_APART
    assert sorted(scene.alone) == sorted(names)
