"""A workflow that was killed and goes on tells in its trace that the command was replayed, and not run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langsmith import tracing_context

from interlock import SQLCheckpointer, Workflow, WorkflowGraph, command
from interlock.testing import Child, FaultPoint, Killed, ScriptedChatModel, TraceSink, call
from interlock.tracing import reference_in
from tests.tracing.support import ADA, arrived, config


def _graph(database: str) -> WorkflowGraph:
    @command("door.open", effect="transactional")
    def open_door(name: str) -> str:
        """Open a door."""
        return f"{name} is open"

    flow = Workflow("house", model=ScriptedChatModel([call("door.open", name="front")], forever="done"))
    flow.add_state("shut")
    flow.add_state("open", final=True)
    flow.add_edge("shut", open_door, "open")
    return flow.compile(SQLCheckpointer(database))


def _run(database: str, url: str, given: Any) -> None:
    from langsmith import Client

    client = Client(api_url=url, api_key="local", auto_batch_tracing=False)  # in the foreground: it will be killed
    with tracing_context(enabled=True, client=client, project_name="p"):
        _graph(database).invoke(given, config(), context=ADA)


def _after_the_command(database: str) -> int:
    """The how manyth commit is the command's: counted in a run of another house."""
    from interlock.testing import injected

    with injected() as reached:
        _graph(database).invoke({"messages": [("user", "go")]}, config(), context=ADA)
    upto = reached.points.index(FaultPoint.AFTER_EFFECT)
    return reached.points[:upto].count(FaultPoint.AFTER_COMMIT) + 1


def test_what_is_replayed_after_a_kill_says_so(tmp_path: Path, sink: TraceSink, client: Any) -> None:
    nth = _after_the_command(f"sqlite:///{tmp_path}/other.db")
    database = f"sqlite:///{tmp_path}/house.db"

    killed = Child(_run, database, sink.url, {"messages": [("user", "go")]}, kill_at=(FaultPoint.AFTER_COMMIT, nth))
    with pytest.raises(Killed):
        killed.result()
    (begun,) = sink.named("door.open")
    assert not begun.has_ended
    sink.clear()
    graph = _graph(database)
    with tracing_context(enabled=True, client=client, project_name="p"):
        graph.invoke(None, config(), context=ADA)
    runs = arrived(sink, client)

    (replayed,) = (run for run in runs if run.name == "door.open")
    assert replayed.metadata["replayed"] is True
    assert [run.name for run in runs if run.parent_id is None] == ["house: continued"]
    assert [run.error for run in runs if run.error] == []
    # What was recorded before the kill names the run that was killed: its id was minted before the command ran.
    (moved,) = (record for record in graph.instances.audit(config()) if record.kind == "transition")
    where = reference_in(moved)
    assert where is not None
    assert where.run == begun.id
    assert replayed.metadata["audit_ref"] == moved.audit_ref
    graph.engine.store.close()
