"""What a process remembers of threads is bounded by the bytes of all of it, whatever the threads hold."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from typing_extensions import TypedDict

from interlock import SQLCheckpointer
from interlock.checkpointing.serializing import TypedSerializer
from tests.benchmarks import service


class Plain(TypedDict, total=False):
    a: str
    b: str


def plain(saver: SQLCheckpointer) -> Any:
    graph = StateGraph(Plain)
    graph.add_node("n", lambda _: {"a": "x" * 200, "b": "y" * 200})
    graph.add_edge(START, "n")
    return graph.compile(checkpointer=saver)


def chat(saver: SQLCheckpointer) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("n", lambda _: {"messages": [AIMessage("x" * 200)]})
    graph.add_edge(START, "n")
    return graph.compile(checkpointer=saver)


def nested(saver: SQLCheckpointer) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("inner", chat(None))  # type: ignore[arg-type]
    graph.add_edge(START, "inner")
    return graph.compile(checkpointer=saver)


def turn(graph: Any, thread_id: str, text: str = "q") -> None:
    graph.invoke({"messages": [("user", text)], "a": text}, {"configurable": {"thread_id": thread_id}})


@pytest.fixture
def saver(tmp_path: Any) -> Any:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'some.db'}", synchronous="OFF", memory_bytes=100_000) as opened:
        yield opened


@pytest.mark.parametrize("make", [plain, chat, nested])
def test_threads_are_forgotten_whatever_they_hold(make: Any, saver: SQLCheckpointer) -> None:
    graph, memory = make(saver), saver._storage.memory
    for number in range(60):
        turn(graph, f"t{number}")
        assert memory.size <= 100_000
    assert len(memory._known) < 50
    assert list(memory._known)[-1] == "t59"


def test_reading_alone_remembers_no_more_than_writing(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    for number in range(60):
        turn(graph, f"t{number}")
    saver._storage.begin_anew()
    memory = saver._storage.memory
    for number in range(60):
        graph.get_state({"configurable": {"thread_id": f"t{number}"}})
        list(saver.list({"configurable": {"thread_id": f"t{number}"}}))
        assert memory.size <= 100_000
    assert len(memory._known) > 1


def test_of_the_runs_of_subgraphs_only_the_latest_are_remembered(saver: SQLCheckpointer) -> None:
    graph = nested(saver)
    turn(graph, "long")
    known = saver._storage.memory.of("long")
    for _ in range(70):
        turn(graph, "long")
    assert known is saver._storage.memory.of("long")
    assert len(known.channels) == 32
    assert "" in known.channels
    assert {namespace for namespace, _ in known.lists} <= known.channels.keys()


def test_what_is_counted_is_what_is_held(saver: SQLCheckpointer) -> None:
    graph = nested(saver)
    for number in range(40):
        turn(graph, "long", f"text {number}")
    known = saver._storage.memory.of("long")
    for namespace in list(known.channels)[1:]:
        known._evict(namespace)
    for namespace in list(known.channels):
        known._evict(namespace)
    assert known.lists == {}
    messages = sum(2 * len(one.body) + 1_000 for one in known.messages.values())
    assert known.size == 2_000 + messages


def test_the_bytes_counted_are_near_those_that_python_allocates(tmp_path: Any) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'some.db'}", synchronous="OFF") as saver:
        graph = nested(saver)
        turn(graph, "warm")
        gc.collect()
        tracemalloc.start()
        before, counted = tracemalloc.get_traced_memory()[0], saver._storage.memory.size
        for number in range(150):
            turn(graph, f"t{number}", "question " * 20)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        counted = saver._storage.memory.size - counted
        assert counted / 2 < held < counted * 2


def test_a_conversation_larger_than_the_bound_stays_while_it_is_in_use(tmp_path: Any) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'some.db'}", memory_bytes=1) as saver:
        graph = chat(saver)
        graph.invoke(
            {"messages": [HumanMessage(f"m{n}") for n in range(300)]}, {"configurable": {"thread_id": "large"}}
        )
        assert list(saver._storage.memory._known) == ["large"]
        turn(graph, "other")
        assert list(saver._storage.memory._known) == ["other"]


def test_serializers_that_were_replaced_leave_nothing_behind(saver: SQLCheckpointer) -> None:
    for _ in range(200):  # LangGraph gives a graph that it compiles in strict mode one of its own
        saver.serde = TypedSerializer()
        saver._sealing()
    assert len(saver._sealings) <= 64


def test_a_small_share_of_a_long_running_service_remembers_no_more_at_its_end_than_its_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "LIVE", 10)
    monkeypatch.setattr(service, "LEAST", 300_000)
    tenths = [remembered for _, remembered in service.run(60)]
    assert len(tenths) == 10
    assert max(tenths) <= 300_000
    assert min(tenths[1:]) > 200_000  # it is the bound that keeps it there


def test_a_deleted_thread_leaves_no_words_in_memory(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    turn(graph, "kept")
    turn(graph, "gone")
    memory = saver._storage.memory
    assert {"kept", "gone"} <= {*memory._known}
    saver.delete_thread("gone")
    assert memory.known("gone") is None
    assert memory.known("kept") is not None
