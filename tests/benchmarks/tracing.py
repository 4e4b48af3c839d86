"""What it costs that a trace tells the workflow's story: beside LangChain's own tracer on the same run."""

from __future__ import annotations

import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from langsmith import Client, tracing_context

import interlock.graphs.compiled
import interlock.nodes.base
from interlock import SQLCheckpointer
from interlock.testing import ScriptedChatModel, call
from interlock.tracing.runs import GraphRun
from tests.tracing.support import ADA, Shop, config

LIMIT = 1.15
STEPS = 20
WARM_UP, ROUNDS = 4, 30


class _Nowhere(requests.Session):
    """Takes what is sent at once, so that only what sending costs is measured."""

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = 200 if method == "GET" else 202
        response._content = (
            b'{"version": "0.13.0", "batch_ingest_config": {"use_multipart_endpoint": true, "size_limit": 100,'
            b' "size_limit_bytes": 20971520, "scale_up_nthreads_limit": 1, "scale_up_qsize_trigger": 1000,'
            b' "scale_down_nempty_trigger": 4}}'
        )
        response.headers["Content-Type"] = "application/json"
        return response


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """LangChain's tracer alone, and nothing told to it by the workflow."""

    @contextlib.contextmanager
    def unwatched(*_: Any) -> Iterator[None]:
        yield None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interlock.nodes.base, "watching", unwatched)
        patch.setattr(interlock.graphs.compiled, "traced_run", lambda _graph, given, *_: GraphRun(given))
        yield


def _cpu_seconds(client: Client, database: Path) -> float:
    model = ScriptedChatModel([call("order.get", orderId=f"W{number}") for number in range(STEPS)], forever="done")
    graph = Shop().flow(model).compile(SQLCheckpointer(f"sqlite:///{database}"))
    graph.engine.store.setup()
    gc.collect()
    with tracing_context(enabled=True, client=client):
        began = time.process_time()  # of all threads, so that what is done in the background counts too
        graph.invoke({"messages": [("user", "look")]}, config(recursion_limit=200), context=ADA)
        client.flush()
        took = time.process_time() - began
    graph.engine.store.close()
    return took


def main() -> None:
    """Run both in turns, so that whatever else the machine does hits both alike."""
    client = Client(api_url="http://127.0.0.1:9", api_key="local", session=_Nowhere())
    plain: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(-WARM_UP, ROUNDS):
            with _plainly():
                alone = _cpu_seconds(client, Path(name, f"plain{number}.db"))
            told = _cpu_seconds(client, Path(name, f"ours{number}.db"))
            if number >= 0:
                plain.append(alone)
                ours.append(told)
    client.close()
    ratio = statistics.median(ours) / statistics.median(plain)
    verdict = "within" if ratio <= LIMIT else "above"
    print(
        f"a run of {STEPS} steps: {statistics.median(ours) * 1e3:.0f} ms of processor time told, "
        f"{statistics.median(plain) * 1e3:.0f} ms with LangChain's tracer alone: ratio {ratio:.2f} ({verdict} {LIMIT})"
    )


if __name__ == "__main__":
    main()
