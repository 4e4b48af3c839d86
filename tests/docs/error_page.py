"""Writes `docs/errors.md` from the code: `python -m tests.docs.error_page`."""

import ast
import inspect
import textwrap
from collections.abc import Iterator

from interlock.cli.support.output import ExitCode
from interlock.tools import codes, errors
from tests.docs.blocks import ROOT
from tests.docs.narrower_codes import MEANINGS

PAGE = ROOT / "docs" / "errors.md"

_HEAD = """\
# Errors

Every error has a code for programs, a flag that says whether the same call may succeed when it is repeated, and
a message that says what happened, what the current state is, and what to do.

This page is generated from the code (`python -m tests.docs.error_page`), and a test keeps it up to date.

## Codes on the wire

A proposal that is not executed is answered with `{"ok": false, ..., "error": {"code": ..., "message": ..., "retryable":
..., "details": ...}}`, for the model and for the caller alike, and recorded in the audit trail. The codes are a
closed set, `interlock.ErrorCode`:

| code | meaning |
|---|---|
"""
_RAISED = """
## Exceptions

All other errors are raised as exceptions. They are subclasses of `interlock.InterlockError`, with `code`, `message`, `retryable` and
`details`. Catch the class that you can handle.

| exception | code | retryable | meaning |
|---|---|---|---|
"""
_NARROWER = """
## Narrower codes

Some exceptions have several causes. If a program may need to distinguish them, the error has a more specific code instead of
the code of its class:

| code | meaning |
|---|---|
"""
_EXIT = """
## Exit codes of the command line

With `--json`, an error is one line on standard output: `{"ok": false, "error": {...}}`, with the same fields.

| exit code | meaning |
|---|---|
"""
_EXIT_WORDS = {
    ExitCode.OK: "done",
    ExitCode.NO: "the answer is no: refused, denied, does not verify",
    ExitCode.ERROR: "wrong usage, or an error whose message says what to do",
    ExitCode.TRY_AGAIN: "a temporary error: try again",
    ExitCode.INTERRUPTED: "interrupted",
}


def page() -> str:
    """The whole page."""
    rows = "".join(f"| `{code}` | {text} |\n" for code, text in _codes())
    raised = "".join(_branch(errors.InterlockError, 0))
    exits = "".join(f"| {code.value} | {words} |\n" for code, words in _EXIT_WORDS.items())
    narrower = "".join(f"| `{code}` | {MEANINGS[code]} |\n" for code in sorted(MEANINGS))
    return _HEAD + rows + _RAISED + raised + _NARROWER + narrower + _EXIT + exits


def _codes() -> Iterator[tuple[str, str]]:
    """Each code with the docstring under it, which is in the source only."""
    (enum,) = (node for node in ast.parse(inspect.getsource(codes)).body if isinstance(node, ast.ClassDef))
    for member, said in zip(enum.body, enum.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant):
            yield ast.literal_eval(member.value), _flat(str(said.value.value))


def _branch(error: type[errors.InterlockError], depth: int) -> Iterator[str]:
    indent = "&nbsp;&nbsp;" * depth
    first = _flat(textwrap.dedent(error.__doc__ or "").split("\n\n")[0])
    retryable = "yes" if error.default_retryable else ""
    yield f"| {indent}`{error.__name__}` | `{error.default_code}` | {retryable} | {first} |\n"
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _branch(child, depth + 1)


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
