"""The page for the person on call: its code runs, and the command prints what stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from interlock.checkpointing.store.settled import claims, stops
from interlock.operations.resuming import AT_ONCE
from interlock.rules.explaining import Why
from tests.cli.support import run
from tests.docs.blocks import ROOT, blocks_of, printed_by

PAGE = "docs/operating.md"


def likened(text: str) -> str:
    """A text without what differs each time: moments, ids, what the command line is called by, and where lines end."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT", text)
    text = re.sub(r"apr_[0-9a-z]{26}", "APPROVAL", text.replace("\\\n", " "))
    return " ".join(re.sub(r"(?m)^    \S*(?:interlock|python -m interlock) ", "    interlock ", text).split())


def test_its_code_runs_and_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    texts = [block.code for block in blocks_of(PAGE) if block.language == "text"]
    printed = list(printed_by(PAGE).values())
    assert printed == [texts[0], texts[2]]

    module = ModuleType("operating_desk")
    code = next(block.code for block in blocks_of(PAGE) if block.language == "python")
    exec(code.partition("\nwith SQLCheckpointer")[0], module.__dict__)  # noqa: S102
    monkeypatch.setitem(sys.modules, "operating_desk", module)
    monkeypatch.setenv("INTERLOCK_APP", "operating_desk:desk")
    monkeypatch.setenv("INTERLOCK_DB", "desk.db")
    (command,) = next(block for block in blocks_of(PAGE) if block.language == "sh").commands
    shown = run(*command.split()[1:])
    assert shown.exit_code == 0, shown.output
    assert likened(shown.output) == likened(texts[1])

    for command in [block for block in blocks_of(PAGE) if block.language == "sh"][1].commands:
        assert run(*command.split()[1:]).exit_code == 0, command


def test_what_it_says_of_ticks_and_reasons_is_so() -> None:
    text = " ".join((ROOT / PAGE).read_text("utf-8").split())
    assert (stops.LEFT_ALONE, "left for five seconds" in text) == (5.0, True)
    assert (AT_ONCE, "eight at a time" in text) == (8, True)
    assert (claims.HELD_SECONDS, claims.LONGEST_PAUSE, "after a minute" in text) == (60.0, 300.0, True)
    assert [why for why in Why if why not in {Why.FINISHED} and f"`{why}`" not in text] == []
