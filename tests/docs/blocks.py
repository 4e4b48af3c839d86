"""The code blocks of a Markdown page."""

import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    """Where its code begins on the page."""
    language: str
    code: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, without comments."""
        found = (line.partition(" #")[0].strip() for line in self.code.splitlines())
        return [command for command in found if command]


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    text = (ROOT / page).read_text("utf-8")
    found = [
        Block(page, text[: match.start("code")].count("\n") + 1, match["language"], match["code"])
        for match in _BLOCK.finditer(text)
    ]
    assert 2 * len(found) == sum(line.startswith("```") for line in text.splitlines()), "a fence is not a pair"
    return found


def printed_by(page: str) -> dict[int, str]:
    """What each block of Python of a page prints, by its line, when they run one after another."""
    names: dict[str, Any] = {"__name__": Path(page).stem}
    found: dict[int, str] = {}
    for block in blocks_of(page):
        if block.language == "python":
            out = StringIO()
            with redirect_stdout(out):
                exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / page), "exec"), names)  # noqa: S102
            found[block.line] = out.getvalue()
    return found
