"""Runs the client scenarios of the protocol's conformance suite, as 2026-07-28 requires them, with `MCPTools` as the client.

    make mcp-conformance-client
    make mcp-conformance-client ARGS="--scenario auth/metadata-default"

The suite is the one that `make mcp-conformance` runs, pinned in `tests/mcp/conformance/package.json`. Scenarios run one after another: all
at once they would be forty clients. The exit code is 0 when every scenario passes that is not in `expected-failures.yml`, and none of those does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

from tests.mcp.conformance.installing import MODULES, ROOT, SUITE, environment

HERE = Path(__file__).parent
REVISION = "2026-07-28"


def passes(env: dict[str, str], scenario: str, seconds: int) -> bool:
    """Play one scenario, and print what it says where it fails."""
    command = [
        "node",
        str(MODULES / ".bin" / "conformance"),
        "client",
        "--command",
        f"{sys.executable} -m tests.mcp.conformance_client.client",
        "--timeout",
        str(seconds * 1000),
        "--scenario",
        scenario,
    ]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    print(f"{'passed' if done.returncode == 0 else 'FAILED'}  {scenario}", flush=True)
    if done.returncode:
        print(done.stdout[-3_000:] + done.stderr[-3_000:], flush=True)
    return done.returncode == 0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenario", action="append", help="only this one")
    parser.add_argument("--timeout", type=int, default=120, help="seconds that the client has for a scenario")
    asked = parser.parse_args()
    env = environment()
    requirements = SUITE / "requirements" / f"{REVISION}.yaml"
    required: list[str] = yaml.safe_load(requirements.read_text("utf-8"))["client"]
    expected: list[str] = yaml.safe_load((HERE / "expected-failures.yml").read_text("utf-8"))["client"]
    scenarios = asked.scenario or required
    failed = {one for one in scenarios if not passes(env, one, asked.timeout)}
    wrong = {one for one in scenarios if (one in failed) is not (one in expected)}
    print(
        f"{len(scenarios) - len(failed)} of {len(scenarios)} pass; not as expected: {', '.join(sorted(wrong)) or 'none'}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
