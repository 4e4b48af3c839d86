"""The README does what it says: every block of Python runs, prints what stands below it, and every command works."""

import os
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from typer.testing import CliRunner

from interlock.cli import app
from interlock.testing import call
from tests.docs.blocks import ROOT, Block, blocks_of
from tests.support.provider import KEY, Provider

BLOCKS = blocks_of("README.md")
PYTHON = [block for block in BLOCKS if block.language == "python"]
COMMANDS = [command for block in BLOCKS if block.language == "sh" for command in block.commands]
MAKE = [command for command in COMMANDS if command.startswith("make ")]
INTERLOCK = [command for command in COMMANDS if command.startswith("interlock ")]
INSTALL = [command for command in COMMANDS if command.startswith("pip ")]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, str]]:
    """What each block of Python printed, by its line: run in order, in one namespace, as a reader would."""
    folder = tmp_path_factory.mktemp("readme")
    before = Path.cwd()
    namespace: dict[str, Any] = {"__name__": "readme"}
    printed: dict[int, str] = {}
    with (
        pytest.MonkeyPatch.context() as patch,
        Provider([call("order.get", orderId="W1"), "It was 12.50."]) as provider,
    ):
        # The block about real models meets a stand-in for the provider, through the provider's real client.
        patch.setenv("OPENAI_BASE_URL", provider.base_url)
        patch.setenv("OPENAI_API_KEY", KEY)
        os.chdir(folder)
        try:
            for block in PYTHON:
                out = StringIO()
                # As many line breaks before it as there are on the page, so that a traceback names the page's line.
                code = compile("\n" * (block.line - 1) + block.code, str(ROOT / block.page), "exec")
                with redirect_stdout(out):
                    exec(code, namespace)  # noqa: S102 -- that is what is tested
                printed[block.line] = out.getvalue()
            yield printed
        finally:
            os.chdir(before)
        assert provider.refused == []
        assert provider.left == 0


@pytest.fixture
def folder(ran: dict[int, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which the blocks ran, with a thread in LangGraph's own saver beside them."""
    peer = Path("langgraph.db")
    if not peer.exists():
        builder = StateGraph(MessagesState)
        builder.add_node("answer", lambda _: {"messages": [("ai", "It cost 12.50.")]})
        builder.add_edge(START, "answer")
        with SqliteSaver.from_conn_string(str(peer)) as saver:
            graph: Any = builder.compile(saver)
            graph.invoke({"messages": [("user", "What did it cost?")]}, {"configurable": {"thread_id": "old"}})
    return Path.cwd()


def test_every_block_of_python_runs(ran: dict[int, str]):
    assert [*ran] == [block.line for block in PYTHON]


@pytest.mark.parametrize(
    "said", [block for block in BLOCKS if block.language == "text"], ids=lambda block: f"line {block.line}"
)
def test_a_block_prints_what_stands_below_it(ran: dict[int, str], said: Block):
    above = max(line for line in ran if line < said.line)
    assert ran[above] == said.code


def test_the_real_models_answer_is_printed(ran: dict[int, str]):
    assert ran[max(ran)] == "It was 12.50.\n"


@pytest.mark.parametrize("command", [*dict.fromkeys(INTERLOCK)])
def test_every_command_of_interlock_works(folder: Path, command: str):
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output
    assert result.stdout


def test_the_diagram_is_the_one_that_is_drawn_today():
    (diagram,) = (block for block in BLOCKS if block.language == "mermaid")
    assert diagram.code == CliRunner().invoke(app, ["show", "case", "--mermaid"]).stdout


@pytest.mark.parametrize("command", MAKE)
def test_every_target_of_make_is_there(command: str):
    # Only looked at (-n): this very test runs under `make test`.
    done = subprocess.run(
        [*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_what_is_installed_is_this_distribution():
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    assert [command.split("#")[0].split() for command in INSTALL] == [["pip", "install", name]]


def test_no_command_goes_unchecked():
    assert [command for command in COMMANDS if command not in {*MAKE, *INTERLOCK, *INSTALL}] == []
    assert {block.language for block in BLOCKS} == {"python", "sh", "text", "mermaid", "json"}


def test_every_file_that_it_links_to_is_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_what_it_says_of_exit_codes_is_what_the_help_says():
    said = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert "130 when it was interrupted" in said
    assert "130 interrupted" in " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())


def test_the_smallest_workflow_does_not_grow():
    """It is the promise of the builder: four lines for the graph, and a decorator for each tool."""
    smallest = PYTHON[0].code
    graph = smallest[smallest.index("desk = Workflow") :].strip().splitlines()
    assert len(graph) == 5
    assert [line for line in graph if line.startswith("desk.")] == graph[1:4]


def test_the_smallest_workflow_runs_as_a_script_of_its_own(tmp_path: Path):
    script = tmp_path / "smallest.py"
    script.write_text(
        PYTHON[0].code
        + textwrap.dedent("""
        print(sorted(graph.get_graph().nodes))
    """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "open/order.refund/approval" in done.stdout
