"""Where the project's prose is: its Markdown pages, the help of the Makefile, and the strings of the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from .rules import Text

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/**/*.md")
GENERATED = ("docs/reference/api.md", "docs/reference/cli.md")
SOURCE = "src/interlock/**/*.py"
FEWEST_WORDS = 3
"""A shorter string of the source is a name rather than a sentence."""

_FENCE = re.compile(r"^\s*```")
_CODE = re.compile(r"`[^`]*`|<[^>]+>|\]\([^)]*\)|https?://\S+")
_BLOCK = re.compile(r"^\s*(?:[-*]|\d+\.)\s+|^#+\s+")
_QUESTION = re.compile(r"^#+\s")


def everything(root: Path = ROOT) -> Iterator[Text]:
    """All prose of the project."""
    for pattern in PAGES:
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            if name not in GENERATED:
                yield from page(name, path.read_text("utf-8"))
    yield from makefile("Makefile", (root / "Makefile").read_text("utf-8"))
    for path in sorted(root.glob(SOURCE)):
        yield from source(path.relative_to(root).as_posix(), path.read_text("utf-8"))


def page(path: str, markdown: str) -> Iterator[Text]:
    """The paragraphs, list items and table cells of a page, without headings and code."""
    begun, words = 0, ""
    inside = False
    for number, line in enumerate([*markdown.splitlines(), ""], 1):
        if _FENCE.match(line):
            inside = not inside
        plain = "" if inside or _FENCE.match(line) or _QUESTION.match(line) else line.strip()
        if words and (not plain or _BLOCK.match(line) or plain.startswith("|")):
            yield Text("manual", path, begun, _without_code(words))
            words = ""
        if plain.startswith("|"):
            for cell in plain.strip("|").split(" | "):
                yield Text("manual", path, number, _without_code(cell))
        elif plain:
            begun = begun if words else number
            words = f"{words} {_BLOCK.sub('', line).strip()}"


def makefile(path: str, text: str) -> Iterator[Text]:
    """What `make help` prints."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"[a-z-]+:.*## (.*)", line):
            yield Text("manual", path, number, match[1])


def source(path: str, code: str) -> Iterator[Text]:
    """The docstrings of a module, and its other strings that read as sentences."""
    tree = ast.parse(code)
    docstrings = {
        id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
    }
    of_the_command_line = path.startswith("src/interlock/cli/")
    # Comments of columns are part of the migrations, which are never rewritten.
    of_the_schema = path.startswith(("src/interlock/checkpointing/tables/", "src/interlock/checkpointing/migrations/"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) >= FEWEST_WORDS:
            place = "docstrings" if id(node) in docstrings and not of_the_command_line else "messages"
            if place == "messages" and of_the_schema:
                continue
            yield Text(place, path, node.lineno, _without_code(node.value))


def _without_code(words: str) -> str:
    return _CODE.sub(" ", words)
