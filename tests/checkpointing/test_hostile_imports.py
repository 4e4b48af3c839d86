"""An import reads the rows of somebody else's database: whatever they name, nothing of it is imported, called or unpickled."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any, TypedDict

import ormsgpack
import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde import jsonplus
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from interlock import SQLCheckpointer
from interlock.checkpointing.importing import import_checkpoints, langgraph_saver
from interlock.tools.errors import StoreError
from tests.cli.support import run

HERE: Any = {"configurable": {"thread_id": "t-1"}}


class State(TypedDict):
    value: Any


def packed(code: int, *content: Any) -> Any:
    return ormsgpack.Ext(code, ormsgpack.packb(content))


def hostile(mark: str) -> dict[str, tuple[str, Any]]:
    """Values that run `touch mark` when they are read with trust, by the way in which they do."""
    touch = f"touch {mark}"
    return {
        "one argument": ("msgpack", packed(jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG, "os", "system", touch)),
        "several arguments": ("msgpack", packed(jsonplus.EXT_CONSTRUCTOR_POS_ARGS, "os", "system", [touch])),
        "keywords": (
            "msgpack",
            packed(jsonplus.EXT_CONSTRUCTOR_KW_ARGS, "subprocess", "call", {"args": ["touch", mark]}),
        ),
        "a method": ("msgpack", packed(jsonplus.EXT_METHOD_SINGLE_ARG, "os", "system", touch, "__call__")),
        "a module to be imported": ("msgpack", packed(jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG, "antigravity", "x", "y")),
        "an object in JSON": (
            "json",
            {"lc": 2, "type": "constructor", "id": ["os", "system"], "args": [touch], "kwargs": {}},
        ),
        "a method in JSON": (
            "json",
            {"lc": 2, "type": "constructor", "id": ["os", "system"], "method": ["__call__"], "args": [touch]},
        ),
        "a secret in JSON": ("json", {"lc": 1, "type": "secret", "id": ["PATH"]}),
        "a message that is none": (
            "json",
            {"lc": 1, "type": "constructor", "id": ["langchain", "messages", "trim_messages"], "kwargs": {}},
        ),
        "a pickle": ("pickle", f"cos\nsystem\n(S'{touch}'\ntR.".encode()),
    }


def spoiled(source: Path, kind: str, value: Any) -> None:
    """Put a value into each checkpoint of a database of LangGraph's, as whoever can write to it could."""
    with SqliteSaver.from_conn_string(str(source)) as saver:
        graph = StateGraph(State)
        graph.add_node("node", lambda state: {"value": "after"})
        graph.add_edge(START, "node")
        graph.add_edge("node", END)
        graph.compile(saver).invoke({"value": "before"}, HERE)
    with contextlib.closing(sqlite3.connect(source)) as database, database:
        for row, text in database.execute("SELECT rowid, checkpoint FROM checkpoints").fetchall():
            checkpoint = ormsgpack.unpackb(text, ext_hook=lambda _code, _data: None, option=ormsgpack.OPT_NON_STR_KEYS)
            checkpoint["channel_values"]["value"] = value
            body = (
                value
                if kind == "pickle"
                else ormsgpack.packb(checkpoint)
                if kind == "msgpack"
                else json.dumps(checkpoint).encode()
            )
            database.execute("UPDATE checkpoints SET type = ?, checkpoint = ? WHERE rowid = ?", (kind, body, row))


@pytest.mark.parametrize("way", list(hostile("")))
def test_nothing_that_a_row_names_is_run_by_an_import(way: str, tmp_path: Path) -> None:
    mark, source, target = tmp_path / "mark", tmp_path / "theirs.db", tmp_path / "ours.db"
    spoiled(source, *hostile(str(mark))[way])

    done = run("db", "import", f"sqlite:///{source}", "--db", str(target), "--json")

    assert not mark.exists()
    assert done.exit_code == 2
    assert "error" in done.stdout + done.stderr


def test_a_saver_that_is_given_with_langgraphs_serializer_is_read_strictly_and_stays_as_it_was(tmp_path: Path) -> None:
    mark, source = tmp_path / "mark", tmp_path / "theirs.db"
    spoiled(source, *hostile(str(mark))["one argument"])
    with langgraph_saver(f"sqlite:///{source}") as theirs, SQLCheckpointer(f"sqlite:///{tmp_path / 'ours.db'}") as ours:
        serde = theirs.serde
        with pytest.raises(StoreError):
            import_checkpoints(theirs, ours)
        assert theirs.serde is serde
    assert not mark.exists()


def test_the_messages_of_langgraphs_first_releases_are_brought_over(tmp_path: Path) -> None:
    source = tmp_path / "theirs.db"
    message = {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", "HumanMessage"],
        "kwargs": {"content": "Hello", "id": "m-1"},
    }
    spoiled(source, "json", [message])
    with langgraph_saver(f"sqlite:///{source}") as theirs, SQLCheckpointer(f"sqlite:///{tmp_path / 'ours.db'}") as ours:
        assert import_checkpoints(theirs, ours).threads == 1
        found = ours.get_tuple(HERE)
        assert found is not None
        assert found.checkpoint["channel_values"]["value"] == [HumanMessage("Hello", id="m-1")]
