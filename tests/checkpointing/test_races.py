"""Whoever deletes, erases or prunes while others write and read: every thread can be read at any moment, and nothing comes back."""

from __future__ import annotations

import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, MessagesState, StateGraph

from interlock.checkpointing import SQLCheckpointer
from interlock.tools.errors import ConflictError, StoreUnavailable

SECRET = "only-for-your-eyes-3391"
THREADS = ("0", "1")


def _config(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


def _chat(saver: SQLCheckpointer) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda _: {"messages": [AIMessage(SECRET)]})
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


def test_threads_stay_readable_while_others_delete_erase_and_prune_them(set_up_database_url: str) -> None:
    """Two checkpointers stand for two processes: neither knows what the other remembers."""
    with SQLCheckpointer(set_up_database_url) as one, SQLCheckpointer(set_up_database_url) as other:
        one.setup()
        graphs = [_chat(one), _chat(other)]
        writing = threading.Semaphore(0)
        unexpected: list[BaseException] = []

        def repeat(work: Callable[[str], Any], times: int) -> Callable[[], None]:
            def run() -> None:
                for number in range(times):
                    try:
                        work(THREADS[number % len(THREADS)])
                    except (ConflictError, StoreUnavailable) as error:
                        if isinstance(error, StoreUnavailable) and not error.retryable:
                            unexpected.append(error)
                    except Exception as error:
                        unexpected.append(error)
                writing.release()

            return run

        def read(thread_id: str) -> None:
            graphs[1].get_state(_config(thread_id))
            list(other.list(_config(thread_id), limit=10))
            list(one.conversations.export(thread_id))

        work = [
            repeat(lambda thread: graphs[0].invoke({"messages": [("user", SECRET)]}, _config(thread)), 20),
            repeat(lambda thread: graphs[1].invoke({"messages": [("user", SECRET)]}, _config(thread)), 20),
            repeat(other.erase_conversation, 20),
            repeat(lambda thread: one.prune([thread]), 20),
            repeat(other.delete_thread, 15),
            repeat(read, 30),
        ]
        running = [threading.Thread(target=one_of_them) for one_of_them in work]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

        assert unexpected == []
        for thread_id in THREADS:
            one.erase_conversation(thread_id)
            for graph in graphs:
                assert SECRET not in str(graph.get_state(_config(thread_id)).values)
            assert SECRET not in str(list(other.conversations.messages(thread_id, every_version=True)))


def test_a_checkpoint_that_is_put_while_its_thread_is_deleted_does_not_outlive_it(server_database_url: str) -> None:
    """The put waits for the deletion, in the middle of which it came, and is refused; what is left can be read."""
    with SQLCheckpointer(server_database_url) as saver, SQLCheckpointer(server_database_url) as deleter:
        saver.setup()
        at = _put(saver, _config("t"), "first")

        assert _while_deleted(deleter, saver, lambda: _put(saver, at, "second")) == ["thread_deleted"]

        assert saver.get_tuple(_config("t")) is None


@pytest.mark.parametrize("apart", [False, True])
def test_pending_writes_that_come_while_their_thread_is_deleted_do_not_outlive_it(
    server_database_url: str, tmp_path: pathlib.Path, apart: bool
) -> None:
    """They refer to no message, so nothing but the row of the thread tells them of the deletion."""
    conversation = f"sqlite:///{tmp_path / 'conversation.db'}" if apart else None
    with (
        SQLCheckpointer(server_database_url, conversation=conversation) as saver,
        SQLCheckpointer(server_database_url, conversation=conversation) as deleter,
    ):
        saver.setup()
        at = _put(saver, _config("t"), "first")

        late = _while_deleted(deleter, saver, lambda: saver.put_writes(at, [("channel", "value")], "task"))

        assert late == ["thread_deleted"]
        with saver.database.read() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM workflow_writes")) == 0


def test_a_namespace_that_begins_while_its_thread_is_deleted_does_not_outlive_its_messages(
    server_database_url: str,
) -> None:
    with SQLCheckpointer(server_database_url) as saver, SQLCheckpointer(server_database_url) as deleter:
        saver.setup()
        saver.put_writes(
            {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": str(uuid6())}},
            [("channel", "value")],
            "task",
        )
        begun: list[Any] = []

        @sa.event.listens_for(deleter.database.engine, "before_cursor_execute")
        def begin(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("DELETE FROM workflow_checkpoints") and not begun:
                begun.append(_put(saver, {"configurable": {"thread_id": "t", "checkpoint_ns": "inner"}}, "late"))

        deleter.delete_thread("t")

        assert begun
        assert list(deleter.list({"configurable": {"thread_id": "t"}})) == []


def test_a_deletion_that_stood_in_the_way_of_another_transaction_is_tried_again(server_database_url: str) -> None:
    with SQLCheckpointer(server_database_url) as saver:
        saver.setup()
        _put(saver, _config("t"), "first")
        begun: list[str] = []

        @sa.event.listens_for(saver.database.engine, "before_cursor_execute")
        def fail(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("DELETE FROM workflow_checkpoints"):
                begun.append(statement)
                if len(begun) == 1:
                    raise sa.exc.OperationalError(statement, {}, Exception("deadlock detected"))

        saver.delete_thread("t")

        assert len(begun) > 1
        assert saver.get_tuple(_config("t")) is None


def _while_deleted(deleter: SQLCheckpointer, saver: SQLCheckpointer, write: Callable[[], object]) -> list[str]:
    """Let a write come in the middle of the deletion of the thread: the codes of what it was refused with."""
    deleting = threading.Event()
    outcome: list[str] = []

    def late() -> None:
        try:
            write()
        except ConflictError as error:
            outcome.append(error.code)

    writer = threading.Thread(target=late)

    @sa.event.listens_for(deleter.database.engine, "before_cursor_execute")
    def begin(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE FROM workflow_checkpoints") and not deleting.is_set():
            deleting.set()
            writer.start()
            _until_somebody_waits(saver)

    deleter.delete_thread("t")
    writer.join()
    return outcome


def _put(saver: SQLCheckpointer, at: Any, text: str) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["id"] = str(uuid6())
    checkpoint["channel_values"] = {"messages": [AIMessage(text, id=text)]}
    checkpoint["channel_versions"] = {"messages": saver.get_next_version(None, None)}
    return saver.put(at, checkpoint, {"source": "update", "step": 1, "parents": {}}, checkpoint["channel_versions"])


def _until_somebody_waits(saver: SQLCheckpointer) -> None:
    """Until the server says that a transaction waits for a lock of another."""
    asked = {
        "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
        "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
    }[saver.database.dialect]
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with saver.database.read() as connection:
            if connection.exec_driver_sql(asked).scalar_one():
                return
        threading.Event().wait(0.02)
    pytest.fail("nobody waits: the write did not come to the lock of the thread")
