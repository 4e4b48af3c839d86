"""The same over HTTP, against a server of the SDK's: credentials, refused connections, a server that dies and comes back."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from interlock import RetryPolicy, SQLCheckpointer
from interlock.mcp import MCPTools, from_environment
from interlock.mcp.lock.lockfile import LockFile
from interlock.tools.errors import AnswerLost, Refused
from tests.mcp.client.support import ADA, SAID, graph_of, thread

SERVER = Path(__file__).parent / "sdk_bank.py"
TOKEN = "the-token-of-the-bank"


class HttpBank:
    """A bank of the SDK's over HTTP, which can be killed and started again at its address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.stop()
        command = [sys.executable, str(SERVER), str(self.folder), "http", str(self.port)]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, "the server ended"
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def tools(self, **options: Any) -> MCPTools:
        return MCPTools(
            "bank", f"http://127.0.0.1:{self.port}/mcp", lock=self.folder / "lock.json", **{"timeout": 20.0, **options}
        )

    def lock(self, **options: Any) -> None:
        tools = self.tools(**options)
        LockFile().with_listing("bank", tools.target.to_json(), tools.listing()).save(self.folder / "lock.json")
        tools.close()

    @property
    def charged(self) -> list[int]:
        path = self.folder / "ledger.jsonl"
        return [json.loads(line)["amount"] for line in path.read_text().splitlines()] if path.exists() else []

    def forget(self) -> None:
        """Be as on the first day."""
        for name in ("ledger.jsonl", "token", "die", "legacy", "authorizations"):
            (self.folder / name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpBank]:
    bank = HttpBank(tmp_path_factory.mktemp("http"))
    bank.start()
    bank.lock()
    try:
        yield bank
    finally:
        bank.stop()


@pytest.fixture(params=["2026-07-28", "2025-11-25"])
def bank(request: pytest.FixtureRequest, running: HttpBank) -> Iterator[HttpBank]:
    running.forget()
    if running.process is None or running.process.poll() is not None:
        running.start()
    if request.param != "2026-07-28":
        (running.folder / "legacy").touch()
    yield running
    running.forget()


def test_a_call_goes_there_and_back(bank: HttpBank, saver: SQLCheckpointer) -> None:
    contract = bank.tools().contract("transfer")

    state = graph_of(contract, {"amount": 3}, saver=saver).invoke(SAID, thread(), context=ADA)

    assert state["last_result"]["output"] == {"left": 97}


async def test_a_call_goes_there_and_back_asynchronously(bank: HttpBank, saver: SQLCheckpointer) -> None:
    graph = graph_of(bank.tools().contract("transfer"), {"amount": 3}, saver=saver)

    state = await graph.ainvoke(SAID, thread(), context=ADA)

    assert state["last_result"]["output"] == {"left": 97}


def test_the_servers_own_no_is_a_refusal(bank: HttpBank) -> None:
    with pytest.raises(Refused, match="not today"):
        bank.tools().contract("refuse").call({"why": "not today"})


def test_a_token_is_asked_for_anew_at_each_request_and_never_shown(
    bank: HttpBank, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (bank.folder / "token").write_text(TOKEN)
    monkeypatch.setenv("BANK_TOKEN", TOKEN)
    tools = bank.tools(headers={"Authorization": from_environment("BANK_TOKEN", "Bearer {}")})

    with caplog.at_level("DEBUG"):
        assert tools.contract("transfer").call({"amount": 3}) == {"left": 97}
        (bank.folder / "token").write_text("another")
        with pytest.raises(Refused) as raised:
            tools.contract("transfer").call({"amount": 3})

    monkeypatch.setenv("BANK_TOKEN", "another")
    assert tools.contract("transfer").call({"amount": 4}) == {"left": 93}
    assert "401" in raised.value.message
    assert raised.value.retryable
    assert TOKEN not in caplog.text + raised.value.message + repr(raised.value.details)


def test_without_its_credential_nothing_is_sent(bank: HttpBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANK_TOKEN", raising=False)
    tools = bank.tools(headers={"Authorization": from_environment("BANK_TOKEN")})

    with pytest.raises(Refused, match="BANK_TOKEN is not set") as raised:
        tools.contract("transfer").call({"amount": 3})

    assert raised.value.reason == "missing_credential"
    assert not (bank.folder / "authorizations").exists()


def test_a_function_that_gives_no_credential_is_not_quoted(bank: HttpBank) -> None:
    def broken() -> str:
        raise RuntimeError(f"cannot decode {TOKEN}")

    with pytest.raises(Refused, match="failed \\(RuntimeError\\)") as raised:
        bank.tools(headers={"Authorization": broken}).contract("transfer").call({"amount": 3})

    assert TOKEN not in raised.value.message


async def test_a_function_that_gives_a_credential_may_be_async(bank: HttpBank) -> None:
    async def token() -> str:
        return f"Bearer {TOKEN}"

    (bank.folder / "token").write_text(TOKEN)

    assert await bank.tools(headers={"Authorization": token}).contract("transfer").acall({"amount": 3}) == {"left": 97}


def test_a_server_that_is_away_is_found_again(bank: HttpBank) -> None:
    contract = bank.tools(recheck=60).contract("transfer")
    contract.call({"amount": 1})
    bank.stop()

    with pytest.raises(Refused, match=r"(cannot|could not) be reached") as raised:
        contract.call({"amount": 2})
    bank.start()

    assert raised.value.retryable
    assert contract.call({"amount": 3}) == {"left": 96}
    assert bank.charged == [1, 3]


def test_a_server_that_dies_in_the_middle_of_a_call_leaves_it_open(bank: HttpBank) -> None:
    contract = bank.tools().contract("transfer")
    (bank.folder / "die").touch()

    with pytest.raises(AnswerLost):
        contract.call({"amount": 1})
    bank.start()

    assert contract.call({"amount": 2}) == {"left": 97}
    assert bank.charged == [1, 2]


def test_a_repeated_call_is_charged_once(bank: HttpBank, saver: SQLCheckpointer) -> None:
    (bank.folder / "die").touch()
    retry = RetryPolicy(attempts=60, initial=0.5, multiplier=1)
    contract = bank.tools(idempotent=["transfer"], retry=retry).contract("transfer")
    graph = graph_of(contract, {"amount": 3}, saver=saver)

    def again() -> None:
        assert bank.process is not None
        bank.process.wait()
        bank.start()

    guard = threading.Thread(target=again)
    guard.start()
    state = graph.invoke(SAID, thread(), context=ADA)
    guard.join()

    assert state["last_result"]["output"] == {"left": 97}
    assert bank.charged == [3]


def test_the_trace_goes_along(bank: HttpBank) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("here") as span:
        bank.tools().contract("transfer").call({"amount": 3})

    sent = json.loads((bank.folder / "ledger.jsonl").read_text())["traceparent"]
    assert sent.split("-")[1] == format(span.get_span_context().trace_id, "032x")
