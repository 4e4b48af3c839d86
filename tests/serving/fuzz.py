"""Fuzz the HTTP API from its own description, with schemathesis in an environment of its own: `make fuzz`.

No answer may be a 500, have another shape than its description says, or come without being asked for by the right method. What the API
refuses for where an instance stands is no fault, so a refused request that fits the schema is not counted; nor is `Allow`, in which
Starlette names the methods of one route and not of all routes of a path.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import httpx

SCHEMATHESIS = "schemathesis==4.32.5"
ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-fuzz"
LEFT_OUT = "positive_data_acceptance,allow_header_conformance"


def tool() -> Path:
    """The fuzzer, installed when it is not there."""
    found = ENVIRONMENT / "bin" / "schemathesis"
    marker = ENVIRONMENT / SCHEMATHESIS
    if not marker.exists():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "--quiet", SCHEMATHESIS], check=True)
        marker.touch()
    return found


def main(examples: str = "40") -> int:
    """Serve a desk, fuzz it as a customer, an approver and an operator, and say how it went."""
    fuzzer = tool()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.serving.fuzzed", f"sqlite:///{folder}/desk.db"]
        serving = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert serving.stdout is not None
        try:
            url, workflow_id, approval_id = serving.stdout.readline().split()
            assert re.match(r"http://127\.0\.0\.1:\d+$", url)
            with httpx.Client(base_url=url, transport=httpx.HTTPTransport(retries=50)) as client:
                client.get("/healthz").raise_for_status()
            settings = Path(folder, "schemathesis.toml")
            settings.write_text(
                f'[parameters]\n"path.workflow_id" = "{workflow_id}"\n"path.approval_id" = "{approval_id}"\n'
            )
            worst = 0
            for who in ("kim", "sue", "olga"):
                done = subprocess.run(
                    [
                        fuzzer, "--config-file", settings, "run", f"{url}/openapi.json", "-H", f"x-test-user: {who}", "--max-examples", examples,
                        "--checks", "all", "--exclude-checks", LEFT_OUT, "--exclude-path-regex", "/events$", "--seed", "2026",
                    ],
                    check=False,
                    env={**os.environ, "COLUMNS": "160"},
                )  # fmt: skip
                worst = max(worst, done.returncode)
            return worst
        finally:
            serving.terminate()
            serving.wait(60)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:2]))
