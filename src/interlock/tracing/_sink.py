"""The local trace sink: a small server that implements LangSmith's ingest protocol and stores what it receives."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from ..tools.errors import InvalidInput, StoreUnavailable
from . import _ingest
from ._arrived import ArrivedRun, trees

_SIZE_LIMIT = 20 * 1024 * 1024
_NAMESPACE = uuid.UUID("6f7a3f5e-8f4c-5c58-9c59-0a8f0c1f7b1e")


class TraceSink:
    """A local server that accepts what a LangSmith client sends: for tests, and for people without an account.

        with TraceSink() as sink:
            graph.invoke(..., {"callbacks": [InterlockTracer(client=sink.client())]})
            sink.wait_for(lambda: sink.find("case: validated"))

    Args:
        port: The port on 127.0.0.1; by default a free one.
        status: The HTTP status of every answer. Use another one than 200 to simulate a failing service.
        delay: The delay of each answer, in seconds.
        compression: Whether to announce that clients may compress.
        multipart: Whether to announce that clients may send multipart bodies; otherwise they send batches.
        heard: A function that is called with each run whose end has arrived.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        status: int = 200,
        delay: float = 0.0,
        compression: bool = True,
        multipart: bool = True,
        heard: Callable[[ArrivedRun], None] | None = None,
    ) -> None:
        self.status = status
        self.delay = delay
        self.compression = compression
        self.multipart = multipart
        self.requests: list[str] = []
        """Method and path of each request, in their order."""
        self._heard = heard
        self._runs: dict[str, ArrivedRun] = {}
        self._feedback: dict[str, dict[str, Any]] = {}
        self._received: list[bytes] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.sink = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="trace-sink", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The value for `LANGSMITH_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that send a program's traces here."""
        return {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": self.url,
            "LANGSMITH_API_KEY": "local",  # the client requires a key even for a local address
            "LANGSMITH_PROJECT": "local",
        }

    def client(self, **options: Any) -> Any:
        """Return a `langsmith.Client` that sends to this server."""
        from langsmith import Client  # noqa: PLC0415 -- it takes a tenth of a second to import

        return Client(**{"api_url": self.url, "api_key": "local", **options})

    @property
    def runs(self) -> list[ArrivedRun]:
        """The runs that have arrived, by their start."""
        with self._changed:
            return sorted(self._runs.values(), key=lambda run: run.order)

    @property
    def feedback(self) -> list[dict[str, Any]]:
        """The feedback that has arrived, without duplicates by ID."""
        with self._changed:
            return list(self._feedback.values())

    @property
    def text(self) -> str:
        """Everything that was sent, unprocessed, so that a test can search it for secrets."""
        with self._changed:
            return b"\n".join(self._received).decode("utf-8", "replace")

    def named(self, name: str) -> list[ArrivedRun]:
        """The runs of this name."""
        return [run for run in self.runs if run.name == name]

    def find(self, name: str) -> ArrivedRun | None:
        """The last run of this name."""
        return next(iter(reversed(self.named(name))), None)

    def run(self, run_id: str) -> ArrivedRun:
        """The run of this id.

        Raises:
            KeyError: It has not arrived.
        """
        with self._changed:
            return self._runs[str(run_id)]

    def tree(self) -> str:
        """Return all runs as indented trees."""
        return trees(self.runs, self.feedback)

    def tree_of(self, trace_id: str) -> str:
        """One trace, as an indented tree."""
        return trees([run for run in self.runs if run.trace_id == trace_id], self.feedback)

    def wait_for(self, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        """Wait until the condition is true, checking it again after each arrival. Return its value.

        Raises:
            StoreUnavailable: The condition was not true in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, 0.1))
        raise StoreUnavailable(
            f"What was waited for did not arrive at the trace sink within {seconds:g} s. It has {len(self._runs)} runs and "
            f"{len(self._feedback)} feedbacks:\n{self.tree()}"
        )

    def clear(self) -> None:
        """Delete everything that has arrived."""
        with self._changed:
            self._runs.clear()
            self._feedback.clear()
            self._received.clear()
            self.requests.clear()

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # Called by the handler

    def delay_answer(self) -> None:
        """Delay the answer as configured."""
        if self.delay:
            self._closing.wait(self.delay)

    def take(self, operations: list[_ingest.Operation], raw: bytes) -> None:
        """Store the operations of a request."""
        ended: list[ArrivedRun] = []
        with self._changed:
            self._received.append(raw)
            for operation, about, fields in operations:
                if operation == "feedback":
                    self._feedback[about] = fields
                    continue
                run = self._runs.setdefault(about, ArrivedRun(about))
                before = run.has_ended
                run.take(operation, fields)
                if run.has_ended and not before:
                    ended.append(run)
            self._changed.notify_all()
        if self._heard is not None:
            for run in ended:
                self._heard(run)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # With reuse a second sink on the port of the first would silently share its connections.
    allow_reuse_address = True
    sink: TraceSink


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Do not log requests: the sink records them itself."""

    def do_GET(self) -> None:
        sink = self.server.sink
        sink.requests.append(f"GET {self.path}")
        sink.delay_answer()
        path = urlsplit(self.path).path.removeprefix("/api/v1")
        if sink.status != 200:
            self._answer(sink.status, {"detail": "the sink was told to fail"})
        elif path == "/info":
            self._answer(
                200,
                {
                    "version": "0.13.0",
                    "instance_flags": {"zstd_compression_enabled": sink.compression},
                    "batch_ingest_config": {
                        "use_multipart_endpoint": sink.multipart,
                        "scale_up_qsize_trigger": 1000,
                        "scale_up_nthreads_limit": 4,
                        "scale_down_nempty_trigger": 4,
                        "size_limit": 100,
                        "size_limit_bytes": _SIZE_LIMIT,
                    },
                },
            )
        elif path == "/sessions":
            name = parse_qs(urlsplit(self.path).query).get("name", ["default"])[0]
            self._answer(200, [_session(name)])
        elif path.startswith("/sessions/"):
            self._answer(200, {**_session("local"), "id": path.split("/")[2]})
        elif path.startswith("/runs/"):
            self._answer_run(path.split("/")[2])
        else:
            self._answer(404, {"detail": f"the trace sink does not know {path}"})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sink = self.server.sink
        sink.requests.append(f"POST {self.path}")
        sink.delay_answer()
        if sink.status != 200:
            self._answer(sink.status, {"detail": "the sink was told to fail"})
            return
        try:
            body = _ingest.decoded(raw, self.headers.get("Content-Encoding"))
            match urlsplit(self.path).path.removeprefix("/api/v1"):
                case "/runs/multipart":
                    operations = list(_ingest.multipart(body, self.headers.get("Content-Type", "")))
                case "/runs/batch":
                    operations = list(_ingest.batch(body))
                case "/runs":
                    operations = [_ingest.single("post", body)]
                case "/feedback":
                    operations = [_ingest.single("feedback", body)]
                case other:
                    self._answer(404, {"detail": f"the trace sink does not know {other}"})
                    return
        except (InvalidInput, KeyError) as error:
            self._answer(422, {"detail": str(error)})
            return
        sink.take(operations, body)
        self._answer(202, operations[0][2] if len(operations) == 1 else {"message": "accepted"})

    def do_PATCH(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sink = self.server.sink
        sink.requests.append(f"PATCH {self.path}")
        sink.delay_answer()
        if sink.status != 200:
            self._answer(sink.status, {"detail": "the sink was told to fail"})
            return
        about = urlsplit(self.path).path.rsplit("/", 1)[-1]
        try:
            body = _ingest.decoded(raw, self.headers.get("Content-Encoding"))
            sink.take([_ingest.single("patch", body, about)], body)
        except InvalidInput as error:
            self._answer(422, {"detail": str(error)})
            return
        self._answer(202, {"message": "accepted"})

    def _answer_run(self, run_id: str) -> None:
        try:
            fields = self.server.sink.run(run_id).fields
        except KeyError:
            self._answer(404, {"detail": f"no run {run_id} has arrived"})
            return
        self._answer(200, fields)

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _session(name: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(_NAMESPACE, name)),
        "name": name,
        "tenant_id": str(_NAMESPACE),
        "start_time": "2026-01-01T00:00:00+00:00",
        "reference_dataset_id": None,
    }
