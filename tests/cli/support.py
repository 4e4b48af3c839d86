"""The command line as its users meet it: in this process for speed, and as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from interlock.cli import app


def run(*arguments: str, stdin: str | None = None) -> Result:
    """The command line in this process; an exception that escapes it fails the test."""
    result = CliRunner().invoke(app, [*arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lines(output: str) -> list[dict[str, Any]]:
    """JSON lines, every one of which must be one."""
    return [json.loads(line) for line in output.splitlines()]


@contextmanager
def started(*arguments: str, cwd: Path, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """The command line as a process of its own, which does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "interlock", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Its exit code, output and errors, once it ends by itself."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def run_apart(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    """The exit code, output and errors of the command line as a process of its own."""
    with started(*arguments, cwd=cwd) as process:
        return finish(process)
