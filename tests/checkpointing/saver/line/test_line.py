"""The line of jobs that wait for their commit: one leads for all, nobody overtakes, nobody is forgotten."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from interlock.checkpointing.saver import line as lines
from interlock.checkpointing.saver.jobs import Job
from interlock.checkpointing.saver.line import ThreadWaiter
from interlock.checkpointing.saver.memory import Conversation
from interlock.tools.errors import StoreUnavailable
from tests.checkpointing.saver.line.support import Scene, checkpoint, wait_until, writes


def test_whoever_waits_at_the_same_moment_is_committed_together(scene: Scene, threads: ThreadPoolExecutor) -> None:
    scene.together(threads, *(checkpoint(name) for name in "abc"))

    assert scene.batches == [["a", "b", "c"]]


def test_a_checkpoint_takes_along_what_its_task_wrote(scene: Scene, threads: ThreadPoolExecutor) -> None:
    conversation = Conversation("t")
    scene.together(threads, writes("written", conversation), checkpoint("put", conversation))

    assert scene.batches == [["written", "put"]]


def test_what_a_task_wrote_is_committed_by_itself_when_no_checkpoint_comes(scene: Scene) -> None:
    conversation = Conversation("t")

    scene.settle(writes("written", conversation))

    assert scene.batches == [["written"]]
    assert conversation.impatient == lines.IMPATIENT_FOR  # the next ones are not kept waiting


def test_two_checkpoints_of_a_conversation_are_two_commits_in_their_order(
    scene: Scene, threads: ThreadPoolExecutor
) -> None:
    conversation = Conversation("t")
    jobs = [checkpoint("first", conversation), checkpoint("other"), checkpoint("second", conversation)]
    scene.together(threads, *jobs)

    assert scene.batches == [["first", "other"], ["second"]]


def test_no_commit_takes_more_than_so_many(
    scene: Scene, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST", 2)
    scene.together(threads, *(checkpoint(name) for name in "abcde"))

    assert scene.batches == [["a", "b"], ["c", "d"], ["e"]]


def test_a_job_that_has_to_wait_for_somebody_keeps_only_its_own_conversation_waiting(
    scene: Scene, threads: ThreadPoolExecutor
) -> None:
    conversation = Conversation("t")
    scene.apart, scene.holds["held"] = {"held"}, threading.Event()
    with scene.gate:
        waiting = scene.in_line(threads, checkpoint("held", conversation), checkpoint("other"))
    waiting[1].result(10)
    wait_until(lambda: "t" in scene.line._apart)
    behind = scene.in_line(threads, checkpoint("behind", conversation))
    scene.settle(checkpoint("third"))
    assert not behind[0].done()

    scene.holds["held"].set()
    for one in (*waiting, *behind):
        one.result(10)

    assert scene.batches == [["held", "other"], ["third"], ["behind"]]
    assert scene.alone == ["held"]


def test_of_two_of_a_conversation_that_are_to_be_done_by_themselves_the_second_comes_second(
    scene: Scene, threads: ThreadPoolExecutor
) -> None:
    conversation = Conversation("t")
    scene.apart = {"written", "put"}
    scene.together(threads, writes("written", conversation), checkpoint("put", conversation))

    assert scene.alone == ["written", "put"]


def test_what_loses_its_patience_while_it_is_being_done_is_not_forgotten(
    scene: Scene, threads: ThreadPoolExecutor
) -> None:
    conversation = Conversation("t")
    first, second = writes("first", conversation), writes("second", conversation)
    scene.apart = {"first", "second"}
    commit = scene.line._commit

    def late(batch: list[Job]) -> Sequence[Job]:
        wait_until(lambda: all(job.urgent for job in batch))
        return commit(batch)

    scene.line._commit = late
    scene.together(threads, first, second)

    assert scene.alone == ["first", "second"]


def test_what_is_remembered_of_a_thread_twice_is_two_commits_in_their_order(
    scene: Scene, threads: ThreadPoolExecutor
) -> None:
    scene.together(threads, writes("before", Conversation("t")), checkpoint("anew", Conversation("t")))

    assert scene.batches == [["before"], ["anew"]]


def test_nobody_overtakes_a_job_that_is_done_by_itself_whatever_is_remembered_meanwhile(
    scene: Scene, threads: ThreadPoolExecutor
) -> None:
    scene.apart, scene.holds["held"] = {"held"}, threading.Event()
    waiting = [threads.submit(scene.settle, checkpoint("held", Conversation("t")))]
    wait_until(lambda: "t" in scene.line._apart)
    waiting += scene.in_line(threads, checkpoint("behind", Conversation("t")))
    scene.settle(checkpoint("other"))
    assert not waiting[1].done()

    scene.holds["held"].set()
    for one in waiting:
        one.result(10)

    assert scene.batches == [["held"], ["other"], ["behind"]]


def test_who_waits_for_a_turn_that_nobody_gets_is_told_so(scene: Scene, threads: ThreadPoolExecutor) -> None:
    @contextlib.contextmanager
    def never() -> Iterator[None]:
        with scene.gate:
            pass
        raise StoreUnavailable("somebody else writes")
        yield

    scene.line._turn = never
    jobs = [checkpoint(name) for name in "ab"]
    scene.together(threads, *jobs)

    assert [str(job.error) for job in jobs] == ["somebody else writes"] * 2
    assert len(scene.line) == 0


def test_a_leader_that_is_interrupted_leaves_nobody_waiting(scene: Scene, threads: ThreadPoolExecutor) -> None:
    jobs = [checkpoint(name) for name in "ab"]
    with scene.gate:
        waiting = scene.in_line(threads, *jobs)
        scene.breaks_with = KeyboardInterrupt("stopped")

    assert {type(one.exception(10)) for one in waiting} == {KeyboardInterrupt, type(None)}
    assert [str(job.error) for job in jobs] == ["stopped"] * 2
    scene.settle(checkpoint("next"))
    assert scene.batches == [["next"]]


def test_a_thread_that_is_interrupted_while_it_waits_leaves_nobody_waiting(
    scene: Scene, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(ThreadWaiter):
        __slots__ = ("once",)

        def hear(self, seconds: float = -1) -> Any:
            if not hasattr(self, "once"):
                self.once = True
                raise KeyboardInterrupt
            return super().hear(seconds)

    monkeypatch.setattr(lines, "MOST", 1)
    job, waiter = checkpoint("interrupted"), Interrupted()
    with scene.gate:
        waiting = scene.in_line(threads, checkpoint("leads"))
        wait_until(lambda: scene.line._led)
        scene.line.join(job, waiter)
        with pytest.raises(KeyboardInterrupt):
            scene.line.settle(job, waiter)
        waiting += scene.in_line(threads, checkpoint("behind"))
    for one in waiting:
        one.result(10)

    assert scene.batches == [["leads"], ["interrupted"], ["behind"]]
