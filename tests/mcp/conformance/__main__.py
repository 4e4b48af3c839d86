"""Runs the protocol's conformance suite against the fixture, and the Inspector's command line against the retail desk and the case workflow.

    make mcp-conformance                     # both protocol revisions, and the Inspector
    make mcp-conformance ARGS="--inspector"  # a part

Both need Node 22.19 or later: npm's package `node` brings it, into a folder of its own (`.mcp-conformance`). The exit code is 0 when
every scenario passes that is not in `expected-failures.yml`, and none of those does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import yaml

from tests.mcp.conformance import fixture, inspector, inspector_checks
from tests.mcp.conformance.installing import FOLDER, HERE, MODULES, SUITE, environment
from tests.mcp.server.support import listening

REVISIONS = ("2026-07-28", "2025-11-25")


def suite(env: dict[str, str], revision: str) -> int:
    """Run what a revision requires; whatever fails beyond the expected is printed, and counts."""
    expected = HERE / f"expected-failures-{revision}.yml"
    with listening(fixture.app()) as url:
        command = [
            "node", str(MODULES / ".bin" / "conformance"), "server", "--url", f"{url}/mcp",
            "--requirements", revision, "--expected-failures", str(expected),
            "--output-dir", str(FOLDER / "results"),
        ]  # fmt: skip
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, check=False, cwd=FOLDER)
    summary = done.stdout.partition("=== SUMMARY ===")[2] or done.stdout + done.stderr
    print(f"\n## Conformance, {revision}\n{summary}", flush=True)
    if done.returncode == 0:
        scored: list[str] = yaml.safe_load((SUITE / "requirements" / f"{revision}.yaml").read_text("utf-8"))["server"]
        failing: list[str] = yaml.safe_load(expected.read_text("utf-8"))["server"]
        print(
            f"{len({*scored} - {*failing})} of {len(scored)} scored scenarios pass, and the others fail for the reasons in {expected.name}."
        )
    return done.returncode


def main() -> int:
    """Run what was asked for; all of it by default."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", choices=REVISIONS, action="append", help="only this revision of the suite")
    parser.add_argument("--inspector", action="store_true", help="only the Inspector's command line")
    asked = parser.parse_args()
    env = environment()
    everything = not asked.suite and not asked.inspector
    codes = [suite(env, one) for one in (REVISIONS if everything else asked.suite or ())]
    if asked.inspector or everything:
        held = [inspector.demo_cases(env), inspector_checks.hostile_checks(env)]
        codes.append(int(not all(held)))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
