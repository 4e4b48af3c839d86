"""Tables that hold at 80 columns, and text that is pasted: an id is never cut, and never wrapped.

Where a table has no room for its ids beside each other, each of its rows is a few lines instead.
"""

import re
import shlex
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ...tools.sinks import visible
from .output import console

_ID = re.compile(r"[a-z]{2,8}_[0-9a-z]{8,}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,64}")
_GAP = 2
_READABLE = 14
"""Other words may be wrapped once a column is narrower than this."""


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "Nothing here.", ids: Collection[str] = ()
) -> None:
    """A quiet table.

    Args:
        columns: Their headings.
        rows: The cells; text, or anything with a text form.
        empty: The text if there are no rows.
        ids: The columns that contain ids.
    """
    out = console()
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        out.print(Text(empty, style="dim"))
        return
    least = [
        max(len(name), *(_least(row[number].plain, whole=name in ids) for row in cells))
        for number, name in enumerate(columns)
    ]
    room = out.width - _GAP * (len(columns) - 1)
    if sum(least) > room:
        _print_blocks(columns, cells)
        return
    wanted = [
        max(len(name), *(_longest_line(row[number].plain) for row in cells)) for number, name in enumerate(columns)
    ]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for name, width in zip(columns, _widths(least, wanted, room), strict=True):
        table.add_column(name, overflow="fold", width=width)
    for row in cells:
        table.add_row(*row)
    out.print(table)


def _widths(least: list[int], wanted: list[int], room: int) -> list[int]:
    """The width of each column: its minimum, and a share of the remaining space."""
    widths = list(least)
    while (left := room - sum(widths)) > 0:
        short = [number for number, width in enumerate(widths) if width < wanted[number]]
        if not short:
            break
        for number in short:
            widths[number] += min(wanted[number] - widths[number], max(1, left // len(short)))
            if sum(widths) >= room:
                break
    return widths


def _print_blocks(columns: Sequence[str], cells: list[list[Text]]) -> None:
    """Each row as a few lines: the first column alone, and the others under it with their names."""
    longest = max(len(name) for name in columns[1:])
    for number, row in enumerate(cells):
        if number:
            console().print()
        print_lines(row[0])
        for name, cell in zip(columns[1:], row[1:], strict=True):
            if cell.plain:
                print_pair(name, cell, indent=2, label=longest)


def print_pair(label_text: str, value: str | Text, *, indent: int = 2, label: int = 0) -> None:
    """Print a label and, to its right, a value; the value wraps within its column, but ids are never broken."""
    space = " " * indent
    head = Text(f"{space}{label_text:<{label}}  ", style="dim")
    below = " " * len(head.plain)
    text = value if isinstance(value, Text) else Text(visible(value))
    for number, line in enumerate(_wrapped(text.plain, console().width - len(below))):
        shown = Text(line, style=text.style)
        console().print(Text.assemble(head if number == 0 else below, shown), soft_wrap=True)


def print_lines(value: str | Text, *, indent: int = 0, style: str = "") -> None:
    """A text, wrapped at its blanks alone."""
    text = value if isinstance(value, Text) else Text(visible(value), style=style)
    for line in _wrapped(text.plain, console().width - indent):
        console().print(Text(" " * indent + line, style=text.style), soft_wrap=True)


def print_command(command: str, *, indent: int = 4) -> None:
    """Print a command for pasting; a long one is split into lines with backslashes at their ends."""
    for line in pasteable(command, console().width - indent):
        console().print(Text(" " * indent + line, style="bold"), soft_wrap=True)


def pasteable(command: str, width: int) -> list[str]:
    """Split a command into lines of at most this width, between words, so that a shell reads them as one command."""
    lines: list[str] = []
    line = ""
    for words in _together(shlex.split(command)):
        if line and len(line) + len(words) + 3 > width:
            lines.append(f"{line} \\")
            line = f"    {words}"
        else:
            line = f"{line} {words}" if line else words
    return [*lines, line]


def _together(words: list[str]) -> Iterable[str]:
    """The words of a command, an option with its value as one."""
    option = ""
    for word in words:
        if word.startswith("-"):
            if option:
                yield option
            option = shlex.quote(word)
        else:
            yield f"{option} {shlex.quote(word)}".lstrip()
            option = ""
    if option:
        yield option


def _wrapped(text: str, width: int) -> list[str]:
    found: list[str] = []
    for line in text.split("\n"):
        found += textwrap.wrap(line, max(width, 20), break_long_words=False, break_on_hyphens=False) or [""]
    return found


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    return Text("" if value is None else visible(value))


def _least(text: str, *, whole: bool) -> int:
    """How wide a cell must be for its ids to be whole."""
    return max((_needed(word, whole=whole) for word in text.split()), default=1)


def _needed(word: str, *, whole: bool) -> int:
    if whole:
        return len(word)
    found = max((len(one[0]) for one in _ID.finditer(word)), default=0)
    return len(word) if found else min(len(word), _READABLE)


def _longest_line(text: str) -> int:
    return max((len(line) for line in text.split("\n")), default=0)


__all__ = ["pasteable", "print_command", "print_lines", "print_pair", "print_table"]
