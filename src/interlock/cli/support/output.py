"""The output and exit codes of every command: text for people, JSON for scripts, and errors with what to do.

| exit code | meaning |
|---|---|
| 0 | done; the answer is yes |
| 1 | the answer is no: refused, denied, does not verify |
| 2 | wrong usage, or an `InterlockError`, whose message says what to do |
| 3 | a retryable `InterlockError`: the same command may work when it is tried again |
| 130 | interrupted |
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from ...tools.errors import InputError, InterlockError
from ...tools.sinks import json_text, short, visible

if TYPE_CHECKING:
    from rich.console import Console


class ExitCode(IntEnum):
    """How a command ends."""

    OK = 0
    NO = 1
    """What was asked about is not so, or was refused."""
    ERROR = 2
    TRY_AGAIN = 3
    INTERRUPTED = 130


_JSON = "interlock.json"


def _remember(context: typer.Context, wanted: bool) -> bool:
    if wanted:
        context.find_root().meta[_JSON] = True
    return wanted


AsJson = Annotated[
    bool, typer.Option("--json", callback=_remember, is_eager=True, help="Print JSON, also for errors, for scripts.")
]
"""The option of every command: ``def command(..., as_json: AsJson = False)``."""


class InterlockGroup(TyperGroup):
    """The root of the commands: an `InterlockError` is printed, never shown as a traceback."""

    @override
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InterlockError as error:
            print_error(error, as_json=bool(ctx.meta.get(_JSON)))
            raise typer.Exit(ExitCode.TRY_AGAIN if error.retryable else ExitCode.ERROR) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Where files are written whose place was given on the command line.

    Raises:
        InputError: They cannot be written there.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{str(path)!r} could not be written: {error.strerror or error}. Give a place that this process may write to.",
            code="not_written",
        ) from error


def console(*, stderr: bool = False) -> "Console":
    """A console for text; it has colours only on a terminal that shows them.

    Nothing that is printed on it is markup, and whatever a terminal would obey is made visible on its way out, also where nobody
    thought of it.
    """
    from ._terminal import SafeConsole  # noqa: PLC0415 -- a script that asks for JSON need not wait for it

    return SafeConsole(stderr=stderr)


def program() -> str:
    """The command with which this program was started; it may not be on the path."""
    called = Path(sys.argv[0])
    if called.stem != "interlock":
        return "python -m interlock"
    found = shutil.which("interlock")
    if found is not None and Path(found).samefile(called):
        return "interlock"
    return os.path.relpath(called)


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    sys.stdout.write(json_text(value) + "\n")
    sys.stdout.flush()  # a reading program may act on each line immediately


def print_error(error: InterlockError, *, as_json: bool) -> None:
    """Print an error and what to do: on standard error, or as JSON on standard output."""
    if as_json:
        body = {
            "code": str(error.code),
            "message": error.message,
            "retryable": error.retryable,
            "details": error.details,
        }
        print_json({"ok": False, "error": body})
        return
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    out = console(stderr=True)
    out.print(Text.assemble(("Error ", "bold red"), (f"({error.code})", "dim")))
    out.print(Padding(Text(visible(error.message)), (0, 0, 0, 2)))
    if error.retryable:
        out.print(Padding(Text("It may work when you try again.", style="dim"), (0, 0, 0, 2)))


__all__ = [
    "AsJson",
    "ExitCode",
    "InterlockGroup",
    "console",
    "print_error",
    "print_json",
    "program",
    "short",
    "visible",
]
