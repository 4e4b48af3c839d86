"""Tracing never decides anything: with LangSmith slow, failing or gone, a workflow does the same, in about the same time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command
from langsmith import Client, tracing_context

from interlock import SQLCheckpointer
from interlock.testing import ScriptedChatModel, TraceSink, call
from tests.tracing.support import ADA, BEN, Shop, config, edit_of, script, without_what_differs

ROOT = Path(__file__).parents[2]
TROUBLE = ["slow", "failing", "refusing"]


def _nobody_listens() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}"


@pytest.fixture(params=TROUBLE)
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """A LangSmith that is no help."""
    if request.param == "refusing":
        yield _nobody_listens()
        return
    with TraceSink(
        status=500 if request.param == "failing" else 200, delay=30 if request.param == "slow" else 0
    ) as sink:
        yield sink.url


def _client(url: str) -> Client:
    return Client(api_url=url, api_key="local", timeout_ms=500)


def _done(client: Client | None, database: str) -> tuple[Any, ...]:
    """What a run comes to: output, audit trail, what the tools did."""
    shop = Shop(down=1)
    graph = shop.flow(script()).compile(SQLCheckpointer(database))
    with tracing_context(enabled=client is not None, client=client):
        graph.invoke({"messages": [("user", "send W1")]}, config(), context=ADA)
        output = graph.invoke(Command(resume=edit_of(orderId="W1", amount="40", card="1234")), config(), context=BEN)
    trail = without_what_differs(graph, config())
    assert graph.engine.store.verify(graph.instances.id_of(config())) == []
    graph.engine.store.close()
    said = [(message.type, len(message.text) > 0) for message in output["messages"]]
    return output["state"], output["revision"], output["data"], said, trail, shop.charged, shop.sent


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    # The client tries again for a while when it is closed; a test need not wait for that.
    caplog.set_level("CRITICAL", logger="langsmith.client")


def test_results_and_records_are_the_same(endpoint: str, tmp_path: Path) -> None:
    untraced = _done(None, f"sqlite:///{tmp_path}/without.db")
    client = _client(endpoint)
    traced = _done(client, f"sqlite:///{tmp_path}/with.db")

    assert traced == untraced
    assert traced[0] == "sent"


def _twenty_steps(client: Client | None) -> float:
    model = ScriptedChatModel([call("order.get", orderId=f"W{number}") for number in range(20)], forever="done")
    graph = Shop().flow(model).compile()
    with tracing_context(enabled=client is not None, client=client):
        began = time.perf_counter()
        graph.invoke({"messages": [("user", "look")]}, config(recursion_limit=100), context=ADA)
        return time.perf_counter() - began


def test_the_time_that_is_added_to_twenty_steps_is_bounded(endpoint: str) -> None:
    plain = min(_twenty_steps(None) for _ in range(3))
    client = _client(endpoint)
    traced = min(_twenty_steps(client) for _ in range(3))

    # What is added is describing 40 runs, never waiting for an answer.
    assert traced - plain < 1.0, (traced, plain)


@pytest.mark.parametrize("kind", [*TROUBLE, "absent"])
def test_the_exit_status_of_a_program_is_the_same(kind: str, tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        from interlock import SQLCheckpointer
        from interlock.testing import ScriptedChatModel, call
        from tests.tracing.support import ADA, Shop, config
        import sys
        graph = Shop().flow(ScriptedChatModel([call("order.get", orderId="W1"), "done"])).compile(SQLCheckpointer(sys.argv[1]))
        output = graph.invoke({"messages": [("user", "look")]}, config(), context=ADA)
        print(output["state"], len(output["messages"]))
        sys.exit(7)
        """
    )
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_API_KEY": "local",
        "LANGSMITH_TIMEOUT_MS": "500",
    }
    sink: TraceSink | None = None
    if kind == "absent":
        environment.pop("LANGSMITH_API_KEY")
        environment["LANGSMITH_ENDPOINT"] = "http://langsmith.invalid"
    elif kind == "refusing":
        environment["LANGSMITH_ENDPOINT"] = _nobody_listens()
    else:
        sink = TraceSink(status=500 if kind == "failing" else 200, delay=3 if kind == "slow" else 0)
        environment["LANGSMITH_ENDPOINT"] = sink.url
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, f"sqlite:///{tmp_path}/shop.db"],
            env=environment, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    finally:
        if sink is not None:
            sink.close()

    assert (done.returncode, done.stdout.split()) == (7, ["open", "4"]), done.stderr


@pytest.mark.parametrize("broken", ["story", "mask", "client"])
def test_a_defect_of_tracing_itself_does_not_reach_the_workflow(
    broken: str, monkeypatch: pytest.MonkeyPatch, sink: TraceSink, client: Client, tmp_path: Path
) -> None:
    untraced = _done(None, f"sqlite:///{tmp_path}/without.db")

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a defect")

    target: dict[str, Callable[[], None]] = {
        "story": lambda: monkeypatch.setattr("interlock.tracing.story.place", fail),
        "mask": lambda: monkeypatch.setattr("interlock.tracing.outgoing.Mask.value", fail),
        "client": lambda: monkeypatch.setattr(Client, "create_run", fail),
    }
    target[broken]()

    assert _done(client, f"sqlite:///{tmp_path}/with.db") == untraced


def test_unsampled_it_does_the_same_and_sends_nothing(sink: TraceSink, tmp_path: Path) -> None:
    untraced = _done(None, f"sqlite:///{tmp_path}/without.db")
    client = sink.client(tracing_sampling_rate=0.0)
    unsampled = _done(client, f"sqlite:///{tmp_path}/with.db")
    client.flush()

    assert unsampled == untraced
    assert sink.runs == []
    client.close()
