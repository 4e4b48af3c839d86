"""The page on restored backups: its code prints what stands below it, and its commands are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from interlock.checkpointing.transactions.recovery import ENVIRONMENT, SECONDS
from tests.cli.support import run
from tests.docs.blocks import ROOT, blocks_of, printed_by

PAGE = "docs/restoring.md"
TEXT = (ROOT / PAGE).read_text("utf-8")


def test_the_code_prints_what_stands_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = [block.code for block in blocks_of(PAGE) if block.language == "text"]
    assert [text for text in printed_by(PAGE).values() if text] == shown


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`interlock ([a-z]+(?: [a-z]+)?)", TEXT))))
def test_the_commands_that_it_names_are_there(named: str) -> None:
    assert run(*named.split(), "--help").exit_code == 0


def test_it_says_how_soon_a_running_process_notices_and_where_the_name_stands() -> None:
    assert SECONDS == 5
    assert "within five seconds" in TEXT
    assert ENVIRONMENT in TEXT
