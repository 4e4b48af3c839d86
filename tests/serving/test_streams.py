"""Server-sent events over a real connection: records as they are written, resumed where a reader was cut off, ended when the service stops."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from interlock import Principal, SQLCheckpointer
from interlock.serving import service
from tests.serving.desk import KIM, OPERATOR, PEOPLE, Desk, by_header


class Running:
    """A service that listens on a port of its own."""

    def __init__(self, path: Path) -> None:
        self.desk = Desk()
        self.graph = self.desk.workflow().compile(SQLCheckpointer(f"sqlite:///{path}"))
        self.app = service(self.graph, principal=by_header)
        self.app.state.interlock.watch._interval = 0.02
        self.server = uvicorn.Server(uvicorn.Config(self.app, port=0, log_level="error", timeout_graceful_shutdown=20))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        waiting = threading.Event()
        while not self.server.started and self.thread.is_alive():
            waiting.wait(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def stop(self) -> None:
        self.app.state.interlock.watch.stop()
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.client.close()
        self.graph.checkpointer.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    it = Running(tmp_path / "desk.db")
    yield it
    it.stop()


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream."""
    found: dict[str, Any] = {}
    for line in lines:
        if not line:
            if "event" in found:
                yield found
            found = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = json.loads(value) if name == "data" else value


def test_records_come_as_they_are_written_and_a_reader_goes_on_where_it_was_cut_off(running: Running) -> None:
    workflow_id = running.graph.instances.start(principal=KIM).workflow_id
    path = f"/v1/instances/{workflow_id}/events"
    with running.client.stream("GET", path, headers={"x-test-user": "kim"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        arriving = events(answer.iter_lines())
        assert next(arriving)["data"]["kind"] == "started"
        running.graph.instances.propose(workflow_id, "mail.send", {"text": "one"}, principal=KIM, key="k-1")
        first = next(arriving)
        assert first["data"]["tool"] == "mail.send"
    cut_off_at = first["id"]
    running.graph.instances.propose(workflow_id, "mail.send", {"text": "two"}, principal=KIM, key="k-2")
    again = {"x-test-user": "kim", "Last-Event-ID": cut_off_at}
    with running.client.stream("GET", path, headers=again) as answer:
        numbers: list[int] = []
        total = running.graph.instances.get(workflow_id).audit_count
        for one in events(answer.iter_lines()):
            numbers.append(int(one["id"]))
            if numbers[-1] == total:
                break
    assert numbers == list(range(int(cut_off_at) + 1, total + 1))


def test_a_stream_of_somebody_elses_instance_is_refused(running: Running) -> None:
    workflow_id = running.graph.instances.start(principal=KIM).workflow_id
    for who, status in (("lee", 403), ("foreign", 404), ("nobody", 401)):
        assert (
            running.client.get(f"/v1/instances/{workflow_id}/events", headers={"x-test-user": who}).status_code
            == status
        )
    assert running.client.get("/v1/attention/events", headers={"x-test-user": "kim"}).status_code == 403


def test_a_stream_ends_when_its_reader_may_no_longer_look_on(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow_id = running.graph.instances.start(principal=KIM).workflow_id
    with running.client.stream("GET", f"/v1/instances/{workflow_id}/events", headers={"x-test-user": "olga"}) as answer:
        arriving = events(answer.iter_lines())
        assert next(arriving)["data"]["kind"] == "started"
        monkeypatch.setitem(PEOPLE, "olga", Principal("olga"))  # the role is taken away
        running.graph.instances.propose(workflow_id, "mail.send", {"text": "one"}, principal=KIM, key="k-1")
        assert list(arriving) == []


def test_the_queue_says_that_it_changed(running: Running) -> None:
    workflow_id = running.graph.instances.start(principal=KIM).workflow_id
    with running.client.stream("GET", "/v1/attention/events", headers={"x-test-user": "olga"}) as answer:
        arriving = events(answer.iter_lines())
        assert next(arriving)["event"] == "ready"
        watch = running.app.state.interlock.watch
        looked = threading.Event()
        while OPERATOR.tenant not in {tenant for _, seen in watch._looked.values() for tenant in seen.queues}:
            looked.wait(0.01)
        pending = running.graph.instances.propose(
            workflow_id, "order.refund", {"orderId": "W-7", "amount": "4.00"}, principal=KIM, key="k-1"
        )
        assert pending.ok is None
        assert next(arriving)["event"] == "changed"


def test_open_streams_do_not_hold_up_the_end(tmp_path: Path) -> None:
    running = Running(tmp_path / "desk.db")
    workflow_id = running.graph.instances.start(principal=KIM).workflow_id
    with running.client.stream("GET", f"/v1/instances/{workflow_id}/events", headers={"x-test-user": "kim"}) as answer:
        arriving = events(answer.iter_lines())
        next(arriving)
        running.app.state.interlock.watch.stop()
        running.server.should_exit = True
        assert list(arriving) == []
    running.thread.join(30)
    assert not running.thread.is_alive()
    running.client.close()
    running.graph.checkpointer.close()
