"""Importing threads from LangGraph's savers."""

from __future__ import annotations

import pathlib
import sqlite3
from typing import Any

import psycopg
import pytest
from langchain_core.messages import RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.importing import import_checkpoints
from interlock.tools.errors import StoreError
from tests.checkpointing.support import chat, config, put, say, texts


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
    tmp_path: pathlib.Path, empty_postgres_database: str, monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    options: Any = {"autocommit": True, "row_factory": dict_row, "prepare_threshold": 0}
    url = empty_postgres_database.replace("+psycopg", "")
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
    resumed = texts(chat(saver), "t0")

    assert import_checkpoints(source, saver).skipped == 2

    assert texts(chat(saver), "t0") == resumed
    source.conn.close()


def test_importing_over_another_thread_of_that_name_is_refused(saver: SQLCheckpointer) -> None:
    source = InMemorySaver()
    put(source, config(), {"a": 1}, source="input")
    put(saver, config(), {"b": 2}, source="input")

    with pytest.raises(StoreError, match="already"):
        import_checkpoints(source, saver)
