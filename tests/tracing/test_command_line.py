"""`interlock trace`, `audit --trace`, `traces`, `feedback` and `doctor`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command
from typer.testing import CliRunner

from interlock import SQLCheckpointer
from interlock.cli import app
from interlock.testing import TraceSink
from interlock.tracing import reference_in
from tests.tracing.support import ADA, BEN, Shop, arrived, config, script


@pytest.fixture
def database(tmp_path: Path, sink: TraceSink, traced: Any) -> Iterator[tuple[str, Any]]:
    """A database with one instance that was traced."""
    url = f"sqlite:///{tmp_path}/shop.db"
    graph = Shop().flow(script()).compile(SQLCheckpointer(url))
    graph.invoke({"messages": [("user", "send W1")]}, config(), context=ADA)
    graph.invoke(Command(resume={"type": "reject", "message": "no"}), config(), context=BEN)
    arrived(sink, traced)
    yield url, graph
    graph.engine.store.close()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_", "INTERLOCK_"))]:
        monkeypatch.delenv(name)


def _lines(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == code, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_trace_leads_from_an_instance_to_its_runs(database: tuple[str, Any], sink: TraceSink) -> None:
    url, graph = database
    rows = _lines("trace", graph.instances.id_of(config()), "--db", url)

    assert [row["auditRef"] for row in rows] == [record.audit_ref for record in graph.instances.audit(config())]
    assert {row["run"] for row in rows} <= {run.id for run in sink.runs}
    assert {row["project"] for row in rows} == {"shop-project"}
    shown = CliRunner().invoke(app, ["trace", graph.instances.id_of(config()), "--db", url], env={"COLUMNS": "200"})
    assert str(rows[0]["run"]) in shown.stdout


def test_addresses_are_made_when_they_are_asked_for(
    database: tuple[str, Any], sink: TraceSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, graph = database
    record = graph.instances.audit(config())[0]
    where = reference_in(record)
    assert where is not None
    sink.requests.clear()
    client = sink.client()

    address = where.url(client)
    assert address is not None
    assert address.endswith(f"/r/{where.run}?poll=true")
    assert any(request.startswith("GET /sessions") for request in sink.requests)
    client.close()


def test_audit_leads_from_a_trace_to_its_records(database: tuple[str, Any]) -> None:
    url, graph = database
    records = graph.instances.audit(config())
    for record in records:
        where = reference_in(record)
        assert where is not None
        by_run = [line["auditRef"] for line in _lines("audit", "--trace", str(where.run), "--db", url)]
        by_trace = [line["auditRef"] for line in _lines("audit", "--trace", str(where.trace), "--db", url)]
        assert record.audit_ref in by_run
        assert set(by_run) <= set(by_trace)
    assert CliRunner().invoke(app, ["audit", "--trace", "nothing", "--db", url]).exit_code == 1
    assert CliRunner().invoke(app, ["audit", "--db", url]).exit_code == 2


def test_feedback_is_sent(database: tuple[str, Any], sink: TraceSink, monkeypatch: pytest.MonkeyPatch) -> None:
    url, _ = database
    assert _lines("feedback", "--db", url, code=2)[0]["error"]["code"] == "no_credentials"
    from interlock.tracing import feedback

    client = sink.client(auto_batch_tracing=False)
    monkeypatch.setattr(feedback.FeedbackSender, "_given_client", lambda _: client)
    monkeypatch.setenv("LANGSMITH_API_KEY", "local")

    assert _lines("feedback", "--db", url) == [{"sent": 1, "failed": 0, "dead": 0}]
    assert [said["value"] for said in sink.feedback] == ["reject"]
    client.close()


def test_traces_shows_what_a_program_sends(tmp_path: Path) -> None:
    listening = subprocess.Popen(
        [sys.executable, "-m", "interlock", "traces", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert listening.stdout is not None
        said = {}
        for line in listening.stdout:
            if not line.startswith("export "):
                break
            name, _, value = line.removeprefix("export ").strip().partition("=")
            said[name] = value
        assert said["LANGSMITH_TRACING"] == "true"
        from langsmith import Client, tracing_context

        client = Client(api_url=said["LANGSMITH_ENDPOINT"], api_key=said["LANGSMITH_API_KEY"])
        graph = Shop().flow(script()).compile()
        with tracing_context(enabled=True, client=client):
            graph.invoke({"messages": [("user", "go")]}, config(), context=ADA)
        client.flush()
        shown = []
        for line in listening.stdout:
            shown.append(line.rstrip())
            if "approval: order.charge" in line:
                break
        assert shown[0].startswith("· shop [chain]")
        assert any("denied: order.send" in line for line in shown)
        client.close()
    finally:
        listening.send_signal(signal.SIGINT)
        assert listening.wait(30) == 130
        for stream in (listening.stdout, listening.stderr):
            if stream is not None:
                stream.close()


def _findings(*arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    return {line["what"]: line for line in _lines("doctor", *arguments, code=code)}


def test_doctor_finds_nothing_wrong_where_nothing_is_set_up() -> None:
    findings = _findings()

    assert findings["LangSmith tracing"]["health"] == "off"
    assert findings["database"]["health"] == "off"


def test_doctor_says_what_is_good(database: tuple[str, Any], sink: TraceSink, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sink.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LANGSMITH_TRACING_SAMPLING_RATE", "0.25")
    listener = socket.create_server(("127.0.0.1", 0))
    findings = _findings("--db", database[0], "--bus", f"nats://127.0.0.1:{listener.getsockname()[1]}")
    listener.close()

    assert {finding["health"] for finding in findings.values()} <= {"good", "off"}
    assert findings["LangSmith endpoint"]["health"] == "good"
    assert "25% of traces" in findings["sampling"]["told"]
    assert findings["broker"]["health"] == "good"
    assert findings["database"]["health"] == "good"


@pytest.mark.parametrize(
    ("environment", "arguments", "what", "mend"),
    [
        ({"LANGSMITH_TRACING": "1"}, (), "LangSmith tracing", "`true`"),
        ({"LANGSMITH_TRACING": "true", "LANGSMITH_ENDPOINT": "http://127.0.0.1:9"}, (), "LangSmith endpoint", "LANGSMITH_ENDPOINT"),
        ({"LANGSMITH_TRACING": "true", "LANGSMITH_ENDPOINT": "http://127.0.0.1:9"}, (), "LangSmith key", "LANGSMITH_API_KEY"),
        (
            {"LANGSMITH_TRACING": "true", "LANGSMITH_ENDPOINT": "http://127.0.0.1:9", "LANGSMITH_TRACING_SAMPLING_RATE": "often"},
            (),
            "sampling",
            "from 0 to 1",
        ),
        ({}, ("--bus", "nats://127.0.0.1:9"), "broker", "INTERLOCK_BUS"),
        ({}, ("--bus", "nonsense"), "broker", "host:port"),
    ],
)  # fmt: skip
def test_doctor_says_what_to_mend(
    environment: dict[str, str],
    arguments: tuple[str, ...],
    what: str,
    mend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    finding = _findings(*arguments, code=1)[what]

    assert finding["health"] == "bad"
    assert mend in str(finding["fix"])


def test_doctor_finds_a_database_without_tables_and_one_of_another_release(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "empty.db").touch()
    finding = _findings("--db", str(tmp_path / "empty.db"), code=1)["database"]
    assert "no tables" in finding["told"]
    SQLCheckpointer(f"sqlite:///{tmp_path}/newer.db").setup()
    connection = sqlite3.connect(tmp_path / "newer.db")
    connection.execute("UPDATE workflow_schema SET version_num = '9999'")
    connection.commit()
    connection.close()
    finding = _findings("--db", str(tmp_path / "newer.db"), code=1)["database"]
    assert finding["health"] == "bad"
    assert "9999" in finding["told"]


def test_doctor_refuses_nothing_a_failing_service_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for status, said in ((500, "500"), (401, "refuses the key")):
        with TraceSink(status=status) as sink:
            for name, value in sink.environment.items():
                monkeypatch.setenv(name, value)
            finding = _findings(code=1)["LangSmith endpoint"]
            assert said in finding["told"]
