"""The line on databases: many conversations in one statement, and each refused, held and prepared anew by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import sqlalchemy as sa
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT
from langgraph.graph import START, MessagesState, StateGraph

from interlock.checkpointing import SQLCheckpointer, fault_points
from interlock.checkpointing.connecting import engines
from interlock.checkpointing.saver import line as lines
from interlock.checkpointing.saver.jobs import Job, WritesJob
from interlock.checkpointing.saver.memory import Conversation
from interlock.tools.errors import ConflictError, InterlockError, StoreUnavailable
from tests.checkpointing.saver.line.support import gathering, wait_until
from tests.checkpointing.support import config, put


def values(number: int) -> dict[str, Any]:
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
    first = [put(saver, config(f"t{number}"), values(number), source="input") for number in range(8)]
    with gathering(saver) as until:
        writing = [
            threads.submit(saver.put_writes, at, [("messages", AIMessage(f"written {number}")), ("a", number)], "task")
            for number, at in enumerate(first)
            if number % 3
        ]
        until(len(writing))
        putting = [
            threads.submit(put, saver, at, values(number + 1)) for number, at in enumerate(first) if number % 2 == 0
        ]
        until(len(writing) + len(putting))
    for one in (*writing, *putting):
        one.result(10)

    with SQLCheckpointer(saver.database) as fresh:  # it remembers nothing
        for number, at in enumerate(first):
            found = fresh.get_tuple(at)
            assert found is not None
            assert found.checkpoint["channel_values"] == values(number)
            pending = {channel: value for _, channel, value in found.pending_writes or ()}
            assert (pending.get("a") == number and pending["messages"].content == f"written {number}") is bool(
                number % 3
            )
            newest = fresh.get_tuple(config(f"t{number}"))
            assert newest is not None
            assert newest.checkpoint["channel_values"] == values(number + 1 if number % 2 == 0 else number)
            assert newest.parent_config == (at if number % 2 == 0 else None)


def test_one_that_is_refused_does_not_take_the_others_along(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    first = [put(saver, config(f"t{number}"), values(number), source="input") for number in range(4)]
    put(saver, first[1], values(0))
    with SQLCheckpointer(saver.database) as other:
        other.erase_conversation("t0")
        other.delete_thread("t2")
    with gathering(saver) as until:
        waiting = [threads.submit(put, saver, at, values(4)) for at in first]
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
        with gathering(saver) as until:
            first = threads.submit(put, saver, config("broken"), values(0), "update")
            until(1)
            second = threads.submit(put, saver, config("whole"), values(0), "update")
            until(2)
        assert isinstance(first.exception(10), ValueError)
        second.result(10)
        broken.clear()
        put(saver, config("broken"), values(4), "update")

        whole, mended = (saver.get_tuple(config(name)) for name in ("whole", "broken"))
        assert whole is not None
        assert whole.checkpoint["channel_values"] == values(0)
        assert mended is not None
        assert mended.checkpoint["channel_values"] == values(4)
        assert [len(list(saver.list(config(name)))) for name in ("whole", "broken")] == [1, 1]


def test_what_stands_in_line_is_not_forgotten_for_want_of_memory(tmp_path: Any, threads: ThreadPoolExecutor) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'small.db'}", memory_bytes=1) as saver:
        first = put(saver, config("t1"), values(0), source="input")
        with gathering(saver) as until:
            waiting = threads.submit(put, saver, first, values(4))
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
        held, free = (put(saver, config(name), values(0), source="input") for name in ("held", "free"))
        with other.database.write() as connection:
            connection.execute(sa.text("SELECT 1 FROM workflow_threads WHERE thread_id = 'held' FOR UPDATE"))
            waiting = threads.submit(put, saver, held, values(4))
            for number in range(1, 4):
                free = put(saver, free, values(number))
            assert not waiting.done()
        at = waiting.result(10)
        newest = saver.get_tuple(config("held"))
        assert newest is not None
        assert newest.config == at
        saver.delete_thread("held")
        saver.delete_thread("free")


def said(*texts: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text, id=text) for text in texts]}


def test_a_write_that_is_prepared_anew_refers_to_no_message_that_another_was_to_store(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    """The checkpoint after it brings the same message, from what is remembered since, and is refused."""
    first = put(saver, config("t1"), said("question"), source="input")
    with gathering(saver) as until, SQLCheckpointer(saver.database) as other:
        writing = threads.submit(saver.put_writes, first, [("messages", HumanMessage("answer", id="answer"))], "task")
        until(1)
        saver._storage.memory.forget_threads(lambda _: True)
        put(other, first, said("question", "of another run"))
        putting = threads.submit(put, saver, first, said("question", "answer"))
        until(2)
    writing.result(10)
    assert isinstance(putting.exception(10), ConflictError)

    with SQLCheckpointer(saver.database) as fresh:
        found = fresh.get_tuple(first)
        assert found is not None
        assert [value.content for _, _, value in found.pending_writes or ()] == ["answer"]


def test_of_two_that_write_one_message_the_second_does_not_refer_to_where_the_first_wanted_to_store_it(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    """Another process took that position meanwhile: the first is prepared anew, and so is the second, which stores nothing itself."""
    first = put(saver, config("t1"), said("question"), source="input")
    answer = [("messages", HumanMessage("answer", id="answer"))]
    with gathering(saver) as until, SQLCheckpointer(saver.database) as other:
        waiting = [threads.submit(saver.put_writes, first, answer, "task 1")]
        until(1)
        waiting.append(threads.submit(saver.put_writes, first, answer, "task 2"))
        until(2)
        put(other, first, said("question", "of another run"))
    for one in waiting:
        one.result(10)

    with SQLCheckpointer(saver.database) as fresh:
        found = fresh.get_tuple(first)
        assert found is not None
        assert [value.content for _, _, value in found.pending_writes or ()] == ["answer", "answer"]


def test_two_runs_of_a_thread_do_not_pass_the_fence_together(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    first = put(saver, config("t1"), {"state": 1}, source="input")
    with gathering(saver) as until:
        waiting = [threads.submit(put, saver, first, {"state": 2})]
        until(1)
        saver._storage.memory.forget_threads(lambda _: True)
        waiting.append(threads.submit(put, saver, first, {"state": 3}))
        until(2)

    assert [type(one.exception(10)) for one in waiting] == [type(None), ConflictError]


def test_a_message_that_is_on_its_way_is_not_taken_for_one_that_somebody_else_stored(
    saver: SQLCheckpointer, threads: ThreadPoolExecutor
) -> None:
    first = put(saver, config("t1"), said("question"), source="input")
    with gathering(saver) as until, SQLCheckpointer(saver.database) as other:
        writing = threads.submit(saver.put_writes, first, [("messages", HumanMessage("mine", id="mine"))], "task")
        until(1)
        put(other, first, said("question", "of another run"))
        found = saver.get_tuple(config("t1"))
    writing.result(10)

    assert found is not None
    assert found.checkpoint["channel_values"] == said("question", "of another run")


def test_a_checkpoint_does_not_overtake_what_its_task_wrote_while_that_is_prepared_anew(
    postgres_worker_database: str, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, resume = _held_when_prepared_anew(monkeypatch, "message_rows")
    with SQLCheckpointer(postgres_worker_database) as saver, SQLCheckpointer(postgres_worker_database) as other:
        saver.setup()
        first = put(saver, config("overtaken"), said("question"), source="input")
        with gathering(saver) as until:
            waiting = [threads.submit(saver.put_writes, first, [("messages", said("a")["messages"])], "task")]
            until(1)
            waiting.append(threads.submit(put, saver, first, said("question", "a")))
            until(2)
            other.erase_conversation("overtaken")
        assert reached.wait(10)
        put(saver, config("another"), said("question"), source="input")  # whoever leads finds it in line
        in_line = len(saver._storage._line or ())
        resume.set()
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
        held, free = (put(other, config(name), values(1), source="input") for name in ("held", "free"))
        with other.database.write() as connection:
            connection.execute(sa.text("SELECT 1 FROM workflow_threads WHERE thread_id = 'held' FOR UPDATE"))
            with gathering(saver) as until:
                waiting = [threads.submit(put, saver, at, values(2)) for at in (held, free)]
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
    with (
        SQLCheckpointer(f"sqlite:///{path}") as saver,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as locking,
    ):
        first = [put(saver, config(f"t{number}"), values(1), source="input") for number in range(4)]
        monkeypatch.setattr(saver._storage, "_one_by_one", lambda job: pytest.fail("it waits again"))
        locking.execute("BEGIN IMMEDIATE")
        with gathering(saver) as until:
            waiting = [threads.submit(put, saver, at, values(2)) for at in first]
            until(4)
        assert [type(one.exception(10)) for one in waiting] == [StoreUnavailable] * 4
        locking.execute("ROLLBACK")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_a_line_of_its_own(saver: SQLCheckpointer, threads: ThreadPoolExecutor) -> None:
    first = put(saver, config("t1"), values(0), source="input")
    asyncio.run(saver.aput_writes(first, [("a", 1)], "before"))
    with gathering(saver) as until:
        waiting = threads.submit(put, saver, config("t2"), values(0), source="input")
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
    first = put(closed, config("t1"), values(1), source="input")

    def close() -> Any:
        closed.close()
        return saver.get_tuple(first)

    with gathering(closed) as until:
        task = asyncio.create_task(closed.aput_writes(first, [("a", 1)], "task"))
        await asyncio.sleep(0)
        until(1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        closing = threads.submit(close)
        line = closed._storage._line
        assert line is not None
        wait_until(lambda: closing.done() or line._leaders._pool is None)
    found = closing.result(10)

    assert [value for _, _, value in found.pending_writes] == [1]


async def test_whoever_reads_a_thread_finds_what_a_task_put_that_nobody_waits_for(
    saver: SQLCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(saver, config("t1"), values(1), source="input")
    for limit in ("PATIENCE_SECONDS", "LONGEST_PATIENCE_SECONDS"):
        monkeypatch.setattr(lines, limit, 60)  # no checkpoint comes that would take it along
    waiting = saver._storage._line
    assert waiting is not None

    task = asyncio.create_task(saver.aput_writes(first, [("a", 1)], "task"))
    await asyncio.sleep(0)
    assert len(waiting) == 1
    found = await saver.aget_tuple(first)

    assert found is not None
    assert [value for _, _, value in found.pending_writes or ()] == [1]
    await asyncio.wait_for(task, 10)


@pytest.mark.parametrize("channel", [ERROR, INTERRUPT])
async def test_what_ends_a_run_waits_for_no_checkpoint(
    saver: SQLCheckpointer, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(saver, config("t1"), values(1), source="input")
    for limit in ("PATIENCE_SECONDS", "LONGEST_PATIENCE_SECONDS"):
        monkeypatch.setattr(lines, limit, 60)

    await asyncio.wait_for(saver.aput_writes(first, [(channel, "stop")], "task"), 30)

    found = saver.get_tuple(first)
    assert found is not None
    assert [(name, value) for _, name, value in found.pending_writes or ()] == [(channel, "stop")]


def test_what_is_prepared_after_a_job_that_is_prepared_anew_is_committed_after_it(
    mysql_worker_database: str, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, resume = _held_when_prepared_anew(monkeypatch, "execute")
    with SQLCheckpointer(mysql_worker_database) as saver, SQLCheckpointer(mysql_worker_database) as other:
        saver.setup()
        first = put(saver, config("anew"), said("question"), source="input")
        other.erase_conversation("anew")
        waiting = [threads.submit(saver.put_writes, first, [("messages", said("a")["messages"])], "task")]
        assert reached.wait(10)
        waiting.append(threads.submit(put, saver, first, said("question", "a")))
        line = saver._storage._line_of(saver._storage.memory.of("anew"))
        wait_until(lambda: len(line) > 0 or waiting[1].done())
        found = other.get_tuple(config("anew"))
        resume.set()
        for one in waiting:
            one.result(10)

        assert found is not None
        assert found.config == first
        saver.delete_thread("anew")


def _held_when_prepared_anew(monkeypatch: pytest.MonkeyPatch, where: str) -> tuple[threading.Event, threading.Event]:
    """What a task wrote comes to a stop there after it was prepared for the second time: when it does, and until when."""
    reached, resume = threading.Event(), threading.Event()
    prepared: list[Job] = []
    prepare, held = WritesJob.prepare, getattr(WritesJob, where)

    def counted(job: WritesJob, conversation: Conversation) -> None:
        prepared.append(job)
        prepare(job, conversation)

    def stopped(job: WritesJob, *arguments: Any) -> Any:
        if prepared.count(job) == 2 and not reached.is_set():
            reached.set()
            resume.wait(10)
        return held(job, *arguments)

    monkeypatch.setattr(WritesJob, "prepare", counted)
    monkeypatch.setattr(WritesJob, where, stopped)
    return reached, resume


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

    at = put(saver, config("t1"), values(0), source="input")
    before = fault_points.hang(lambda _: reached.append(threading.get_ident()))
    try:
        await saver.aput_writes(at, [("a", 1)], "task")
    finally:
        fault_points.hang(before)

    assert len(reached) == 2
    assert loop_thread not in reached
