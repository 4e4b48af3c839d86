"""Looking for checkpoints: filters on metadata beside LangGraph's own savers, declared indexes, the cost of a page, and damaged rows."""

from __future__ import annotations

import contextlib
import enum
import itertools
import pathlib
import random
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from sqlalchemy import event

from interlock import SQLCheckpointer
from interlock.tools.errors import InputError, StoreError
from tests.support.servers import temporary_postgres_database


def config(thread_id: str = "t", **more: Any) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", **more}}


def put(saver: Any, at: Any, values: dict[str, Any] | None = None, **metadata: Any) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["id"] = str(uuid6())
    checkpoint["channel_values"] = values or {}
    versions = checkpoint["channel_versions"] = {name: saver.get_next_version(None, None) for name in values or {}}
    return saver.put(at, checkpoint, {"source": "update", "step": 1, "parents": {}, **metadata}, versions)


# Filters

VALUES: list[Any] = [
    "acme", "ACME", "", "it's", "🙂", 'say "so"', "1", "true", 0, 1, -1, 1.0, 1.5, 2**60, True, False, None, [], ["a"], ["a", "b"],
    ["b", "a"], ["a", "a"], [1], [True], [None], [["a"]], [["a"], "b"], [{"k": 1}], [{"k": 1, "j": 2}, "x"], {}, {"k": 1}, {"k": 1.0},
    {"k": True}, {"k": 1, "j": 2}, {"k": None}, {"k": {"deep": [1, 2]}}, {"k": {"deep": [2]}}, {"k": [1, {"x": "y"}]}, {"a.b": 1},
]  # fmt: skip
KEYS = ["tenant", "user_id", "n", "a-b", "a.b", "a"]


class Tenant(enum.StrEnum):
    ACME = "acme"


def _filters() -> Iterator[dict[str, Any]]:
    yield from ({"x": value} for value in VALUES)
    yield from (
        {"x": (1,)},
        {"x": ("a", "b")},
        {"x": Tenant.ACME},
        {"missing": None},
        {"missing": {}},
        {},
        {"source": "update"},
    )
    chosen = random.Random(7)
    for _ in range(150):
        yield {key: chosen.choice(VALUES) for key in chosen.sample(["x", *KEYS], chosen.randint(1, 2))}


def _fill(saver: Any) -> None:
    chosen = random.Random(11)
    for at, value in enumerate(VALUES):
        more = {key: chosen.choice(VALUES) for key in chosen.sample(KEYS, 2)}
        put(saver, config(f"t{at % 3}"), None, number=at, x=value, **more)
    put(saver, config(), None, number=len(VALUES))


def _found(saver: Any, wanted: dict[str, Any]) -> list[int]:
    return sorted(found.metadata["number"] for found in saver.list(None, filter=wanted))


@pytest.mark.parametrize("declared", [[], ["x", "tenant"]], ids=["no index", "with an index"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_filter_finds_what_langgraphs_saver_for_the_database_finds(
    kind: str, declared: list[str], tmp_path: pathlib.Path
) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            theirs: Any = stack.enter_context(SqliteSaver.from_conn_string(":memory:"))
            url = f"sqlite:///{tmp_path / 'ours.db'}"
        else:
            url = stack.enter_context(temporary_postgres_database())
            other = stack.enter_context(temporary_postgres_database()).replace("+psycopg", "")
            theirs = stack.enter_context(PostgresSaver.from_conn_string(other))
        theirs.setup()
        ours = stack.enter_context(SQLCheckpointer(url, metadata_index=declared))
        ours.setup()
        for saver in (theirs, ours):
            _fill(saver)

        for wanted in _filters():
            assert _found(ours, wanted) == _found(theirs, wanted), wanted


@pytest.mark.parametrize("declared", [[], ["x", "tenant"]], ids=["no index", "with an index"])
def test_a_filter_on_mysql_finds_what_contains_it(declared: list[str], mysql_database: str) -> None:
    with SQLCheckpointer(mysql_database, metadata_index=declared) as saver:
        saver.setup()
        _fill(saver)

        def where(value: Any) -> list[Any]:
            return [VALUES[at] for at in _found(saver, {"x": value})]

        assert where("acme") == ["acme"]
        assert where({"k": {"deep": [2]}}) == [{"k": {"deep": [1, 2]}}, {"k": {"deep": [2]}}]
        assert where(["b", "a"]) == [["a", "b"], ["b", "a"], [["a"], "b"]]
        assert where(True) == [True, [True]]
        assert where(None) == [None, [None]]
        assert where({"j": 2}) == [[{"k": 1, "j": 2}, "x"], {"k": 1, "j": 2}]
        assert _found(saver, {"missing": None}) == []


def test_metadata_that_the_databases_json_does_not_take_are_still_looked_through(database_url: str) -> None:
    odd = [float("nan"), {"deep": "a\0b"}, {"deep": "\ud800"}]
    with SQLCheckpointer(database_url) as saver:
        saver.setup()
        for at, value in enumerate(odd):
            put(saver, config(), None, number=at, x=value, tenant="acme")
        put(saver, config(), None, number=9, tenant="other")

        assert _found(saver, {"tenant": "acme"}) == [0, 1, 2]
        assert _found(saver, {"tenant": "other"}) == [9]


def test_a_filter_that_no_metadata_can_match_by_its_type_is_refused(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver, pytest.raises(InputError, match="Nothing was read"):
        list(saver.list(None, filter={"x": {"deep": object()}}))


# Declared indexes


def _explained(saver: SQLCheckpointer, wanted: dict[str, Any]) -> str:
    """How the database carries out the first statement of a listing."""
    statements: list[tuple[str, Any]] = []
    engine = saver.database.engine
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    list(saver.list(None, filter=wanted, limit=1))
    statement, parameters = next(one for one in statements if "workflow_checkpoints" in one[0])
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")  # a handful of rows is read faster
        word = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        return str(connection.exec_driver_sql(f"{word} {statement}", parameters).all())


def test_threads_are_found_through_an_index_that_the_application_declares(database_url: str) -> None:
    with SQLCheckpointer(database_url, metadata_index=["user"]) as saver:
        saver.setup()
        saver.setup()
        for number in range(200):
            put(saver, config(f"t{number}"), None, user=f"u{number % 100}")
        with saver.database.engine.connect() as connection:
            if connection.dialect.name != "sqlite":
                analyze = "ANALYZE" + (" TABLE" if connection.dialect.name == "mysql" else "")
                connection.exec_driver_sql(f"{analyze} workflow_checkpoints")

        assert "ix_workflow_checkpoints_metadata" in _explained(saver, {"user": "u7"})
        found = saver.list(None, filter={"user": "u7"})
        assert {one.config["configurable"]["thread_id"] for one in found} == {"t7", "t107"}


def test_an_index_that_was_never_made_costs_time_and_nothing_else(server_database_url: str) -> None:
    with SQLCheckpointer(server_database_url) as saver:
        saver.setup()
        put(saver, config(), None, user="ada")
    with SQLCheckpointer(server_database_url, metadata_index=["user"]) as saver:
        assert len(list(saver.list(None, filter={"user": "ada"}))) == 1


@pytest.mark.parametrize("keys", ["user", ["a.b"], ["a'b"], [""], [1]])
def test_only_plain_keys_are_indexed(keys: Any) -> None:
    with pytest.raises(InputError):
        SQLCheckpointer("sqlite://", metadata_index=keys)


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {"deep": "a\0b"}], ids=["nan", "surrogate", "nul"])
def test_metadata_that_cannot_be_indexed_are_refused_before_anything_is_written(value: Any) -> None:
    with SQLCheckpointer("sqlite://", metadata_index=["user"]) as saver:
        with pytest.raises(InputError, match="Nothing was written"):
            put(saver, config(), None, user="ada", x=value)
        assert list(saver.list(None)) == []


# The cost of a page


def _statements(saver: SQLCheckpointer, *, limit: int | None, thread_id: str | None) -> int:
    count = [0]
    engine = saver.database.engine

    def counted(*_: Any) -> None:
        count[0] += 1

    event.listen(engine, "before_cursor_execute", counted)
    # What goes past SQLAlchemy goes over cursors of its pool's connections.
    raw = [0]
    for name in ("raw_read", "raw_query", "raw_autocommit"):
        real = getattr(saver.database, name)
        setattr(saver.database, name, lambda real=real: (raw.__setitem__(0, raw[0] + 1), real())[1])
    try:
        list(saver.list(None if thread_id is None else config(thread_id), limit=limit))
    finally:
        event.remove(engine, "before_cursor_execute", counted)
        for name in ("raw_read", "raw_query", "raw_autocommit"):
            delattr(saver.database, name)
    assert raw == [0]
    return count[0]


@pytest.mark.parametrize("thread_id", ["t", None], ids=["of a thread", "of all threads"])
def test_a_page_costs_the_same_statements_however_much_is_on_it(
    thread_id: str | None, set_up_database_url: str
) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        for number in range(45):
            at = config("t" if thread_id else f"t{number}")
            said = [HumanMessage(f"{number} {n}", id=f"{number}-{n}") for n in range(3)]
            at = put(saver, at, {"messages": said, "large": ["x" * 300, number]})
            saver.put_writes(at, [("messages", AIMessage(f"answer {number}")), ("large", "y" * 300)], f"task-{number}")
        one, few, many = (_statements(saver, limit=limit, thread_id=thread_id) for limit in (1, 5, 45))

        assert one == few == many
        assert one <= 8


def test_a_listing_gives_what_reading_each_checkpoint_gives(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        at = config()
        messages: list[Any] = []
        for number in range(60):
            messages = [*messages[-5:], HumanMessage(f"{number}", id=f"m{number}" if number % 2 else None)]
            at = put(saver, at, {"messages": messages, "large": [number] * 200, "small": number})
            saver.put_writes(at, [("messages", AIMessage(f"answer {number}"))], "task")
        saver.erase_conversation("t")
        at = put(saver, at, {"messages": [HumanMessage("after", id="after")]})

        listed = list(saver.list(config()))
        assert len(listed) == 61
        assert listed == [saver.get_tuple(one.config) for one in listed]


# Damaged rows

DAMAGE = [b"", b"\xc1", b"\x00\x01\x02", b"\x93\x01", b"not msgpack at all"]
PLACES = {
    "workflow_checkpoints.body": {"threadId", "checkpointId"},
    "workflow_checkpoints.kind": {"threadId", "checkpointId"},
    "workflow_checkpoints.metadata": {"threadId", "checkpointId"},
    "workflow_checkpoints.outside": {"threadId", "checkpointId"},
    "workflow_channel_values.body": {"threadId", "checkpointId", "valueId"},
    "workflow_channel_values.kind": {"threadId", "checkpointId", "valueId"},
    "workflow_writes.body": {"threadId", "checkpointId", "taskId"},
    "workflow_writes.kind": {"threadId", "checkpointId", "taskId"},
    "conversation_messages.body": {"threadId", "position"},
    "conversation_messages.kind": {"threadId", "position"},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_damaged_row_is_an_error_that_names_it_wherever_it_is_read(place: str, set_up_database_url: str) -> None:
    table, column = place.split(".")
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        for number, data in enumerate(DAMAGE if column == "body" else ["[", '"x"', "nonsense"]):
            thread = f"{place} {number}"
            at = put(saver, config(thread), {"messages": [HumanMessage("hi", id="1")], "large": ["x" * 900]})
            saver.put_writes(at, [("messages", AIMessage("answer"))], "task")
            number_of = "SELECT id FROM workflow_threads WHERE thread_id = :thread"
            where = f"thread = ({number_of})"
            if table == "conversation_messages":
                where = (
                    "conversation = (SELECT id FROM conversation_threads WHERE thread_id = :thread) AND position = 0"
                )
            with saver.database.write() as connection:
                update = sa.text(f"UPDATE {table} SET {column} = :data WHERE {where}")
                assert connection.execute(update, {"data": data, "thread": thread}).rowcount == 1
            saver._storage.begin_anew()

            def read_it(at: Any = at) -> Any:
                return saver.get_tuple(at)

            def newest(thread: str = thread) -> Any:
                return saver.get_tuple(config(thread))

            def listed(thread: str = thread) -> Any:
                return list(saver.list(config(thread)))

            for read in (read_it, newest, listed):
                with pytest.raises(StoreError) as caught:
                    read()
                details = caught.value.details
                assert PLACES[place] <= details.keys(), (data, caught.value)
                assert details["threadId"] == thread
                assert "cannot be read" in caught.value.message
                assert not caught.value.retryable


def test_what_stands_after_a_damaged_row_can_be_listed(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        at = config()
        history = [at := put(saver, at, {"x": number}) for number in range(4)]
        with saver.database.write() as connection:
            damage = sa.text("UPDATE workflow_checkpoints SET body = :data WHERE checkpoint_id = :id")
            connection.execute(damage, {"data": b"\xc1", "id": history[2]["configurable"]["checkpoint_id"]})

        found = []
        with pytest.raises(StoreError) as caught:
            found.extend(itertools.chain(saver.list(config())))
        damaged = caught.value.details["checkpointId"]
        rest = saver.list(config(), before=config(checkpoint_id=damaged))
        assert [one.config for one in rest] == [history[1], history[0]]
