"""Credentials reach the server and nothing else: no record, no trace, no error, no log and no lock file has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from interlock import SQLCheckpointer
from interlock.mcp import from_environment
from interlock.mcp.client.targets import target_of
from interlock.testing import TraceSink
from interlock.tools.errors import ServerUnavailable
from interlock.tracing import InterlockTracer, telemetry
from tests.mcp.client.support import ADA, SAID, Bank, graph_of, thread

MARKER = "tok-9f31ab77c0de"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_instruments", None)  # what is found with this provider goes with it
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr("mcp.shared._otel._tracer", provider.get_tracer("mcp"))
    return exporter


@pytest.mark.parametrize(
    "given", [MARKER, lambda: MARKER, from_environment("BANK_TOKEN")], ids=["value", "function", "environment"]
)
def test_a_server_that_tells_its_whole_environment_gives_nothing_away(
    given: Any,
    bank: Bank,
    saver: SQLCheckpointer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    spans: InMemorySpanExporter,
) -> None:
    monkeypatch.setenv("BANK_TOKEN", MARKER)
    contract = bank.tools(env={"BANK_TOKEN": given}).contract("environment")
    graph = graph_of(contract, {}, saver=saver)

    with caplog.at_level("DEBUG"), TraceSink() as sink:
        client = sink.client()
        state = graph.invoke(SAID, {**thread(), "callbacks": [InterlockTracer(client=client)]}, context=ADA)
        client.flush()
        traced = repr([(run.inputs, run.outputs, run.error) for run in sink.runs])

    assert "BANK_TOKEN" in state["last_result"]["output"], "the server has it, and tells it"
    written = b"".join(path.read_bytes() for path in tmp_path.glob("desk.db*"))
    traced += "".join(span.to_json() for span in spans.get_finished_spans())
    assert "BANK_TOKEN" in traced
    assert spans.get_finished_spans()
    assert MARKER not in repr(state) + caplog.text + traced
    assert MARKER.encode() not in written


def test_what_a_server_complains_of_is_masked(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    bank.behave(complains=f"the token {MARKER} is no good")

    with caplog.at_level("DEBUG"), pytest.raises(ServerUnavailable, match="is no good") as raised:
        bank.tools(env={"BANK_TOKEN": MARKER}).listing()

    assert MARKER not in raised.value.message + caplog.text


def test_a_plain_setting_is_no_credential(bank: Bank) -> None:
    contract = bank.tools(env={"BANK_MODE": "production", "BANK_KEY": MARKER}).contract("environment")

    told = contract.call({})

    assert "production" in told
    assert MARKER not in told


def test_a_variable_of_this_process_is_not_the_servers(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", MARKER)

    assert MARKER not in bank.tools().contract("environment").call({})


@pytest.mark.parametrize(
    "words",
    [
        ["server", "--api-key", MARKER],
        ["server", f"--password={MARKER}"],
        ["server", "--token", MARKER, "--verbose"],
        ["server", f"postgresql://ada:{MARKER}@localhost/db"],
    ],
)
def test_the_lock_file_has_no_credential_of_a_command(words: list[str]) -> None:
    assert MARKER not in repr(target_of("bank", words).to_json())
