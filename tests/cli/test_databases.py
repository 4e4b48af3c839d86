"""`interlock db`: tables made, sizes told, threads brought over from LangGraph's own saver."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from interlock.checkpointing import SQLCheckpointer
from tests.cli.support import lines, run, run_apart


def _chat(saver: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [AIMessage(f"answer {len(state['messages'])}")]})
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A file of LangGraph's saver with two threads."""
    path = tmp_path / "langgraph.db"
    connection = sqlite3.connect(path, check_same_thread=False)
    for thread in ("one", "two"):
        _chat(SqliteSaver(connection)).invoke(
            {"messages": [("user", "hello")]}, {"configurable": {"thread_id": thread}}
        )
    connection.close()
    return path


def test_upgrade_makes_the_tables_and_may_be_run_again(tmp_path: Path):
    database = str(tmp_path / "new.db")
    for _ in range(2):
        result = run("db", "upgrade", "--db", database)
        assert result.exit_code == 0
        assert "schema version" in result.stdout
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"workflow_checkpoints", "conversation_messages", "workflow_instances"} <= names


def test_upgrade_of_two_databases_makes_in_each_what_is_kept_there(tmp_path: Path):
    result = run("db", "upgrade", "--db", str(tmp_path / "a.db"), "--conversation", str(tmp_path / "b.db"), "--json")
    (made,) = lines(result.stdout)
    assert [Path(one["database"]).name for one in made] == ["a.db", "b.db"]
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as workflow, workflow:
        assert not workflow.execute("SELECT name FROM sqlite_master WHERE name LIKE 'conversation%'").fetchall()


def test_stats_tells_tables_largest_threads_and_what_to_do(tmp_path: Path):
    database = tmp_path / "workflows.db"
    with SQLCheckpointer(f"sqlite:///{database}") as saver:
        _chat(saver).invoke({"messages": [("user", "hello")]}, {"configurable": {"thread_id": "the-thread"}})
    shown = run("db", "stats", "--db", str(database)).stdout
    assert all(word in shown for word in ("conversation_messages", "the-thread", "There is nothing to do."))
    ((report,),) = lines(run("db", "stats", "--db", str(database), "--json").stdout)
    assert report["largest_threads"][0]["checkpoints"] == 3
    assert {table["name"]: table["rows"] for table in report["tables"]}["conversation_messages"] == 2


def test_stats_advises_a_vacuum_where_much_is_free(tmp_path: Path):
    database = tmp_path / "workflows.db"
    with SQLCheckpointer(f"sqlite:///{database}") as saver:
        for thread in range(3):
            _chat(saver).invoke({"messages": [("user", "x" * 1_000_000)]}, {"configurable": {"thread_id": str(thread)}})
        for thread in range(3):
            saver.delete_thread(str(thread))
    assert "VACUUM" in run("db", "stats", "--db", str(database)).stdout


def test_threads_are_imported_with_a_progress_bar_and_a_second_time_skipped(tmp_path: Path, theirs: Path):
    code, out, err = run_apart("db", "import", str(theirs), "--db", "own.db", cwd=tmp_path)
    assert code == 0, err
    assert "2 threads with 6 checkpoints" in " ".join(out.split())
    assert "2/2" in err
    result = run("db", "import", f"sqlite:///{theirs}", "--db", str(tmp_path / "own.db"), "--json")
    assert lines(result.stdout) == [{"threads": 0, "skipped": 2, "checkpoints": 0}]
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'own.db'}") as saver:
        state = _chat(saver).get_state({"configurable": {"thread_id": "two"}})
        assert [message.text for message in state.values["messages"]] == ["hello", "answer 1"]


def test_only_the_threads_that_are_named_are_imported(tmp_path: Path, theirs: Path):
    result = run("db", "import", str(theirs), "--db", str(tmp_path / "own.db"), "--thread", "one", "--json")
    assert lines(result.stdout) == [{"threads": 1, "skipped": 0, "checkpoints": 3}]


def test_a_file_that_is_not_of_langgraphs_saver_says_so(tmp_path: Path):
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE shop (id INTEGER)")
    result = run("db", "import", str(tmp_path / "other.db"), "--db", str(tmp_path / "own.db"))
    assert result.exit_code == 2
    assert "cannot be read" in " ".join(result.stderr.split())


def test_a_source_that_is_not_there_is_not_made(tmp_path: Path):
    result = run("db", "import", str(tmp_path / "missing.db"), "--db", str(tmp_path / "own.db"))
    assert result.exit_code == 2
    assert not (tmp_path / "missing.db").exists()


def test_prune_says_what_would_go_and_then_deletes_it(tmp_path: Path):
    database = tmp_path / "workflows.db"
    with SQLCheckpointer(f"sqlite:///{database}") as saver:
        for thread in ("one", "two"):
            for _ in range(2):
                _chat(saver).invoke({"messages": [("user", "hello")]}, {"configurable": {"thread_id": thread}})
    kept = ["--last-threads", "1", "--last-checkpoints", "1"]

    (rehearsed,) = lines(run("db", "prune", "--db", str(database), *kept, "--dry-run", "--json").stdout)
    assert rehearsed == {"threads": 2, "deletedThreads": 1, "deletedCheckpoints": 5, "dryRun": True}
    shown = run("db", "prune", "--db", str(database), *kept).stdout
    assert "Of 2 threads 1 were deleted, and 5 checkpoints of the others." in " ".join(shown.split())
    with SQLCheckpointer(f"sqlite:///{database}") as saver:
        (left,) = saver.list(None)
        assert left.config["configurable"]["thread_id"] == "two"
        assert len(left.checkpoint["channel_values"]["messages"]) == 4


def test_prune_that_keeps_everything_or_nonsense_is_refused(tmp_path: Path):
    database = tmp_path / "workflows.db"
    SQLCheckpointer(f"sqlite:///{database}").setup()
    for wrong in ([], ["--threads-newer-than", "soon"], ["--last-threads", "0"]):
        result = run("db", "prune", "--db", str(database), *wrong)
        assert result.exit_code != 0
        assert "Nothing was deleted" in " ".join((result.stdout + result.stderr).split())
