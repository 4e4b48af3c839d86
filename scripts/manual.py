"""Makes the pages of the manual that come from code: the Python API, the command line and the tables. `docs/conf.py` calls it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
import typer.main
from sqlalchemy.dialects import postgresql

import interlock
from interlock.checkpointing import tables
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


_TABLES_HEAD = """\
# Tables and columns

Every table that Interlock creates, with all of its columns and their types on PostgreSQL. [The SQL schema](../schema.md) explains how they work together. The
names and the meaning of columns may change with a minor release; migrations carry the data over. Read them with SQL for reports, but change them only through
Interlock. The table `workflow_schema` has the number of the last migration. Times are microseconds since 1970 UTC, and an empty cell means that the name says it all.
"""


_ABOUT = {
    "workflow_approvals": "One row for each request for a decision.",
    "workflow_audit": "The audit trail: one row for each record, chained by hashes.",
    "workflow_budgets": "What models have used of each budget, and what is reserved.",
    "workflow_cancellations": "One row for each instance that was cancelled, or has a deadline for it.",
    "workflow_counted": "The counter after each ledger entry, for limits within a period.",
    "workflow_counters": "One row for each counter of a policy that counts.",
    "workflow_decisions": "One row for each decision that a person took on an approval.",
    "workflow_definitions": "The definitions that have run: one row for each fingerprint.",
    "workflow_delegations": "Who decides for whom while they are away.",
    "workflow_feedback": "Feedback that waits to be sent to LangSmith.",
    "workflow_inbox": "One row for each event that was delivered, for each workflow.",
    "workflow_instances": "One row for each workflow instance: the truth about state, data and revision.",
    "workflow_ledger": "One row for each command, under its idempotency key.",
    "workflow_looks": "Up to where a tick has looked through the events.",
    "workflow_outbox": "Events that wait to be published, and those that were.",
    "workflow_outcomes": "Sums of decisions of long ago, for `outcomes()`.",
    "workflow_recovery": "A single row: whether work is held after a restored backup.",
    "workflow_relay_lanes": "Which relay publishes the events of an instance now.",
    "workflow_resumptions": "Graphs to resume after something was settled, and the attempts to do so.",
    "workflow_retired": "The end of the audit trail of each retired instance.",
    "workflow_sources": "Keyed hashes of the values that a policy may trust, for `TrustedOrigins`.",
    "workflow_wait_events": "The events that a wait expects, and the key by which it is found.",
    "workflow_wait_items": "What a wait with a fan-out expects, one row for each key.",
    "workflow_waits": "One row for each wait of an instance.",
    "workflow_webhooks": "Notifications that wait to be sent to an address.",
}
"""The tables that have no docstring."""


_MEANT = {
    (
        "workflow_approvals",
        "interrupt_id",
    ): "the interrupt of its graph; NULL once the graph has continued after the decision, and if no graph asked",
    ("workflow_cancellations", "calls"): "the executed calls, newest first, and what became of each, as JSON",
    ("workflow_instances", "running_key"): "the command whose outside effect is in progress",
    ("workflow_recovery", "identity"): "the identity of the server when work last continued, as JSON",
    ("workflow_waits", "resumed"): "0 from its end until the graph has resumed after it",
}
"""Columns whose comment in the database is not for readers."""


def write(folder: Path) -> None:
    """Write the pages, each only when its text changed: Sphinx reads a page again when its file is newer."""
    for name, text in (("api.md", api_page()), ("cli.md", cli_page()), ("tables.md", tables_page())):
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
    shown = [one for one in command.params if not one.hidden and one.name not in {"help", "as_json"}]
    usage = " ".join(
        [name, *(_usage(one) for one in shown if one.required), *(["[OPTIONS]"] if _has_options(shown) else [])]
    )
    yield f"\n### {name}\n\n```sh\n{usage}\n```\n\n{_prose(command.help)}\n"
    rows = [_row(one) for one in shown]
    if rows:
        yield f"\n| | |\n|---|---|\n{''.join(rows)}"


def _usage(one: Any) -> str:
    value = one.metavar or one.name.upper()
    return value if one.param_type_name == "argument" else f"{one.opts[0]} {value}"


def _has_options(params: list[Any]) -> bool:
    return any(one.param_type_name != "argument" and not one.required for one in params)


def _row(one: Any) -> str:
    named = one.metavar or one.name.upper() if one.param_type_name == "argument" else ", ".join(one.opts)
    text = [_prose(one.help).replace("\n", " ")]
    if one.required and one.param_type_name != "argument":
        text.append("Required.")
    if isinstance(one.default, str | int | float) and not isinstance(one.default, bool):
        text.append(f"Default: `{one.default}`.")
    if one.envvar:
        variables = [one.envvar] if isinstance(one.envvar, str) else one.envvar
        text.append(f"Variable: {', '.join(f'`{name}`' for name in variables)}.")
    return f"| `{named.replace('|', chr(92) + '|')}` | {' '.join(filter(None, text)).replace('|', chr(92) + '|')} |\n"


def _prose(text: str | None) -> str:
    # Angle brackets stand for what the reader fills in; Markdown would take them for HTML.
    escaped = (text or "").strip().replace("<", "\\<")
    # An option is set as code, unless it is inside of code already.
    return re.sub(r"(`[^`]*`)|(?<![\w-])(--[a-z][a-z-]*)", lambda found: found[1] or f"`{found[2]}`", escaped)


def tables_page() -> str:
    """Every table with its columns: the comment that the database has, or else the one in the source."""
    parts = []
    for module in sorted(one.name for one in pkgutil.iter_modules(tables.__path__)):
        parts += _tables_in(importlib.import_module(f"{tables.__name__}.{module}"))
    return _TABLES_HEAD + "".join(text for _, text in sorted(parts))


def _tables_in(module: ModuleType) -> Iterator[tuple[str, str]]:
    text = Path(str(module.__file__)).read_text("utf-8")
    lines, body = text.splitlines(), ast.parse(text).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        call = node.value if isinstance(node, ast.Assign) else None
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "sa.Table"):
            continue
        table: sa.Table = getattr(module, ast.unparse(node.targets[0]))
        about = (
            following.value.value
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            else _ABOUT[table.name]
        )
        said = {
            ast.literal_eval(one.args[0]): _said(one, lines)
            for one in call.args[2:]
            if isinstance(one, ast.Call) and ast.unparse(one.func) == "sa.Column"
        }
        rows = "".join(_column(column, said.get(column.name, "")) for column in table.columns)
        yield (
            table.name,
            f"\n## {table.name}\n\n{_prose(str(about or ''))}\n\n| column | type | |\n|---|---|---|\n{rows}",
        )


def _said(column: ast.Call, lines: list[str]) -> str:
    """The comment lines right above a column."""
    found: list[str] = []
    for line in reversed(lines[: column.lineno - 1]):
        if not line.strip().startswith("# "):
            break
        found.insert(0, line.strip().removeprefix("# "))
    return " ".join(found)


def _column(column: sa.Column[Any], said: str) -> str:
    kind = column.type.compile(dialect=postgresql.dialect()).lower().replace(' collate "c"', "")  # type: ignore[no-untyped-call]
    if column.primary_key:
        kind += ", key"
    elif column.nullable:
        kind += ", may be NULL"
    meaning = _prose(_MEANT.get((column.table.name, column.name)) or column.comment or said).replace("|", chr(92) + "|")
    return f"| `{column.name}` | {kind} | {meaning} |\n"


def link_pages(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Turn pages that docstrings name, such as docs/approvals.md, into links."""
    lines[:] = [re.sub(r"\bdocs/([\w/]+)\.md\b", r":doc:`/\1`", line) for line in lines]


def skips(_app: Any, _what: str, name: str, obj: Any, _skip: bool, _options: Any) -> bool | None:
    """Leave out what a class has from pydantic, LangChain or LangGraph; None leaves the choice to autodoc."""
    function = getattr(obj, "fget", None) or getattr(obj, "__func__", obj)
    module = getattr(function, "__module__", None) or "interlock"
    return True if name.startswith("model_") or module.split(".")[0] != "interlock" else None
