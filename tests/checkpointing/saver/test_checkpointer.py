"""What a checkpointer promises beyond LangGraph's interface: pruning, size, bad input, damaged rows, serializers."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import pathlib
import random
import sys
from collections.abc import Callable
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from interlock.checkpointing import Database, SQLCheckpointer
from interlock.checkpointing.saver import jobs
from interlock.checkpointing.serializing import TypedSerializer
from interlock.tools.errors import InputError, MissingThreadId, StoreError
from tests.checkpointing.support import chat, config, put, say


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


def test_the_size_report_names_tables_and_the_largest_threads(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    for number in range(3):
        say(graph, "hello", "large" if number else "small")

    (report,) = saver.size_reports()

    sizes = {table.name: table for table in report.tables}
    assert (sizes["conversation_messages"].rows, sizes["workflow_checkpoints"].rows) == (6, 9)
    assert sizes["conversation_messages"].bytes > 0
    assert [(thread.thread_id, thread.checkpoints) for thread in report.largest_threads] == [("large", 6), ("small", 3)]


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


def test_what_a_task_wrote_first_stays_when_it_writes_again(saver: SQLCheckpointer) -> None:
    first = put(saver, config("again"), {"state": 1}, source="input")
    saver.put_writes(first, [("a", 1)], "task")
    saver.put_writes(first, [("a", 2), ("b", 3)], "task")

    found = saver.get_tuple(first)

    assert found is not None
    assert found.pending_writes == [("task", "a", 1), ("task", "b", 3)]


def test_an_interrupt_that_comes_along_with_ordinary_writes_replaces_nothing(saver: SQLCheckpointer) -> None:
    """As LangGraph's own SQL checkpointers: only writes that are all special replace what is there."""
    first = put(saver, config("again"), {"state": 1}, source="input")
    saver.put_writes(first, [("a", 1), ("__interrupt__", "first")], "task")
    saver.put_writes(first, [("a", 2), ("__interrupt__", "second"), ("b", 3)], "task")

    found = saver.get_tuple(first)

    assert found is not None
    assert found.pending_writes is not None
    assert sorted(found.pending_writes) == [("task", "__interrupt__", "first"), ("task", "a", 1), ("task", "b", 3)]


def test_a_fork_has_the_values_of_its_own_versions_and_not_those_that_came_later(saver: SQLCheckpointer) -> None:
    first = put(saver, config("fork"), {"state": "early"}, source="input")
    early = saver.get_tuple(first)
    assert early is not None
    put(saver, first, {"state": "late"})

    branch = {**early.checkpoint, "id": str(uuid6())}
    forked = saver.put(first, branch, {"source": "fork", "step": 1, "parents": {}}, {})

    found = saver.get_tuple(forked)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"state": "early"}


def test_the_parents_of_a_checkpoint_are_read_many_at_a_time_and_only_on_its_own_line(saver: SQLCheckpointer) -> None:
    def after(at: RunnableConfig) -> RunnableConfig:
        checkpoint: Any = {**empty_checkpoint(), "id": str(uuid6())}
        return saver.put(at, checkpoint, {"source": "fork", "step": 0, "parents": {}}, {})

    def id_of(at: RunnableConfig) -> str:
        return str(at["configurable"]["checkpoint_id"])

    line: list[RunnableConfig] = [{"configurable": {"thread_id": "t", "checkpoint_ns": ""}}]
    for _ in range(40):
        line.append(after(line[-1]))
    after(line[20])  # a branch
    after({"configurable": {"thread_id": "other", "checkpoint_ns": ""}})
    ids = [None, *map(id_of, line[1:])]
    expected = dict(itertools.pairwise(reversed(ids)))
    found = saver.parents(line[-1])
    assert found == {child: expected[child] for child in found}
    assert list(found) == ids[:-32:-1]  # itself, and the thirty before it
    assert saver.parents(line[5]) == {child: expected[child] for child in ids[5:0:-1]}
    assert saver.parents({"configurable": {**line[5]["configurable"], "thread_id": "other"}}) == {}


@pytest.mark.parametrize("name", ["put_writes", "aput_writes"])
def test_the_signature_that_langgraph_asks_for_in_each_run_is_computed_already(
    name: str, saver: SQLCheckpointer
) -> None:
    method = getattr(saver, name)
    assert [*inspect.signature(method).parameters] == ["config", "writes", "task_id", "task_path"]
    assert [*method.__func__.__signature__.parameters] == ["self", "config", "writes", "task_id", "task_path"]
