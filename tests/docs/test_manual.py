"""The manual's pages without a test file of their own: their code runs and prints what stands below it, and what they name is there."""

from __future__ import annotations

import logging
import re
import runpy
import shlex
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.main import get_command

import interlock
from interlock import SQLCheckpointer, WorkflowStore
from interlock.checkpointing.tables.columns import metadata
from interlock.cli import app
from interlock.tracing import outgoing, telemetry
from tests.docs.blocks import ROOT, blocks_of, printed_by

PAGES = [
    "docs/concepts.md",
    "docs/howto/erasure.md",
    "docs/howto/fastapi.md",
    "docs/howto/identify.md",
    "docs/howto/opentelemetry.md",
    "docs/howto/subgraphs.md",
    "docs/howto/testing.md",
    "docs/howto/upgrading.md",
    "docs/howto/wide_tools.md",
    "docs/reference/shapes.md",
    "docs/tutorial.md",
]
GENERATED = {"docs/reference/api.md", "docs/reference/cli.md", "docs/reference/tables.md"}
EVERY = sorted({path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} - GENERATED)
EXTRAS = re.compile(r"^\| ((?:`[\w]+`(?:, )?)+) \|", re.MULTILINE)


@pytest.fixture(autouse=True)
def _tracing_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may switch on what counts for the whole process."""
    monkeypatch.setattr(telemetry, "_instruments", telemetry._instruments)
    monkeypatch.setattr(outgoing, "_default", outgoing._default)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_and_prints_what_stands_below_it(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.ERROR)
    printed = printed_by(page)

    expected = {}
    for block in blocks_of(page):
        if block.language == "text":
            expected[max(line for line in printed if line < block.line)] = block.code
    assert printed
    assert {line: text for line, text in printed.items() if text} == expected


def test_every_page_stands_in_the_table_of_contents() -> None:
    index = (ROOT / "docs/index.md").read_text("utf-8")
    listed = {line for block in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL) for line in block.split()}

    assert [page for page in EVERY if page.removeprefix("docs/").removesuffix(".md") not in {*listed, "index"}] == []


def _commands() -> list[tuple[str, str]]:
    found = {}
    for page in EVERY:
        for block in blocks_of(page) if page != "docs/index.md" else ():
            if block.language in {"sh", "shell"}:
                for command in block.code.replace("\\\n", " ").splitlines():
                    if command.strip().startswith("interlock "):
                        found[command.partition(" #")[0].strip()] = page
    return [*found.items()]


@pytest.mark.parametrize(("command", "page"), _commands())
def test_every_command_of_a_page_is_there_with_its_options(command: str, page: str) -> None:
    words = shlex.split(command)[1:]
    node = get_command(app)
    known = {"--version", "--help"}
    for word in words:
        if word in getattr(node, "commands", {}):
            node = node.commands[word]
            known |= {option for one in node.params for option in (*one.opts, *one.secondary_opts)}
    assert not getattr(node, "commands", None) or "--version" in words, f"{page}: {command} is not a command"
    assert [word for word in words if word.startswith("--") and word.split("=")[0] not in known] == []


def test_every_environment_variable_is_on_its_page_and_no_other() -> None:
    used = {
        name
        for path in Path(interlock.__file__).parent.rglob("*.py")
        for name in re.findall(r"\bINTERLOCK_[A-Z_]+\b", path.read_text("utf-8"))
    }
    named = set(re.findall(r"\bINTERLOCK_[A-Z_]+\b", (ROOT / "docs/reference/environment.md").read_text("utf-8")))

    assert named == used


def test_every_extra_is_on_the_page_of_installation() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {
        name
        for row in EXTRAS.findall((ROOT / "docs/install.md").read_text("utf-8"))
        for name in re.findall(r"`(\w+)`", row)
    }

    assert named == {*project["optional-dependencies"]} - {"browser", "dev", "docs"}


def test_the_reference_has_every_public_name_and_every_command() -> None:
    made = runpy.run_path(str(ROOT / "scripts/manual.py"))
    api, cli, tables = made["api_page"](), made["cli_page"](), made["tables_page"]()

    assert [name for name in interlock.__all__ if name != "__version__" and f":: interlock.{name}\n" not in api] == []
    assert [name for name in get_command(app).commands if f"### interlock {name}\n" not in cli] == []
    missing = [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if f"| `{column.name}` |" not in tables.partition(f"## {table.name}\n")[2].partition("\n## ")[0]
    ]
    assert len(metadata.tables) > 20
    assert missing == []


def test_every_table_of_a_database_is_in_the_reference(tmp_path: Path) -> None:
    page = runpy.run_path(str(ROOT / "scripts/manual.py"))["tables_page"]()
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'all.db'}") as checkpointer:
        checkpointer.setup()
        WorkflowStore(checkpointer.database).setup()
        created = sa.inspect(checkpointer.database.engine).get_table_names()

    assert [name for name in created if f"## {name}\n" not in page and f"`{name}`" not in page] == []
