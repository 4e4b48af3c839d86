"""What a checkpointer promises beyond LangGraph's interface: conflicts, deletion, erasure, bad input, size, import."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Annotated, Any

import psycopg
import pytest
import sqlalchemy as sa
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from typing_extensions import TypedDict

from interlock.checkpointing import Database, SQLCheckpointer
from interlock.checkpointing.importing import import_checkpoints
from interlock.checkpointing.saver import jobs
from interlock.checkpointing.saver.tombstones import ERASED_TEXT, is_erased
from interlock.checkpointing.serializing import TypedSerializer
from interlock.tools.errors import ConflictError, InputError, MissingThreadId, StoreError

SECRET = "only-for-your-eyes-7712"


@pytest.fixture
def saver(set_up_database_url: str) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(set_up_database_url) as checkpointer:
        yield checkpointer


def config(thread_id: Any = "t", checkpoint_id: str | None = None, **more: Any) -> Any:
    place = {"thread_id": thread_id, "checkpoint_ns": "", **more}
    return {"configurable": place if checkpoint_id is None else {**place, "checkpoint_id": checkpoint_id}}


def put(saver: Any, at: Any, values: dict[str, Any] | None = None, source: str = "loop", **metadata: Any) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["id"] = str(uuid6())
    checkpoint["channel_values"] = values or {}
    checkpoint["channel_versions"] = {name: saver.get_next_version(None, None) for name in values or {}}
    return saver.put(
        at,
        checkpoint,
        {"source": source, "step": -1 if source == "input" else 1, "parents": {}, **metadata},
        checkpoint["channel_versions"],
    )


def chat(saver: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [AIMessage(f"{SECRET} answer {len(state['messages'])}")]})
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


def say(graph: Any, text: str = "question", thread_id: str = "t") -> Any:
    return graph.invoke({"messages": [("user", f"{SECRET} {text}")]}, config(thread_id))


def texts(graph: Any, thread_id: str = "t") -> list[str]:
    return [message.text for message in graph.get_state(config(thread_id)).values["messages"]]


# Conflicts


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


WRITER = """
import sys
from interlock.checkpointing.serializing import TypedSerializer
from interlock.checkpointing import SQLCheckpointer
from interlock.tools.errors import ConflictError
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
url, name, threads, turns = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
graph = StateGraph(MessagesState)
graph.add_node("answer", lambda state: {"messages": [AIMessage("answer of " + name)]})
graph.add_edge(START, "answer")
with SQLCheckpointer(url) as saver:
    compiled = graph.compile(checkpointer=saver)
    for turn in range(turns):
        for thread in range(threads):
            while True:
                try:
                    compiled.invoke({"messages": [("user", f"{name}.{turn}")]}, {"configurable": {"thread_id": str(thread)}})
                except ConflictError:
                    print("conflict")
                    continue
                break
"""


def test_processes_on_the_same_threads_lose_no_step_and_conflict_by_type(set_up_database_url: str) -> None:
    processes = 8 if set_up_database_url.startswith("postgresql") else 2
    turns, threads = 3, 3
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, set_up_database_url, f"p{number}", str(threads), str(turns)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    outcomes = [(process.communicate(timeout=300), process.returncode) for process in running]

    assert [(errors, code) for (_, errors), code in outcomes] == [("", 0)] * processes
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


# Deleting and erasing


def test_late_writes_do_not_bring_back_a_deleted_thread(saver: SQLCheckpointer) -> None:
    at = put(saver, config(), {"messages": [HumanMessage(SECRET, id="1")]}, source="input")
    saver.delete_thread("t")

    with pytest.raises(ConflictError, match="deleted"):
        saver.put_writes(at, [("messages", AIMessage(SECRET))], "task")
    with pytest.raises(ConflictError, match="deleted"):
        put(saver, at, {"messages": [HumanMessage(SECRET, id="1")]})

    assert list(saver.list(config())) == []
    assert saver.conversations.list() == []
    assert put(saver, config(), {"a": 1}, source="input") is not None  # a new run may use the name again


def test_erasing_leaves_the_workflow_readable_and_going_on(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    say(graph)
    say(graph)

    assert saver.erase_conversation("t") == 4

    messages = graph.get_state(config()).values["messages"]
    assert [message.text for message in messages] == [ERASED_TEXT] * 4
    assert all(map(is_erased, messages))
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, HumanMessage, AIMessage]
    say(graph, "afterwards")
    assert texts(graph) == [ERASED_TEXT] * 4 + [f"{SECRET} afterwards", f"{SECRET} answer 5"]


def test_a_run_that_goes_on_meanwhile_cannot_bring_erased_messages_back(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver, SQLCheckpointer(set_up_database_url) as eraser:
        graph = StateGraph(MessagesState)

        def answer(state: MessagesState) -> dict[str, Any]:
            if len(state["messages"]) == 3:
                eraser.erase_conversation("t")
            return {"messages": [AIMessage("new")]}

        graph.add_node("answer", answer)
        graph.add_edge(START, "answer")
        compiled = graph.compile(checkpointer=saver)
        say(compiled, "one")

        # Only what is committed can be erased: without this the question may be stored after the erasure, as a new message.
        compiled.invoke({"messages": [("user", f"{SECRET} two")]}, config(), durability="sync")

        assert SECRET not in "".join(texts(compiled))
        assert [message.message.text for message in saver.conversations.messages("t")] == [ERASED_TEXT] * 3 + ["new"]


def test_erased_messages_without_ids_do_not_come_back_with_a_channel_that_did_not_change(
    saver: SQLCheckpointer,
) -> None:
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    metadata: Any = {"source": "update", "step": 0, "parents": {}}
    first = empty_checkpoint()
    first["channel_values"] = {"spoken": [HumanMessage("my card is 4111")], "count": 1}
    first["channel_versions"] = {"spoken": "1", "count": "1"}
    config = saver.put(config, first, metadata, first["channel_versions"])
    saver.erase_conversation("t")
    second = {**first, "id": str(uuid6()), "channel_values": {**first["channel_values"], "count": 2}}
    second["channel_versions"] = {"spoken": "1", "count": "2"}
    config = saver.put(config, second, metadata, {"count": "2"})  # a run that still has the message in its hands
    found = saver.get_tuple(config)
    assert found is not None
    assert [message.content for message in found.checkpoint["channel_values"]["spoken"]] == [ERASED_TEXT]
    assert [item["message"]["data"]["content"] for item in saver.conversations.export("t")] == [ERASED_TEXT]


def test_erased_text_is_nowhere_in_the_file(tmp_path: pathlib.Path) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'erased.db'}") as saver:
        say(chat(saver))
        saver.erase_conversation("t")

    assert [path.name for path in tmp_path.iterdir() if SECRET.encode() in path.read_bytes()] == []


def test_another_process_that_remembers_the_messages_sees_the_erasure(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as one, SQLCheckpointer(set_up_database_url) as other:
        graphs = chat(one), chat(other)
        say(graphs[0])
        assert SECRET in texts(graphs[1])[0]

        one.erase_conversation("t")

        assert texts(graphs[1]) == [ERASED_TEXT] * 2


def test_erasing_without_the_key_takes_the_text_away_too(set_up_database_url: str) -> None:
    class Cipher:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "rev", plaintext[::-1]

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            return ciphertext[::-1]

    with SQLCheckpointer(set_up_database_url, serde=EncryptedSerializer(Cipher())) as saver:
        say(chat(saver))
    with SQLCheckpointer(set_up_database_url) as without_key:
        assert without_key.erase_conversation("t") == 2
        assert [one.message.text for one in without_key.conversations.messages("t")] == [ERASED_TEXT] * 2


def test_keeping_only_the_last_messages(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    for number in range(3):
        say(graph, str(number))
    say(graph, "other", "other")

    assert saver.conversations.retain(last=2) == 4

    assert texts(graph)[:4] == [ERASED_TEXT] * 4
    assert ERASED_TEXT not in texts(graph)[4:] + texts(graph, "other")
    assert saver.conversations.retain(last=2) == 0


def test_keeping_only_recent_messages(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    say(graph)
    with saver.database.write() as connection:
        connection.execute(sa.text("UPDATE conversation_messages SET created_at = created_at - 7200000000"))
    say(graph)

    assert saver.conversations.retain(newer_than=timedelta(hours=1)) == 2
    assert [text == ERASED_TEXT for text in texts(graph)] == [True, True, False, False]


def test_conversations_are_listed_in_pages_and_exported_in_order(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    for number in range(5):
        say(graph, "hello", str(number))

    first = saver.conversations.list(limit=3)
    rest = saver.conversations.list(limit=3, after=first[-1].cursor)
    exported = list(saver.conversations.export("3"))

    assert [one.thread_id for one in first + rest] == ["0", "1", "2", "3", "4"]
    assert {(one.messages, one.erased) for one in first + rest} == {(2, 0)}
    assert [(item["role"], item["message"]["data"]["content"]) for item in exported] == [
        ("human", f"{SECRET} hello"),
        ("ai", f"{SECRET} answer 1"),
    ]


def test_an_edited_message_is_shown_as_it_is_now(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    say(graph)
    message = graph.get_state(config()).values["messages"][0]

    graph.update_state(config(), {"messages": [HumanMessage("edited", id=message.id)]})

    assert texts(graph) == ["edited", f"{SECRET} answer 1"]
    shown = [one.message.text for one in saver.conversations.messages("t")]
    assert sorted(shown) == sorted(texts(graph))
    assert len(list(saver.conversations.messages("t", every_version=True))) == 3


def test_a_message_that_is_changed_in_place_is_noticed(saver: SQLCheckpointer) -> None:
    message = HumanMessage("before", id="1")
    first = put(saver, config(), {"messages": [message]}, source="input")
    message.additional_kwargs["changed"] = True
    second = put(saver, first, {"messages": [message]})

    loaded = [saver.get_tuple(at).checkpoint["channel_values"]["messages"][0] for at in (first, second)]

    assert [one.additional_kwargs for one in loaded] == [{}, {"changed": True}]


def test_true_and_one_are_told_apart_in_a_message(saver: SQLCheckpointer) -> None:
    message = HumanMessage("text", id="1", additional_kwargs={"flag": 1})
    first = put(saver, config(), {"messages": [message]}, source="input")
    message.additional_kwargs["flag"] = True
    second = put(saver, first, {"messages": [message]})

    assert saver.get_tuple(second).checkpoint["channel_values"]["messages"][0].additional_kwargs["flag"] is True


def test_loaded_messages_belong_to_whoever_loaded_them(saver: SQLCheckpointer) -> None:
    put(saver, config(), {"messages": [AIMessage("text", id="1")]}, source="input")
    mine = saver.get_tuple(config()).checkpoint["channel_values"]["messages"][0]

    mine.content = "scribbled"
    mine.tool_calls.append({"name": "x", "args": {}, "id": "1"})

    theirs = saver.get_tuple(config()).checkpoint["channel_values"]["messages"][0]
    assert (theirs.content, theirs.tool_calls) == ("text", [])


# Pruning


class DeltaState(TypedDict):
    items: Annotated[list[Any], DeltaChannel(lambda state, writes: [*state, *(w for write in writes for w in write)])]


@pytest.mark.parametrize("turns", [1, 3, 7])
def test_pruning_keeps_what_delta_channels_are_rebuilt_from(saver: SQLCheckpointer, turns: int) -> None:
    graph = StateGraph(DeltaState)
    graph.add_node("add", lambda state: {"items": [f"after {len(state['items'])}"]})
    graph.add_edge(START, "add")
    compiled = graph.compile(checkpointer=saver)
    for number in range(turns):
        compiled.invoke({"items": [number]}, config())
    before = compiled.get_state(config()).values

    saver.prune(["t"])

    assert compiled.get_state(config()).values == before
    assert len(before["items"]) == 2 * turns


@pytest.mark.parametrize("gone", [[0], [1], [0, 1], [1, 0], [0, 2]])
def test_deleting_runs_changes_nothing_that_is_built_on_them(gone: list[int], saver: SQLCheckpointer) -> None:
    graph = StateGraph(DeltaState)
    graph.add_node("add", lambda state: {"items": [f"after {len(state['items'])}"]})
    graph.add_edge(START, "add")
    compiled = graph.compile(checkpointer=saver)
    states = []
    for number in range(4):
        compiled.invoke({"items": [number]}, {**config(), "metadata": {"run_id": f"run-{number}"}})
        states.append(compiled.get_state(config()))

    for number in gone:
        saver.delete_for_runs([f"run-{number}"])

    for number, state in enumerate(states):
        if number not in gone:
            assert compiled.get_state(state.config).values == state.values
    compiled.invoke({"items": ["later"]}, config())
    assert compiled.get_state(config()).values["items"][:-2] == states[-1].values["items"]


def test_deleting_runs_drops_what_nothing_newer_is_built_on(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    for number in range(3):
        graph.invoke({"messages": [("user", "q")]}, {**config(), "metadata": {"run_id": f"run-{number}"}})
    before = graph.get_state(config())

    saver.delete_for_runs(["run-0", "run-1"])

    assert {one.metadata["run_id"] for one in saver.list(config())} == {"run-2"}
    assert graph.get_state(config()).values == before.values


def test_pruning_drops_large_values_that_nobody_needs_any_more(saver: SQLCheckpointer) -> None:
    at = config()
    for number in range(4):
        at = put(saver, at, {"large": [number] * 1000}, source="input")

    saver.prune(["t"])

    with saver.database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM workflow_channel_values")) == 1
    assert saver.get_tuple(config()).checkpoint["channel_values"]["large"] == [3] * 1000


# Cost


def test_what_a_turn_writes_does_not_grow_with_the_history(tmp_path: pathlib.Path) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'growth.db'}", synchronous="OFF") as saver:
        graph = chat(saver)
        written: list[int] = []
        for number in range(120):
            say(graph, str(number).zfill(200))
            with saver.database.read() as connection:
                lengths = (
                    "SELECT (SELECT sum(length(body) + length(metadata)) FROM workflow_checkpoints)"
                    " + (SELECT sum(length(body)) FROM workflow_writes) + (SELECT sum(length(body)) FROM conversation_messages)"
                    " + (SELECT coalesce(sum(length(body)), 0) FROM workflow_channel_values)"
                )
                written.append(connection.exec_driver_sql(lengths).scalar_one())

    early, late = written[29] - written[9], written[119] - written[99]
    assert late / early < 1.1


# Input


@pytest.mark.parametrize("thread_id", ["with\0nul", "x" * 10_000, "half\ud800", "space "])
@pytest.mark.parametrize("use", [lambda s, at: s.get_tuple(at), put, lambda s, at: list(s.list(at))])
def test_a_thread_id_that_no_database_takes_is_refused(
    saver: SQLCheckpointer, thread_id: str, use: Callable[..., Any]
) -> None:
    with pytest.raises(InputError, match="thread_id"):
        use(saver, config(thread_id))


def test_a_config_without_a_thread_is_refused(saver: SQLCheckpointer) -> None:
    with pytest.raises(MissingThreadId):
        saver.get_tuple({"configurable": {}})


def test_ids_that_differ_only_in_case_or_accent_are_different(saver: SQLCheckpointer) -> None:
    for name in ("abc", "ABC", "äbc"):
        put(saver, config(name), {"name": name}, source="input")

    assert [saver.get_tuple(config(name)).checkpoint["channel_values"]["name"] for name in ("abc", "ABC", "äbc")] == [
        "abc",
        "ABC",
        "äbc",
    ]


def test_long_namespaces_are_kept_apart_and_come_back_whole(saver: SQLCheckpointer) -> None:
    names = ["node:" + "x" * 400 + end for end in ("1", "2")]
    for name in names:
        put(saver, config(checkpoint_ns=name), {"name": name}, source="input")

    assert {
        item.config["configurable"]["checkpoint_ns"] for item in saver.list({"configurable": {"thread_id": "t"}})
    } == set(names)
    assert saver.get_tuple(config(checkpoint_ns=names[1])).checkpoint["channel_values"] == {"name": names[1]}


def test_values_of_twenty_megabytes_come_back(saver: SQLCheckpointer) -> None:
    if (limit := _limit_of_the_server(saver)) < 21_000_000:
        with pytest.raises(StoreError, match="max_allowed_packet") as error:
            put(saver, config(), {"large": random.randbytes(limit)}, source="input")
        assert not error.value.retryable
        return
    large = random.randbytes(20_000_000)
    at = put(saver, config(), {"large": large, "messages": [HumanMessage("x" * 20_000_000, id="1")]}, source="input")

    values = saver.get_tuple(at).checkpoint["channel_values"]

    assert values["large"] == large
    assert len(values["messages"][0].content) == 20_000_000


def _limit_of_the_server(saver: SQLCheckpointer) -> int:
    if saver.database.dialect != "mysql":
        return sys.maxsize
    with saver.database.read() as connection:
        return int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())


@pytest.mark.parametrize("key", ["source'", 'a"b', "x') OR 1=1 --", "$.source", "%s", ":name", "ключ"])
def test_filter_keys_are_only_keys(saver: SQLCheckpointer, key: str) -> None:
    put(saver, put(saver, config(), source="input", **{key: "wanted"}))

    assert [item.metadata[key] for item in saver.list(config(), filter={key: "wanted"})] == ["wanted"]
    assert list(saver.list(config(), filter={key: "other"})) == []


def test_a_damaged_row_is_a_typed_error(saver: SQLCheckpointer) -> None:
    put(saver, config(), {"a": 1}, source="input")
    with saver.database.write() as connection:
        connection.execute(sa.text("UPDATE workflow_checkpoints SET body = :rubbish"), {"rubbish": b"\xc1rubbish"})

    with pytest.raises(StoreError, match="cannot be read") as error:
        saver.get_tuple(config())
    assert error.value.code == "unreadable_value"


def test_an_unknown_type_is_a_typed_error(saver: SQLCheckpointer) -> None:
    put(saver, config(), {"a": 1}, source="input")
    with saver.database.write() as connection:
        connection.execute(sa.text("UPDATE workflow_checkpoints SET kind = 'protobuf'"))

    with pytest.raises(StoreError, match="protobuf"):
        saver.get_tuple(config())


def test_messages_that_are_missing_are_a_typed_error(saver: SQLCheckpointer) -> None:
    put(saver, config(), {"messages": [HumanMessage("a", id="1")]}, source="input")
    with saver.database.write() as connection:
        connection.execute(sa.text("DELETE FROM conversation_messages"))

    with pytest.raises(StoreError, match="conversation tables"):
        SQLCheckpointer(saver.database).get_tuple(config())


def test_plain_values_are_refused_where_only_encrypted_ones_are_wanted(saver: SQLCheckpointer) -> None:
    put(saver, config(), {"a": 1}, source="input")

    with pytest.raises(StoreError, match="not encrypted"):
        SQLCheckpointer(saver.database, encrypted_only=True).get_tuple(config())


def test_metadata_that_is_no_json_is_refused_before_anything_is_written(saver: SQLCheckpointer) -> None:
    with pytest.raises(InputError, match="metadata"):
        put(saver, config(), source="input", odd=object())

    assert list(saver.list(config())) == []


def test_loading_inside_the_loop_of_a_listing_works(saver: SQLCheckpointer) -> None:
    at = config()
    for number in range(120):  # more than one page
        at = put(saver, at, {"number": number}, source="input")

    seen = [saver.get_tuple(item.config).checkpoint["channel_values"]["number"] for item in saver.list(config())]

    assert seen == list(reversed(range(120)))


def test_the_metadata_is_what_langgraph_makes_of_it() -> None:
    from langgraph.checkpoint.base import get_serializable_checkpoint_metadata

    given: Any = {
        "metadata": {"user": "a\0b", "n": 1, "list": [1], "langgraph_step": 3, "source": "mine"},
        "configurable": {"thread_id": "t", "__hidden": 1, "flag": True, "f": 1.5, "o": object(), "user": "again"},
    }
    metadata: Any = {"source": "in\0put", "step": 1, "writes": {"a": 1}, "parents": {"": "x"}}

    assert jobs.describe(given, metadata) == get_serializable_checkpoint_metadata(given, metadata)
    assert jobs.describe({}, metadata) == get_serializable_checkpoint_metadata({}, metadata)


# Care


def test_the_size_report_names_tables_and_the_largest_threads(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    for number in range(3):
        say(graph, "hello", "large" if number else "small")

    (report,) = saver.size_reports()

    sizes = {table.name: table for table in report.tables}
    assert (sizes["conversation_messages"].rows, sizes["workflow_checkpoints"].rows) == (6, 9)
    assert sizes["conversation_messages"].bytes > 0
    assert [(thread.thread_id, thread.checkpoints) for thread in report.largest_threads] == [("large", 6), ("small", 3)]


def _source(path: pathlib.Path) -> SqliteSaver:
    source = SqliteSaver(sqlite3.connect(path, check_same_thread=False))
    graph = chat(source)
    for number in range(4):
        say(graph, str(number), f"t{number % 2}")
    graph.update_state(
        config("t0"), {"messages": [RemoveMessage(id=graph.get_state(config("t0")).values["messages"][0].id)]}
    )
    return source


@pytest.mark.parametrize("pooled", [False, True])
def test_which_threads_a_postgres_saver_has_is_asked_without_reading_every_checkpoint(
    tmp_path: pathlib.Path, postgres_database: str, monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    options: Any = {"autocommit": True, "row_factory": dict_row, "prepare_threshold": 0}
    url = postgres_database.replace("+psycopg", "")
    with (
        ConnectionPool(url, kwargs=options, min_size=1) as pool,
        psycopg.connect(url, **options) as connection,
        SQLCheckpointer(f"sqlite:///{tmp_path / 'target.db'}") as target,
    ):
        source = PostgresSaver(pool if pooled else connection)  # type: ignore[arg-type]
        source.setup()
        for number in range(4):
            say(chat(source), str(number), f"t{number % 2}")
        listed = source.list

        def one_thread(of: Any, **more: Any) -> Any:
            assert of is not None, "every checkpoint of every thread was read"
            return listed(of, **more)

        monkeypatch.setattr(source, "list", one_thread)
        assert import_checkpoints(source, target).threads == 2
        assert import_checkpoints(source, target).skipped == 2


def test_threads_of_langgraphs_saver_are_imported_with_their_history(
    saver: SQLCheckpointer, tmp_path: pathlib.Path
) -> None:
    source = _source(tmp_path / "langgraph.db")
    told: list[tuple[int, int, str]] = []

    report = import_checkpoints(source, saver, lambda *progress: told.append(progress))

    assert (report.threads, report.skipped) == (2, 0)
    assert told == [(1, 2, "t0"), (2, 2, "t1")]
    for thread in ("t0", "t1"):
        theirs, ours = (list(chat(one).get_state_history(config(thread))) for one in (source, saver))
        assert [state.values for state in ours] == [state.values for state in theirs]
        assert [state.config for state in ours] == [state.config for state in theirs]
        assert texts(chat(saver), thread) == texts(chat(source), thread)
    assert len(say(chat(saver), "goes on", "t1")["messages"]) == 6
    source.conn.close()


def test_an_import_that_was_interrupted_goes_on(saver: SQLCheckpointer, tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path / "langgraph.db")

    class Stopped(Exception): ...

    def stop(*_: Any) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        import_checkpoints(source, saver, stop)

    report = import_checkpoints(source, saver)

    assert (report.threads, report.skipped) == (1, 1)
    assert import_checkpoints(source, saver).skipped == 2
    source.conn.close()


def test_an_import_that_was_interrupted_within_a_thread_goes_on(saver: SQLCheckpointer, tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path / "langgraph.db")
    put_imported, left = saver.put_imported, iter(range(5))

    def put_few(*args: Any) -> None:
        next(left)  # raises StopIteration in the middle of the first thread
        put_imported(*args)

    saver.put_imported = put_few  # type: ignore[method-assign]
    with pytest.raises(StopIteration):
        import_checkpoints(source, saver)
    saver.put_imported = put_imported  # type: ignore[method-assign]

    assert import_checkpoints(source, saver).threads == 2

    for thread in ("t0", "t1"):
        theirs, ours = (list(chat(one).get_state_history(config(thread))) for one in (source, saver))
        assert [(state.values, state.config) for state in ours] == [(state.values, state.config) for state in theirs]
    source.conn.close()


def test_a_thread_that_went_on_since_it_was_imported_is_left_alone(
    saver: SQLCheckpointer, tmp_path: pathlib.Path
) -> None:
    source = _source(tmp_path / "langgraph.db")
    import_checkpoints(source, saver)
    say(chat(saver), "goes on", "t0")
    gone_on = texts(chat(saver), "t0")

    assert import_checkpoints(source, saver).skipped == 2

    assert texts(chat(saver), "t0") == gone_on
    source.conn.close()


def test_importing_over_another_thread_of_that_name_is_refused(saver: SQLCheckpointer) -> None:
    source = InMemorySaver()
    put(source, config(), {"a": 1}, source="input")
    put(saver, config(), {"b": 2}, source="input")

    with pytest.raises(StoreError, match="already"):
        import_checkpoints(source, saver)


def test_a_checkpointer_leaves_a_database_open_that_it_was_given(tmp_path: pathlib.Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'shared.db'}")
    with SQLCheckpointer(database) as first:
        put(first, config(), {"a": 1}, source="input")

    assert SQLCheckpointer(database).get_tuple(config()) is not None
    database.close()


def test_what_strict_mode_does_not_allow_is_not_loaded_and_all_serializers_are_read_late(
    saver: SQLCheckpointer,
) -> None:
    put(saver, config(), {"value": Unknown(3)}, source="input")
    lenient = saver.serde

    saver.serde = TypedSerializer(strict=True)
    with pytest.raises(StoreError, match=r"Unknown, which is not allowed"):
        saver.get_tuple(config())
    allowed = saver.with_allowlist([(Unknown.__module__, "Unknown")])
    assert allowed.get_tuple(config()).checkpoint["channel_values"]["value"] == Unknown(3)  # type: ignore[union-attr]
    saver.serde = lenient
    assert saver.get_tuple(config()).checkpoint["channel_values"]["value"] == Unknown(3)


def test_another_serializer_refuses_what_only_the_default_one_reads_as_it_is(saver: SQLCheckpointer) -> None:
    put(saver, config(), {"value": (1, 2)}, source="input")

    saver.serde = JsonPlusSerializer()

    with pytest.raises(StoreError, match="another"):
        saver.get_tuple(config())


@dataclasses.dataclass
class Unknown:
    number: int
