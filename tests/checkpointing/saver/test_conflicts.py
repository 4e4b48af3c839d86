"""Who may write where a thread stands: conflicts, branches, processes, loops, and commits that are shared."""

from __future__ import annotations

import asyncio
import pathlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from interlock.checkpointing import SQLCheckpointer
from interlock.testing import Child
from interlock.tools.errors import ConflictError
from tests.checkpointing.support import chat, config, put, say, take_turns, texts


def test_a_step_that_does_not_follow_the_head_is_a_conflict(saver: SQLCheckpointer) -> None:
    first = put(saver, config(), source="input")
    second = put(saver, first)

    with pytest.raises(ConflictError, match=second["configurable"]["checkpoint_id"]) as conflict:
        put(saver, first)

    assert conflict.value.retryable
    assert len(list(saver.list(config()))) == 2


@pytest.mark.parametrize("source", ["update", "fork"])
def test_an_update_by_hand_and_a_fork_may_branch_off(saver: SQLCheckpointer, source: str) -> None:
    first = put(saver, config(), source="input")
    put(saver, first)

    branch = put(saver, first, source=source)

    assert put(saver, branch)["configurable"]["thread_id"] == "t"


def test_an_input_after_another_run_went_on_is_a_conflict(saver: SQLCheckpointer) -> None:
    first = put(saver, config(), source="input")
    put(saver, first)

    with pytest.raises(ConflictError):
        put(saver, first, source="input")


def test_an_input_of_a_subgraph_may_branch_off_where_its_parent_is_replayed_and_a_step_of_it_may_not(
    saver: SQLCheckpointer,
) -> None:
    inside: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "inner:1"}}
    first = put(saver, inside, source="input")
    put(saver, first)

    assert put(saver, first, source="input")["configurable"]["checkpoint_ns"] == "inner:1"
    with pytest.raises(ConflictError):
        put(saver, first)


def test_of_two_runs_that_begin_a_thread_one_is_a_conflict(saver: SQLCheckpointer) -> None:
    put(saver, config(), source="input")

    with pytest.raises(ConflictError, match="begins the thread"):
        put(saver, config(), source="input")


def test_without_the_fence_everything_may_branch(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url, fenced=False) as saver:
        first = put(saver, config(), source="input")
        put(saver, first)

        assert put(saver, first) is not None


def test_a_run_from_a_checkpoint_that_was_asked_for_may_branch_off(saver: SQLCheckpointer) -> None:
    first = put(saver, config(), source="input")
    put(saver, first)

    saver.get_tuple(first)

    assert put(saver, first) is not None


def test_of_two_checkpointers_that_write_one_thread_only_one_goes_on(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as one, SQLCheckpointer(set_up_database_url) as other:
        start = put(one, config(), {"messages": [HumanMessage("a", id="1")]}, source="input")
        assert other.get_tuple(config()) is not None

        put(one, start, {"messages": [HumanMessage("a", id="1"), AIMessage("b", id="2")]})
        with pytest.raises(ConflictError):
            put(other, start, {"messages": [HumanMessage("a", id="1"), AIMessage("c", id="3")]})

        loaded = other.get_tuple(config())
        assert loaded is not None
        assert loaded.checkpoint["channel_values"]["messages"][1].content == "b"


def test_checkpointers_that_take_turns_store_each_message_once(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as one, SQLCheckpointer(set_up_database_url) as other:
        graphs = [chat(one), chat(other)]
        for number in range(6):
            say(graphs[number % 2], str(number))

        assert len(texts(graphs[0])) == 12
        assert len(list(one.conversations.messages("t", every_version=True))) == 12


def test_processes_on_the_same_threads_lose_no_step_and_conflict_by_type(
    set_up_database_url: str, tmp_path: pathlib.Path
) -> None:
    processes = 8 if set_up_database_url.startswith("postgresql") else 2
    turns, threads = 3, 3
    said = [tmp_path / f"p{number}" for number in range(processes)]
    running = [
        Child(take_turns, set_up_database_url, path.name, threads, turns, str(path), preload=["langgraph.graph"])
        for path in said
    ]
    for child in running:
        child.result(300)

    assert [(path.read_text("utf-8"), child.ended()) for path, child in zip(said, running, strict=True)] == [
        ("", 0)
    ] * processes
    with SQLCheckpointer(set_up_database_url) as saver:
        for thread in range(threads):
            state = saver.get_tuple(config(str(thread)))
            assert state is not None
            messages = state.checkpoint["channel_values"]["messages"]
            # An input that was stored before its run met a conflict stays: asked at least once, and each answered at the end.
            asked = {message.text for message in messages if message.type == "human"}
            assert asked == {f"p{number}.{turn}" for number in range(processes) for turn in range(turns)}


async def test_many_coroutines_in_one_process_lose_nothing(saver: SQLCheckpointer) -> None:
    graph = chat(saver)

    await asyncio.gather(
        *(graph.ainvoke({"messages": [("user", str(number))]}, config(str(number))) for number in range(200))
    )

    for number in range(200):
        state = await graph.aget_state(config(str(number)))
        assert [message.type for message in state.values["messages"]] == ["human", "ai"]


def test_one_checkpointer_serves_several_event_loops(saver: SQLCheckpointer) -> None:
    graph = chat(saver)

    def in_a_loop_of_its_own(number: int) -> int:
        return len(asyncio.run(graph.ainvoke({"messages": [("user", "x")]}, config(str(number))))["messages"])

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(in_a_loop_of_its_own, range(8))) == [2] * 8


def test_writes_that_wait_at_the_same_moment_are_one_commit(tmp_path: pathlib.Path) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'grouped.db'}") as saver:
        saver.setup()
        statements: list[int] = []
        together = saver._storage._in_one_transaction

        def counting(batch: list[Any]) -> Any:
            statements.append(len(batch))
            return together(batch)

        saver._storage._in_one_transaction = counting  # type: ignore[method-assign]
        with ThreadPoolExecutor(8) as threads:
            with saver.database.turn():  # nobody can commit until all of them stand in line
                waiting = [threads.submit(put, saver, config(str(number))) for number in range(8)]
                while len(saver._storage._line) < 8:
                    threading.Event().wait(0.001)
            results = [one.result() for one in waiting]

        assert statements == [8]
        assert all(saver.get_tuple(result) is not None for result in results)


def test_one_bad_job_in_a_group_fails_alone(tmp_path: pathlib.Path) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'grouped.db'}") as saver:
        first = put(saver, config("stale"), source="input")
        put(saver, first)
        with ThreadPoolExecutor(3) as threads:
            with saver.database.turn():
                waiting = [threads.submit(put, saver, at) for at in (config("before"), first, config("after"))]
                while len(saver._storage._line) < 3:
                    threading.Event().wait(0.001)
            outcomes = [one.exception() for one in waiting]

        assert [type(outcome) for outcome in outcomes] == [type(None), ConflictError, type(None)]
        assert saver.get_tuple(config("before")) is not None
        assert saver.get_tuple(config("after")) is not None
