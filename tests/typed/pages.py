"""The code of the manual and of the notebooks as modules for type checkers: `python -m tests.typed.pages FOLDER` writes them.

A module has the lines of its page, so that an error names the line there. What a block prints and whether it runs is tested in `tests/docs`.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import jupytext  # type: ignore[import-untyped]

from tests.docs.blocks import ROOT, blocks_of

_WITHOUT_CODE = ("docs/index.md", "docs/reference/api.md", "docs/reference/cli.md", "docs/reference/tables.md")
"""The contents, and the pages that `make docs` generates."""
PAGES = [
    "README.md",
    *sorted(
        page
        for page in (path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
        if page not in _WITHOUT_CODE
    ),
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))

GIVEN = {
    "docs/events.md": "from typing import Any, Callable; until: Callable[[Callable[[], object]], Any] = lambda holds: holds()",
    "docs/scaling.md": 'url = "postgresql://localhost/app"',
}
"""What the test of a page gives its code, beside what the page says."""

FOREIGN = "# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false"
"""Methods of LangGraph's and LangChain's classes have types that are partly unknown, wherever they are called; some packages have none."""
IMPORTED = ", reportUnknownVariableType=false"
"""And so have functions that these are imported from."""
PARTLY_TYPED = ("from langchain.agents import", "from langsmith import")
NOTEBOOK = ", reportUnusedExpression=false, reportUnusedVariable=false"
"""A cell shows its last expression, and names what the reader may look at."""


def header(lines: list[str]) -> str:
    """What pyright is told about a module: nothing of it is about our own names."""
    return FOREIGN + (IMPORTED if any(line.strip().startswith(PARTLY_TYPED) for line in lines) else "")


def module_of(page: str) -> str:
    """The Python blocks of a page one below the other, each on the lines that it has on the page; nothing of a page without."""
    lines: list[str] = []
    for block in blocks_of(page):
        if block.language == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
    if not lines:
        return ""
    lines[:2] = [header(lines), GIVEN.get(page, "")]
    return "\n".join(lines) + "\n"


def module_of_notebook(source: Path) -> str:
    """The cells of a notebook; one that awaits at its top is the body of a function, for only a kernel can await there."""
    cells: list[Any] = jupytext.read(source).cells
    code = "\n\n".join(cell.source for cell in cells if cell.cell_type == "code")
    if re.search(r"^(await |async with |.*= await )", code, re.MULTILINE):
        code = "async def notebook() -> None:\n" + textwrap.indent(code, "    ")
    return f"{header(code.splitlines())}{NOTEBOOK}\n{code}\n"


def write(folder: Path) -> list[Path]:
    """Write a module of every page that has code, and of every notebook."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = {page.replace("/", "_").removesuffix(".md"): module_of(page) for page in PAGES}
    made |= {"notebook_" + source.stem.replace("-", "_"): module_of_notebook(source) for source in NOTEBOOKS}
    written: list[Path] = []
    for name, code in made.items():
        if code:
            path = folder / f"{name}.py"
            path.write_text(code, "utf-8")
            written.append(path)
    return written


if __name__ == "__main__":
    print(f"{len(write(Path(sys.argv[1])))} modules")
