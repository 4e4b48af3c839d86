"""The ways out for text that somebody else wrote: one total function for each kind of place where it is shown.

Here: what each kind of place would obey instead of showing it, made visible. Not here: what may be shown at all, which is
`redaction`. Open `_visible` first; everything else builds on it.

| place | function |
|---|---|
| a terminal, and `text/plain` in a notebook, which obeys escape sequences too | `terminal` (lines are kept), `line` |
| rich's markup | `markup` |
| the text and the attributes of SVG and HTML | `svg`, `html` |
| a label of a Mermaid diagram | `mermaid` |
| a cell of a CSV file | `csv_cell` |
| a log | `log_text`, and the loggers that `logger_of` gives |
| JSON that is printed | `json_text`, `json_line` |
| our own sentence that quotes somebody | `quoted`, `quoted_json` |

A file is written with `whole_file`: whole, or not at all.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ._files import whole_file
from ._logs import hiding, log_text, logger_of
from ._markup import html, markup, mermaid, svg
from ._plain import csv_cell, json_line, json_text, line, quoted, quoted_json, short, terminal
from ._visible import is_live, visible

SINKS: Mapping[str, Callable[[object], str]] = MappingProxyType(
    {
        "terminal": terminal,
        "line": line,
        "short": short,
        "markup": markup,
        "svg": svg,
        "html": html,
        "mermaid": mermaid,
        "csv_cell": csv_cell,
        "log_text": log_text,
        "json_text": json_text,
        "json_line": json_line,
        "quoted": quoted,
        "quoted_json": quoted_json,
    }
)
"""Every way out by its name; the tests hold each against one corpus of hostile texts."""

__all__ = [
    "SINKS",
    "csv_cell",
    "hiding",
    "html",
    "is_live",
    "json_line",
    "json_text",
    "line",
    "log_text",
    "logger_of",
    "markup",
    "mermaid",
    "quoted",
    "quoted_json",
    "short",
    "svg",
    "terminal",
    "visible",
    "whole_file",
]
