"""What every command keeps: exit codes, JSON for scripts, errors that say what to do."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from interlock import __version__
from interlock.cli import TOPICS, build_app
from interlock.cli.support.output import program, short, visible
from interlock.tools.errors import StoreUnavailable
from tests.cli.support import lines, run, run_apart


def test_the_version_is_printed():
    assert run("--version").stdout == f"interlock {__version__}\n"


def test_every_topic_is_in_the_help_and_so_are_the_exit_codes():
    said = run("--help").stdout
    assert all(command in said for command in ("demo", "show", "instances", "audit"))
    assert "Exit codes" in said
    assert len(TOPICS) >= 3


def commands(group):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", one) for inner, one in commands(command))
        else:
            yield name, command


def test_every_command_takes_json():
    root = typer.main.get_command(build_app())
    without = [name for name, one in commands(root) if not any("--json" in parameter.opts for parameter in one.params)]
    # A server answers over its own protocol, and prints a line for people alone.
    assert {*without} == {"serve", "mcp serve", "mcp approve"}


def test_the_list_of_commands_shows_one_sentence_of_each_and_no_line_breaks_of_the_source():
    listed = {name: (one.short_help, one.help) for name, one in commands(typer.main.get_command(build_app()))}
    assert all(short.endswith(".") and whole.startswith(short) for short, whole in listed.values())
    assert [name for name, (_, whole) in listed.items() if "\n" in whole.replace("\n\n", "")] == []
    assert listed["check"][0] == "Prove the claims of a workflow, and report problems in it."
    assert "Exit code 1" in listed["check"][1]


def test_an_error_says_what_to_do_and_shows_no_traceback(tmp_path: Path):
    code, out, err = run_apart("audit", "wf_1", "--db", "missing.db", cwd=tmp_path)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert "missing.db" in err
    assert "Nothing was made" in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_with_json_an_error_is_json_too(tmp_path: Path):
    result = run("instances", "--db", str(tmp_path / "missing.db"), "--json")
    assert result.exit_code == 2
    (error,) = lines(result.stdout)
    assert error["ok"] is False
    assert error["error"]["code"] == "no_database"
    assert error["error"]["retryable"] is False


def test_a_wrong_usage_ends_with_2():
    assert run("audit").exit_code == 2
    assert run("no-such-command").exit_code == 2


def test_a_retryable_error_ends_with_3_so_that_scripts_can_try_again():
    app = build_app()

    @app.command("busy")
    def busy() -> None:
        raise StoreUnavailable("The database is locked. Nothing was written; try again.")

    result = CliRunner().invoke(app, ["busy"])
    assert result.exit_code == 3
    assert "locked" in result.stderr


@pytest.mark.parametrize(
    "spec", ["nonsense", "no_such_module:workflow", "interlock:Nothing", "json:dumps", "json:decoder"]
)
def test_a_workflow_that_cannot_be_found_is_refused(spec: str):
    result = run("show", spec)
    assert result.exit_code == 2
    assert spec.partition(":")[0] in result.stderr


def test_a_module_that_breaks_on_import_shows_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "needs_something.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.chdir(tmp_path)
    result = run("show", "needs_something:workflow")
    assert result.exit_code == 2
    assert "a_package_that_nobody_has" in result.stderr
    assert "python -c 'import needs_something'" in " ".join(result.stderr.split())


def test_a_module_that_fails_names_the_workflows_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a_desk.py").write_text("from interlock import Workflow\nfront = Workflow('front')\n")
    monkeypatch.chdir(tmp_path)
    result = run("show", "a_desk:back")
    assert result.exit_code == 2
    assert "front" in result.stderr


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    text = tmp_path / "notes.txt"
    text.write_text("These are notes, and by no means a database. " * 30)
    result = run("instances", "--db", str(text), "--json")
    assert result.exit_code == 2
    assert lines(result.stdout)[0]["error"]["code"] == "not_a_database"
    assert text.read_text().startswith("These are notes")


def test_what_a_model_wrote_cannot_command_the_terminal():
    hostile = "order\x1b[2J\x1b]0;owned\x07 \u202etxt.exe\r"
    assert visible(hostile) == "order\\u001b[2J\\u001b]0;owned\\u0007 \\u202etxt.exe\\u000d"
    assert "\n" in visible("two\nlines")
    assert short("two\nlines" * 100, 20) == "two linestwo linest…"


@pytest.mark.parametrize(
    ("called", "path", "name"),
    [
        ("bin/interlock", "bin", "interlock"),
        ("bin/interlock", "elsewhere", "bin/interlock"),
        ("src/interlock/__main__.py", "bin", "python -m interlock"),
    ],
)
def test_it_knows_what_it_is_called_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, path: str, name: str
):
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "interlock"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / called)])
    monkeypatch.setenv("PATH", str(tmp_path / path))
    assert program() == name
