"""`interlock serve` as a process: how it begins, whom it serves, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.cli.support import run


def started(path: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """A process that serves, and where."""
    command = [
        sys.executable, "-m", "interlock", "serve", "--app", "case", "--db", f"sqlite:///{path}", "--port", "0", *options
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"})
    assert process.stdout is not None
    line = process.stdout.readline()
    where = re.search(r"http://[\d.]+:\d+", line)
    assert where is not None, line
    return process, where.group()


def test_the_command_serves_until_it_is_stopped(tmp_path: Path) -> None:
    process, url = started(tmp_path / "case.db", "--development")
    try:
        with httpx.Client(base_url=url, timeout=60, transport=httpx.HTTPTransport(retries=20)) as client:
            assert client.get("/readyz").json()["status"] == "ready"
            begun = client.post("/v1/workflows/case/instances", json={})
            assert begun.status_code == 201, begun.text
            call = {"tool": begun.json()["nextAllowedTools"][0], "arguments": {"no": "such"}}
            denied = client.post(f"{begun.headers['location']}/proposals", json=call, headers={"Idempotency-Key": "k"})
            assert denied.status_code == 422
            rebound = client.get("/v1/instances", headers={"Host": "rebound.example"})
            assert rebound.status_code == 400
            assert "Development mode." in client.get("/console/attention").text
            assert "interlock_denials_total{" in client.get("/metrics").text
            with client.stream("GET", "/v1/attention/events") as stream:
                lines = stream.iter_lines()
                assert next(lines) == "event: ready"
                process.send_signal(signal.SIGTERM)
                assert [line for line in lines if line.startswith("event")] == []
        assert process.wait(60) in {0, -signal.SIGTERM}
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_it_does_not_begin_without_knowing_who_calls(tmp_path: Path) -> None:
    path = f"sqlite:///{tmp_path / 'case.db'}"
    for options, said in (
        ([], "has to know who calls"),
        (["--issuer", "https://login.example"], "has to know who calls"),
        (["--development", "--host", "0.0.0.0"], "on this machine alone"),  # noqa: S104 -- that it is refused is the test
    ):
        done = run("serve", "--app", "case", "--db", path, *options)
        assert done.exit_code == 2
        assert said in " ".join(done.output.split())
