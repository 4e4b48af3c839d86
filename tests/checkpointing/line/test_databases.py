"""The line of jobs that wait for their commit: one leads for all, nobody overtakes, nobody is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest
import sqlalchemy as sa
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from interlock.checkpointing import SQLCheckpointer, fault_points
from interlock.checkpointing.connecting import engines
from interlock.checkpointing.saver import line as lines
from interlock.checkpointing.saver.jobs import Job, PutJob, WritesJob
from interlock.checkpointing.saver.keys import Place
from interlock.checkpointing.saver.line import Line, TaskWaiter, ThreadWaiter
from interlock.checkpointing.saver.memory import Conversation
from interlock.tools.errors import ConflictError, InterlockError, StoreUnavailable
from tests.checkpointing.test_checkpointer import config, put


class Scene:
    """A line whose commits are only written down. Where `gate` is held, whoever leads waits."""

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.batches: list[list[str]] = []
        self.alone: list[str] = []
        self.apart: set[str] = set()
        self.breaks_with: BaseException | None = None
        self.holds: dict[str, threading.Event] = {}
        self.line = Line(self.turn, self.commit, self.do_alone, self.fail)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        with self.gate:
            yield

    def commit(self, batch: list[Job]) -> Sequence[Job]:
        if self.breaks_with is not None:
            error, self.breaks_with = self.breaks_with, None
            raise error
        self.batches.append([_name(job) for job in batch])
        return [job for job in batch if _name(job) in self.apart]

    def do_alone(self, job: Job) -> None:
        if (held := self.holds.get(_name(job))) is not None:
            held.wait(10)
        self.alone.append(_name(job))

    def fail(self, job: Job, error: BaseException) -> None:
        job.error = error if isinstance(error, Exception) else StoreUnavailable(str(error))

    def settle(self, job: Job) -> None:
        waiter = ThreadWaiter()
        self.line.join(job, waiter)
        self.line.settle(job, waiter)

    def in_line(self, threads: ThreadPoolExecutor, *jobs: Job) -> list[Future[None]]:
        """Let each job stand in line in its own thread, one after the other."""
        waiting = []
        for job in jobs:
            before = len(self.line)
            waiting.append(threads.submit(self.settle, job))
            _until(lambda before=before: len(self.line) > before)
        return waiting

    def together(self, threads: ThreadPoolExecutor, *jobs: Job) -> None:
        """Let nobody commit until all of them stand in line, and wait for what becomes of them."""
        with self.gate:
            waiting = self.in_line(threads, *jobs)
        for one in waiting:
            one.result(10)


def _name(job: Job) -> str:
    return cast("str", job.name)  # type: ignore[attr-defined]


def _until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(10_000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it did not come to that")


def _job(kind: type[Job], name: str, conversation: Conversation, place: str = "t") -> Any:
    job = kind.__new__(kind)
    job.urgent, job.error, job.conversation = False, None, conversation
    job.place = Place(place, "", None)
    job.name = name  # type: ignore[attr-defined]
    return job


def checkpoint(name: str, conversation: Conversation | None = None, place: str = "t") -> Any:
    return _job(PutJob, name, conversation or Conversation(name), place)


def writes(name: str, conversation: Conversation) -> Any:
    return _job(WritesJob, name, conversation)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


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
    _until(lambda: "t" in scene.line._apart)
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
        _until(lambda: all(job.urgent for job in batch))
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
    _until(lambda: "t" in scene.line._apart)
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
        _until(lambda: scene.line._led)
        scene.line.join(job, waiter)
        with pytest.raises(KeyboardInterrupt):
            scene.line.settle(job, waiter)
        waiting += scene.in_line(threads, checkpoint("behind"))
    for one in waiting:
        one.result(10)

    assert scene.batches == [["leads"], ["interrupted"], ["behind"]]


# Tasks


async def _settle(scene: Scene, job: Job) -> None:
    waiter = TaskWaiter(scene.line, job)
    scene.line.join(job, waiter)
    await scene.line.asettle(job, waiter)


async def _turns(condition: Callable[[], bool]) -> None:
    """Let the loop go round until the condition holds."""
    for _ in range(1_000_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


async def _gathered(scene: Scene, *jobs: Job) -> list[asyncio.Task[None]]:
    tasks = []
    for number, job in enumerate(jobs, 1):
        tasks.append(asyncio.create_task(_settle(scene, job)))
        await _turns(lambda number=number: len(scene.line) >= number)
    return tasks


async def test_tasks_wait_without_a_thread_each(scene: Scene) -> None:
    before = threading.active_count()
    with scene.gate:
        tasks = await _gathered(scene, *(checkpoint(str(number)) for number in range(40)))
        assert threading.active_count() <= before + 1
    await asyncio.gather(*tasks)

    assert scene.batches == [[str(number) for number in range(40)]]


async def test_threads_and_tasks_stand_in_the_same_line(scene: Scene, threads: ThreadPoolExecutor) -> None:
    with scene.gate:
        waiting = scene.in_line(threads, checkpoint("thread"))
        task = asyncio.create_task(_settle(scene, checkpoint("task")))
        await _turns(lambda: len(scene.line) >= 2)
    await task
    waiting[0].result(10)

    assert scene.batches == [["thread", "task"]]


async def test_a_task_is_not_kept_by_a_job_that_waits_for_somebody(scene: Scene) -> None:
    conversation = Conversation("t")
    scene.apart, scene.holds["held"] = {"held"}, threading.Event()
    held = asyncio.create_task(_settle(scene, checkpoint("held", conversation)))
    await _turns(lambda: "t" in scene.line._apart)
    behind = asyncio.create_task(_settle(scene, checkpoint("behind", conversation)))
    await _settle(scene, checkpoint("other"))
    assert not behind.done()
    scene.holds["held"].set()
    await asyncio.gather(held, behind)

    assert scene.batches == [["held"], ["other"], ["behind"]]


async def test_what_a_cancelled_task_put_is_committed_all_the_same(scene: Scene) -> None:
    with scene.gate:
        (task,) = await _gathered(scene, checkpoint("put"))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await _settle(scene, checkpoint("next"))

    assert sorted(name for batch in scene.batches for name in batch) == ["next", "put"]


def test_a_loop_that_is_closed_meanwhile_harms_nobody(scene: Scene) -> None:
    async def give_up() -> None:
        (task,) = await _gathered(scene, checkpoint("put"))
        task.cancel()

    with scene.gate:
        asyncio.run(give_up())
    scene.settle(checkpoint("next"))

    assert sorted(name for batch in scene.batches for name in batch) == ["next", "put"]


async def test_a_task_lets_the_checkpoint_take_along_what_it_wrote(scene: Scene) -> None:
    conversation = Conversation("t")
    with scene.gate:
        tasks = await _gathered(scene, writes("written", conversation), checkpoint("put", conversation))
    await asyncio.gather(*tasks)
    assert scene.batches == [["written", "put"]]

    await _settle(scene, writes("last", conversation))
    assert scene.batches == [["written", "put"], ["last"]]


async def test_what_a_cancelled_task_wrote_waits_for_no_checkpoint(scene: Scene) -> None:
    task = asyncio.create_task(_settle(scene, writes("written", Conversation("t"))))
    await _turns(lambda: len(scene.line) == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await _turns(lambda: bool(scene.batches))

    assert scene.batches == [["written"]]


async def test_tasks_are_served_while_the_interpreter_exits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    scene.apart = {"alone"}
    await _settle(scene, checkpoint("put"))
    await _settle(scene, writes("written", Conversation("t")))
    await _settle(scene, checkpoint("alone"))

    assert scene.batches == [["put"], ["written"], ["alone"]]
    assert scene.alone == ["alone"]


async def test_no_more_jobs_of_tasks_are_done_by_themselves_at_once_than_there_may_be_connections(scene: Scene) -> None:
    names = [str(number) for number in range(lines.MOST_APART + 8)]
    scene.apart, held = set(names), threading.Event()
    scene.holds = dict.fromkeys(names, held)
    with scene.gate:
        tasks = await _gathered(scene, *(checkpoint(name) for name in names))
    await _settle(scene, checkpoint("other"))
    most = sum(thread.name.startswith("interlock-apart") for thread in threading.enumerate())
    held.set()
    await asyncio.gather(*tasks)

    assert most == lines.MOST_APART
    assert sorted(scene.alone) == sorted(names)


# On databases


@contextlib.contextmanager
def _gathering(saver: SQLCheckpointer) -> Iterator[Callable[[int], None]]:
    """Nobody commits until the block ends; the function waits until so many stand in line."""
    line = saver._storage._line
    assert line is not None
    gate, turn = threading.Lock(), line._turn

    @contextlib.contextmanager
    def gated() -> Iterator[None]:
        with gate, turn():
            yield

    line._turn = gated
    try:
        with gate:
            yield lambda number: _until(lambda: len(line) >= number)
    finally:
        line._turn = turn


@pytest.fixture(params=["sqlite", "postgresql"])
def saver(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[SQLCheckpointer]:
    url = f"sqlite:///{tmp_path / 'line.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_worker_database")
    with SQLCheckpointer(url) as made:
        made.setup()
        for thread in made.conversations.list():
            made.delete_thread(thread.thread_id)
        for number in range(8):
            made.delete_thread(f"t{number}")
        yield made


def _values(number: int) -> dict[str, Any]:
    """Checkpoints of every kind: with messages, without, with large values, with several messages."""
    return [
        {"messages": [HumanMessage(f"question {number}", id=f"q{number}")]},
        {"state": number},
        {"large": "x" * 1000 + str(number)},
        {"messages": [HumanMessage("a", id="a"), AIMessage("b", id="b")], "large": "y" * 1000, "larger": "z" * 2000},
    ][number % 4]


def test_jobs_of_many_conversations_and_every_kind_are_one_statement(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    first = [put(saver, config(f"t{number}"), _values(number), source="input") for number in range(8)]
    with _gathering(saver) as until:
        writing = [
            threads.submit(saver.put_writes, at, [("messages", AIMessage(f"written {number}")), ("a", number)], "task")
            for number, at in enumerate(first)
            if number % 3
        ]
        until(len(writing))
        putting = [
            threads.submit(put, saver, at, _values(number + 1)) for number, at in enumerate(first) if number % 2 == 0
        ]
        until(len(writing) + len(putting))
    for one in (*writing, *putting):
        one.result(10)

    with SQLCheckpointer(saver.database) as fresh:  # it remembers nothing
        for number, at in enumerate(first):
            found = fresh.get_tuple(at)
            assert found is not None
            assert found.checkpoint["channel_values"] == _values(number)
            pending = {channel: value for _, channel, value in found.pending_writes or ()}
            assert (pending.get("a") == number and pending["messages"].content == f"written {number}") is bool(
                number % 3
            )
            newest = fresh.get_tuple(config(f"t{number}"))
            assert newest is not None
            assert newest.checkpoint["channel_values"] == _values(number + 1 if number % 2 == 0 else number)
            assert newest.parent_config == (at if number % 2 == 0 else None)


def test_one_that_is_refused_does_not_take_the_others_along(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    first = [put(saver, config(f"t{number}"), _values(number), source="input") for number in range(4)]
    put(saver, first[1], _values(0))
    with SQLCheckpointer(saver.database) as other:
        other.erase_conversation("t0")
        other.delete_thread("t2")
    with _gathering(saver) as until:
        waiting = [threads.submit(put, saver, at, _values(4)) for at in first]
        until(4)
    outcomes = [one.exception(10) for one in waiting]

    assert [type(outcome) for outcome in outcomes] == [type(None), ConflictError, ConflictError, type(None)]
    assert [cast("InterlockError", outcome).code for outcome in outcomes[1:3]] == ["conflict", "thread_deleted"]
    found = saver.get_tuple(config("t0"))
    assert found is not None
    assert found.checkpoint["channel_values"]["messages"][0].content == "question 4"


def test_what_got_a_number_in_a_transaction_that_was_taken_back_is_not_taken_for_what_gets_it_next(
    tmp_path: Any, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_messages = Job.store_messages

    def breaking(job: Job, cursor: Any) -> None:
        store_messages(job, cursor)
        if job.place.thread_id == "broken" and broken.is_set():
            raise ValueError("it cannot be stored")

    monkeypatch.setattr(Job, "store_messages", breaking)
    broken = threading.Event()
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'numbers.db'}") as saver:
        saver.setup()
        broken.set()
        with _gathering(saver) as until:
            first = threads.submit(put, saver, config("broken"), _values(0), "update")
            until(1)
            second = threads.submit(put, saver, config("whole"), _values(0), "update")
            until(2)
        assert isinstance(first.exception(10), ValueError)
        second.result(10)
        broken.clear()
        put(saver, config("broken"), _values(4), "update")

        whole, mended = (saver.get_tuple(config(name)) for name in ("whole", "broken"))
        assert whole is not None
        assert whole.checkpoint["channel_values"] == _values(0)
        assert mended is not None
        assert mended.checkpoint["channel_values"] == _values(4)
        assert [len(list(saver.list(config(name)))) for name in ("whole", "broken")] == [1, 1]


def test_what_stands_in_line_is_not_forgotten_for_want_of_memory(tmp_path: Any, threads: ThreadPoolExecutor) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'small.db'}", memory_bytes=1) as saver:
        first = put(saver, config("t1"), _values(0), source="input")
        with _gathering(saver) as until:
            waiting = threads.submit(put, saver, first, _values(4))
            until(1)
            memory = saver._storage.memory
            conversation = memory.of("t1")
            memory.of("t2")
            memory.trim()
            assert not conversation.dead
        waiting.result(10)
        memory.trim()
        assert conversation.dead


def test_a_thread_that_another_transaction_holds_keeps_only_its_own_steps_waiting(
    postgres_worker_database: str, threads: ThreadPoolExecutor
) -> None:
    with SQLCheckpointer(postgres_worker_database) as saver, SQLCheckpointer(postgres_worker_database) as other:
        saver.setup()
        held, free = (put(saver, config(name), _values(0), source="input") for name in ("held", "free"))
        with other.database.write() as connection:
            connection.execute(sa.text("SELECT 1 FROM workflow_threads WHERE thread_id = 'held' FOR UPDATE"))
            waiting = threads.submit(put, saver, held, _values(4))
            for number in range(1, 4):
                free = put(saver, free, _values(number))
            assert not waiting.done()
        at = waiting.result(10)
        newest = saver.get_tuple(config("held"))
        assert newest is not None
        assert newest.config == at
        saver.delete_thread("held")
        saver.delete_thread("free")


def _said(*texts: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text, id=text) for text in texts]}


def test_a_write_that_is_prepared_anew_refers_to_no_message_that_another_was_to_store(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    """The checkpoint after it brings the same message, from what is remembered since, and is refused."""
    first = put(saver, config("t1"), _said("question"), source="input")
    with _gathering(saver) as until, SQLCheckpointer(saver.database) as other:
        writing = threads.submit(saver.put_writes, first, [("messages", HumanMessage("answer", id="answer"))], "task")
        until(1)
        saver._storage.memory.forget_threads(lambda _: True)
        put(other, first, _said("question", "of another run"))
        putting = threads.submit(put, saver, first, _said("question", "answer"))
        until(2)
    writing.result(10)
    assert isinstance(putting.exception(10), ConflictError)

    with SQLCheckpointer(saver.database) as fresh:
        found = fresh.get_tuple(first)
        assert found is not None
        assert [value.content for _, _, value in found.pending_writes or ()] == ["answer"]


def test_two_runs_of_a_thread_do_not_pass_the_fence_together(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    first = put(saver, config("t1"), {"state": 1}, source="input")
    with _gathering(saver) as until:
        waiting = [threads.submit(put, saver, first, {"state": 2})]
        until(1)
        saver._storage.memory.forget_threads(lambda _: True)
        waiting.append(threads.submit(put, saver, first, {"state": 3}))
        until(2)

    assert [type(one.exception(10)) for one in waiting] == [type(None), ConflictError]


def test_a_message_that_is_on_its_way_is_not_taken_for_one_that_somebody_else_stored(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    first = put(saver, config("t1"), _said("question"), source="input")
    with _gathering(saver) as until, SQLCheckpointer(saver.database) as other:
        writing = threads.submit(saver.put_writes, first, [("messages", HumanMessage("mine", id="mine"))], "task")
        until(1)
        put(other, first, _said("question", "of another run"))
        found = saver.get_tuple(config("t1"))
    writing.result(10)

    assert found is not None
    assert found.checkpoint["channel_values"] == _said("question", "of another run")


def test_a_checkpoint_does_not_overtake_what_its_task_wrote_while_that_is_prepared_anew(
    postgres_worker_database: str, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = _held_when_prepared_anew(monkeypatch, "message_rows")
    with SQLCheckpointer(postgres_worker_database) as saver, SQLCheckpointer(postgres_worker_database) as other:
        saver.setup()
        first = put(saver, config("overtaken"), _said("question"), source="input")
        with _gathering(saver) as until:
            waiting = [threads.submit(saver.put_writes, first, [("messages", _said("a")["messages"])], "task")]
            until(1)
            waiting.append(threads.submit(put, saver, first, _said("question", "a")))
            until(2)
            other.erase_conversation("overtaken")
        assert reached.wait(10)
        put(saver, config("another"), _said("question"), source="input")  # whoever leads finds it in line
        in_line = len(saver._storage._line or ())
        go_on.set()
        for one in waiting:
            one.result(10)

        assert in_line == 1
        saver.delete_thread("overtaken")
        saver.delete_thread("another")


def test_a_thread_that_is_held_and_not_known_here_keeps_only_its_own_steps_waiting(
    postgres_worker_database: str, threads: ThreadPoolExecutor
) -> None:
    with SQLCheckpointer(postgres_worker_database) as saver, SQLCheckpointer(postgres_worker_database) as other:
        saver.setup()
        held, free = (put(other, config(name), _values(1), source="input") for name in ("held", "free"))
        with other.database.write() as connection:
            connection.execute(sa.text("SELECT 1 FROM workflow_threads WHERE thread_id = 'held' FOR UPDATE"))
            with _gathering(saver) as until:
                waiting = [threads.submit(put, saver, at, _values(2)) for at in (held, free)]
                until(2)
            waiting[1].result(10)
            assert not waiting[0].done()
        waiting[0].result(10)
        saver.delete_thread("held")
        saver.delete_thread("free")


def test_who_stands_in_line_while_somebody_else_has_the_file_waits_for_it_once(
    tmp_path: Any, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "line.db"
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_SECONDS", 0.2)
    with SQLCheckpointer(f"sqlite:///{path}") as saver, sqlite3.connect(path, isolation_level=None) as locking:
        first = [put(saver, config(f"t{number}"), _values(1), source="input") for number in range(4)]
        monkeypatch.setattr(saver._storage, "_one_by_one", lambda job: pytest.fail("it waits again"))
        locking.execute("BEGIN IMMEDIATE")
        with _gathering(saver) as until:
            waiting = [threads.submit(put, saver, at, _values(2)) for at in first]
            until(4)
        assert [type(one.exception(10)) for one in waiting] == [StoreUnavailable] * 4
        locking.execute("ROLLBACK")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_a_line_of_its_own(saver: SQLCheckpointer, threads: ThreadPoolExecutor) -> None:
    first = put(saver, config("t1"), _values(0), source="input")
    asyncio.run(saver.aput_writes(first, [("a", 1)], "before"))
    with _gathering(saver) as until:
        waiting = threads.submit(put, saver, config("t2"), _values(0), source="input")
        until(1)
        process = os.fork()
        if process == 0:
            signal.alarm(20)
            try:
                asyncio.run(saver.aput_writes(first, [("a", 2)], "task"))
                saver.put_writes(first, [("a", 3)], "thread")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(process, 0)[1] == 0
    waiting.result(10)

    found = saver.get_tuple(first)
    assert found is not None
    assert sorted(value for _, _, value in found.pending_writes or ()) == [1, 2, 3]


async def test_what_a_cancelled_task_put_is_stored_when_the_checkpointer_is_closed(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    closed = SQLCheckpointer(saver.database)
    first = put(closed, config("t1"), _values(1), source="input")

    def close() -> Any:
        closed.close()
        return saver.get_tuple(first)

    with _gathering(closed) as until:
        task = asyncio.create_task(closed.aput_writes(first, [("a", 1)], "task"))
        await asyncio.sleep(0)
        until(1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        closing = threads.submit(close)
        line = closed._storage._line
        assert line is not None
        _until(lambda: closing.done() or line._leaders._pool is None)
    found = closing.result(10)

    assert [value for _, _, value in found.pending_writes] == [1]


def test_what_is_prepared_after_a_job_that_is_prepared_anew_is_committed_after_it(
    mysql_worker_database: str, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = _held_when_prepared_anew(monkeypatch, "execute")
    with SQLCheckpointer(mysql_worker_database) as saver, SQLCheckpointer(mysql_worker_database) as other:
        saver.setup()
        first = put(saver, config("anew"), _said("question"), source="input")
        other.erase_conversation("anew")
        waiting = [threads.submit(saver.put_writes, first, [("messages", _said("a")["messages"])], "task")]
        assert reached.wait(10)
        waiting.append(threads.submit(put, saver, first, _said("question", "a")))
        line = saver._storage._line_of(saver._storage.memory.of("anew"))
        _until(lambda: len(line) > 0 or waiting[1].done())
        found = other.get_tuple(config("anew"))
        go_on.set()
        for one in waiting:
            one.result(10)

        assert found is not None
        assert found.config == first
        saver.delete_thread("anew")


def _held_when_prepared_anew(monkeypatch: pytest.MonkeyPatch, where: str) -> tuple[threading.Event, threading.Event]:
    """What a task wrote comes to a stop there after it was prepared for the second time: when it does, and until when."""
    reached, go_on = threading.Event(), threading.Event()
    prepared: list[Job] = []
    prepare, held = WritesJob.prepare, getattr(WritesJob, where)

    def counted(job: WritesJob, conversation: Conversation) -> None:
        prepared.append(job)
        prepare(job, conversation)

    def stopped(job: WritesJob, *arguments: Any) -> Any:
        if prepared.count(job) == 2 and not reached.is_set():
            reached.set()
            go_on.wait(10)
        return held(job, *arguments)

    monkeypatch.setattr(WritesJob, "prepare", counted)
    monkeypatch.setattr(WritesJob, where, stopped)
    return reached, go_on


def _chat(saver: SQLCheckpointer) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda _: {"messages": [AIMessage("answer")]})
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


async def test_an_asynchronous_put_needs_no_thread_but_the_one_that_commits(
    saver: SQLCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = _chat(saver)
    ways: list[Any] = []
    arun = saver.database.arun

    async def counting(work: Any) -> Any:
        ways.append(work.func.__name__)
        return await arun(work)

    monkeypatch.setattr(saver.database, "arun", counting)
    await chat.ainvoke({"messages": [("user", "question")]}, config("t1"))
    ways.clear()  # at the beginning the database is asked what there is of the conversation
    await chat.ainvoke({"messages": [("user", "question")]}, config("t1"))

    assert ways == ["get_tuple"]
    found = saver.get_tuple(config("t1"))
    assert found is not None
    assert [message.content for message in found.checkpoint["channel_values"]["messages"]] == ["question", "answer"] * 2


async def test_a_hook_at_a_fault_point_does_not_block_the_loop(saver: SQLCheckpointer) -> None:
    loop_thread = threading.get_ident()
    reached: list[int] = []

    at = put(saver, config("t1"), _values(0), source="input")
    before = fault_points.hang(lambda _: reached.append(threading.get_ident()))
    try:
        await saver.aput_writes(at, [("a", 1)], "task")
    finally:
        fault_points.hang(before)

    assert len(reached) == 2
    assert loop_thread not in reached
