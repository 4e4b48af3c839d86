"""SECURITY.md: every sentence about an entry point names a test, and the test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
LINKS = re.findall(r"\[(test_\w+)\]\(([^)]+)\)", TEXT)


def test_every_line_about_an_entry_point_names_a_test() -> None:
    table = TEXT.partition("## Entry point by entry point")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(lines) > 10
    assert [line for line in lines if not re.search(r"\[test_\w+\]\(tests/[\w/]+\.py\) \|$", line)] == []


def test_every_test_that_is_named_is_there() -> None:
    missing = [
        (name, path)
        for name, path in LINKS
        if not (ROOT / path).is_file()
        or not re.search(rf"^\s*(?:async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []
