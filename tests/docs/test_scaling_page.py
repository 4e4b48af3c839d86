"""The page on scaling: its code runs, and its commands are those that there are."""

import re

import pytest
from typer.testing import CliRunner

from interlock.cli import app
from tests.docs.blocks import ROOT, blocks_of

PAGE = "docs/scaling.md"
TEXT = (ROOT / PAGE).read_text("utf-8")


async def test_its_code_runs_from_the_top(postgres_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "scaling_page", "url": postgres_database}
    blocks = [block for block in blocks_of(PAGE) if block.language == "python"]
    assert len(blocks) == 4
    for block in blocks:
        exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / PAGE), "exec"), names)  # noqa: S102
    assert names["run"].is_new  # type: ignore[attr-defined]
    names["runs"].close()  # type: ignore[attr-defined]
    names["saver"].close()  # type: ignore[attr-defined]
    data = {"kind": "wake", "workflow": "desk", "tenant": "default", "thread_id": "t-none", "key": "k"}
    assert await names["carry_out"](data, 0) is None  # type: ignore[operator]
    assert await names["carry_out"]({**data, "workflow": "other"}, 0) == 1.0  # type: ignore[operator]


@pytest.mark.parametrize("named", sorted(set(re.findall(r"interlock ((?:runs |db )?[a-z]+) (?:--?|[A-Z]+ )", TEXT))))
def test_the_commands_that_it_names_are_there(named: str) -> None:
    assert CliRunner().invoke(app, [*named.split(), "--help"]).exit_code == 0


def test_the_options_that_it_names_are_there() -> None:
    env = {"COLUMNS": "200", "TERM": "dumb"}
    shown = "".join(CliRunner().invoke(app, [*of, "--help"], env=env).output for of in (["work"], ["db", "retire"]))
    for option in re.findall(r"`(--[a-z-]+)`", TEXT):
        assert option in shown
