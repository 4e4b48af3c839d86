"""Runs the protocol's conformance suite against the fixture, and the Inspector's command line against the retail desk.

    make mcp-conformance                     # both protocol revisions, and the Inspector
    make mcp-conformance ARGS="--inspector"  # a part

Both need Node 22.19 or later: npm's package `node` brings it, into a folder of its own (`.mcp-conformance`). The exit code is 0 when
every scenario passes that is not in `expected-failures.yml`, and none of those does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.mcp.conformance import fixture, inspector
from tests.mcp.server.support import listening

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
FOLDER = ROOT / ".mcp-conformance"
REVISIONS = ("2026-07-28", "2025-11-25")


def environment(folder: Path) -> dict[str, str]:
    """Install what is pinned into a folder, once, and give the environment to run it in."""
    modules = folder / "node_modules"
    pinned = HERE / "package.json"
    installed = folder / "package.json"
    if not modules.is_dir() or installed.read_text("utf-8") != pinned.read_text("utf-8"):
        folder.mkdir(exist_ok=True)
        shutil.copyfile(pinned, installed)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], check=True, cwd=folder)
    return {**os.environ, "PATH": f"{modules / '.bin'}{os.pathsep}{os.environ['PATH']}"}


def suite(env: dict[str, str], folder: Path, revision: str) -> int:
    """Run what a revision requires; whatever fails beyond the expected is printed, and counts."""
    with listening(fixture.app()) as url:
        command = [
            "node", str(folder / "node_modules" / ".bin" / "conformance"), "server", "--url", f"{url}/mcp",
            "--requirements", revision, "--expected-failures", str(HERE / f"expected-failures-{revision}.yml"),
            "--output-dir", str(folder / "results"),
        ]  # fmt: skip
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, check=False, cwd=folder)
    summary = done.stdout.partition("=== SUMMARY ===")[2] or done.stdout + done.stderr
    print(f"\n## Conformance, {revision}\n{summary}", flush=True)
    return done.returncode


def main() -> int:
    """Run what was asked for; all of it by default."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", choices=REVISIONS, action="append", help="only this revision of the suite")
    parser.add_argument("--inspector", action="store_true", help="only the Inspector's command line")
    asked = parser.parse_args()
    env = environment(FOLDER)
    everything = not asked.suite and not asked.inspector
    codes = [suite(env, FOLDER, one) for one in (REVISIONS if everything else asked.suite or ())]
    if asked.inspector or everything:
        codes.append(inspector.run(env, FOLDER))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
