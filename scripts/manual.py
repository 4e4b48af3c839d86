"""Makes the pages of the manual that come from code: the Python API and the command line. `docs/conf.py` calls it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

import interlock
from interlock.cli import app

STUB = Path(interlock.__file__).with_suffix(".pyi")

_API_HEAD = """\
# Python API

The public names of `interlock`, with their docstrings. Import them from `interlock` itself, as in `from interlock import Workflow`; each
module is imported when one of its names is first used. The last section has the names of [`interlock.testing`](#testing).
"""
_CLI_HEAD = """\
# Command line

Every command of `interlock`, as `interlock COMMAND --help` describes it. Workflows of your own are named `module:workflow`, as in
`interlock show shop.desk:workflow`. Every command takes `--json`, for scripts; [exit codes](../errors.md#exit-codes-of-the-command-line)
are the same for all. An option with a variable beside it can be [set in the environment](environment.md).
"""


def write(folder: Path) -> None:
    """Write the pages, each only when its text changed: Sphinx reads a page again when its file is newer."""
    for name, text in (("api.md", api_page()), ("cli.md", cli_page())):
        page = folder / name
        if not page.exists() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")


def api_page() -> str:
    """Every public name, under the heading that it has in the stub."""
    testing = sorted(importlib.import_module("interlock.testing").__all__)
    return _API_HEAD + "".join(_groups()) + _directives("Testing", "interlock.testing", testing)


def _groups() -> Iterator[str]:
    heading, names = "", []
    for line in STUB.read_text("utf-8").splitlines():
        if line.startswith("# "):
            if names:
                yield _directives(heading, "interlock", names)
            heading, names = line.removeprefix("# "), []
        elif heading and (found := re.search(r" as (\w+)$", line)):
            names.append(found[1])
    yield _directives(heading, "interlock", names)


def _directives(heading: str, module: str, names: list[str]) -> str:
    blocks = (f"\n```{{eval-rst}}\n.. {_directive(module, name)}:: {module}.{name}\n```\n" for name in names)
    return f"\n## {heading}\n{''.join(blocks)}"


def _directive(module: str, name: str) -> str:
    found = getattr(importlib.import_module(module), name)
    if isinstance(found, type):
        return "autoexception" if issubclass(found, BaseException) else "autoclass"
    return "autofunction" if callable(found) else "autodata"


def cli_page() -> str:
    """Every command with its arguments and options, in the groups of `interlock --help`."""
    # Typer brings a copy of Click of its own, whose classes have no types that could be named here.
    root: Any = typer.main.get_command(app)
    panels: dict[str, list[str]] = {}
    for name, command in root.commands.items():
        panels.setdefault(command.rich_help_panel or "Others", []).extend(_command(f"interlock {name}", command))
    return _CLI_HEAD + "".join(f"\n## {panel}\n{''.join(parts)}" for panel, parts in panels.items())


def _command(name: str, command: Any) -> Iterator[str]:
    if command.hidden:
        return
    children = getattr(command, "commands", None)
    if children:
        yield f"\n### {name}\n\n{_prose(command.help)}\n"
        for child, one in children.items():
            yield from _command(f"{name} {child}", one)
        return
    given = " ".join(one.metavar or one.name.upper() for one in command.params if one.param_type_name == "argument")
    yield f"\n### {name}\n\n`{f'{name} {given}'.strip()}`\n\n{_prose(command.help)}\n"
    rows = [_row(one) for one in command.params if not one.hidden and one.name not in {"help", "as_json"}]
    if rows:
        yield f"\n| | |\n|---|---|\n{''.join(rows)}"


def _row(one: Any) -> str:
    named = one.metavar or one.name.upper() if one.param_type_name == "argument" else ", ".join(one.opts)
    text = [_prose(one.help).replace("\n", " ")]
    if isinstance(one.default, str | int | float) and not isinstance(one.default, bool):
        text.append(f"Default: `{one.default}`.")
    if one.envvar:
        variables = [one.envvar] if isinstance(one.envvar, str) else one.envvar
        text.append(f"Variable: {', '.join(f'`{name}`' for name in variables)}.")
    return f"| `{named.replace('|', chr(92) + '|')}` | {' '.join(filter(None, text)).replace('|', chr(92) + '|')} |\n"


def _prose(text: str | None) -> str:
    # Angle brackets stand for what the reader fills in; Markdown would take them for HTML.
    return (text or "").strip().replace("<", "\\<")


def skips(_app: Any, _what: str, name: str, obj: Any, _skip: bool, _options: Any) -> bool | None:
    """Leave out what a class has from pydantic, LangChain or LangGraph; None leaves the choice to autodoc."""
    function = getattr(obj, "fget", None) or getattr(obj, "__func__", obj)
    module = getattr(function, "__module__", None) or "interlock"
    return True if name.startswith("model_") or module.split(".")[0] != "interlock" else None
