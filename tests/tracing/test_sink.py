"""The local trace sink takes what the real LangSmith client sends."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langsmith import Client
from langsmith.run_trees import RunTree

from interlock.testing import TraceSink


@pytest.fixture
def sink() -> Iterator[TraceSink]:
    with TraceSink() as sink:
        yield sink


def _trace(client: Client, **more: Any) -> RunTree:
    root = RunTree(name="root", run_type="chain", inputs={"question": "é"}, client=client, project_name="p", **more)
    root.post()
    child = root.create_child(name="child", run_type="tool", inputs={"n": 1}, extra={"metadata": {"k": "v"}})
    child.post()
    child.end(outputs={"n": 2})
    child.patch()
    root.end(error="it failed\nbadly")
    root.patch()
    return root


@pytest.mark.parametrize("multipart", [True, False], ids=["multipart", "batch"])
@pytest.mark.parametrize("compression", [True, False], ids=["zstd", "plain"])
def test_it_keeps_runs_however_the_client_sends_them(multipart: bool, compression: bool) -> None:
    with TraceSink(multipart=multipart, compression=compression) as sink:
        client = sink.client()
        root = _trace(client)
        client.flush()
        sink.wait_for(lambda: all(run.has_ended for run in sink.runs) and len(sink.runs) == 2)

        arrived, child = sink.runs
        assert (arrived.id, arrived.name, arrived.inputs, arrived.project) == (
            str(root.id),
            "root",
            {"question": "é"},
            "p",
        )
        assert arrived.error == "it failed\nbadly"
        assert child.parent_id == arrived.id
        assert child.trace_id == arrived.id
        assert child.outputs == {"n": 2}
        assert child.metadata["k"] == "v"
        client.close()


def test_feedback_sent_again_under_its_id_stands_once(sink: TraceSink) -> None:
    client = sink.client()
    root = _trace(client)
    given = uuid.uuid4()
    for _ in range(2):
        client.create_feedback(
            run_id=root.id,
            trace_id=root.id,
            key="approval",
            score=0.0,
            comment="too much",
            feedback_id=given,
            session_id=uuid.uuid4(),
            start_time=dt.datetime.now(dt.UTC),
        )
    client.flush()

    arrived = sink.wait_for(lambda: sink.feedback)
    assert [(item["id"], item["run_id"], item["comment"]) for item in arrived] == [
        (str(given), str(root.id), "too much")
    ]
    assert "↳ feedback approval: score 0.0, too much" in sink.tree()
    client.close()


def test_the_tree_shows_children_below_their_parents_and_errors(sink: TraceSink) -> None:
    client = sink.client()
    _trace(client)
    client.flush()
    sink.wait_for(lambda: len(sink.runs) == 2 and all(run.has_ended for run in sink.runs))

    assert sink.tree().splitlines() == ["✗ root [chain]  error: it failed", "  · child [tool]"]
    client.close()


def test_what_cannot_be_read_is_refused_and_not_half_kept(sink: TraceSink) -> None:
    answer = httpx.post(
        f"{sink.url}/runs/multipart", content=b"nonsense", headers={"Content-Type": "multipart/form-data"}
    )

    assert answer.status_code == 422
    assert "no boundary" in answer.text
    assert sink.runs == []


def test_what_does_not_arrive_in_time_is_said_with_what_did(sink: TraceSink) -> None:
    client = sink.client()
    _trace(client)
    client.flush()
    sink.wait_for(lambda: sink.find("child"))

    with pytest.raises(Exception, match=r"did not arrive .* within 0 s") as missed:
        sink.wait_for(lambda: sink.find("never"), seconds=0)
    assert "root [chain]" in str(missed.value)
    client.close()
