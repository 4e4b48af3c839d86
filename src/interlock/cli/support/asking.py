"""Asks the person at the terminal about one call, and shows exactly what would run and what it would change."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import ROUNDED
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ...pictures.previews import preview_lines
from ...rules.origins.excerpts import lines_of
from ...tools.canonical import JsonObject
from ...tools.sinks import line, quoted
from .output import console, short, visible

Answer = JsonObject


def show_request(request: Mapping[str, Any]) -> None:
    """Show a request completely, without omissions or abbreviations."""
    parts: list[Any] = [_pairs((name, _plain(value)) for name, value in request["arguments"].items())]
    if request.get("preview") is not None:
        parts += [Text(), Text("what changes", style="bold"), _pairs(_beside(request["arguments"], request["preview"]))]
    if request.get("reasons"):
        parts += [Text(), Text(f"asked for because {'; '.join(map(quoted, request['reasons']))}")]
    if comes_from := [*lines_of(request)]:
        parts += [Text(), Text("where it comes from", style="bold"), _pairs(comes_from)]
    title = Text.assemble((line(request["tool"]), "bold yellow"), f" for {line(request['requestedBy'])}")
    console().print(
        Panel(Group(*parts), title=title, title_align="left", box=ROUNDED, border_style="yellow", padding=(0, 1))
    )


def ask(request: Mapping[str, Any]) -> Answer:
    """Ask for a decision until a valid one is given.

    Raises:
        EOFError: Nobody is there to answer.
    """
    allowed = [kind for review in request["review_configs"] for kind in review["allowed_decisions"]]
    words = {"approve": "[a]pprove", "edit": "[e]dit", "reject": "[r]eject", "respond": "or say what you want instead"}
    question = ", ".join(word for kind, word in words.items() if kind in allowed)
    while True:
        said = _read(f"  {question}: ")
        match said.lower():
            case "":
                continue
            case "a" | "approve" | "y" | "yes" if "approve" in allowed:
                return {"type": "approve"}
            case "r" | "reject" | "n" | "no" if "reject" in allowed:
                return {"type": "reject"}
            case "e" | "edit" if "edit" in allowed:
                return {"type": "edit", "args": _edited(request["arguments"])}
            case _ if "respond" in allowed and len(said) > 1:
                return {"type": "respond", "message": said}
            case _:
                console().print(Text(f"  That is none of the answers: {short(said, 40)}", style="dim"))


def _beside(arguments: Mapping[str, Any], preview: Any) -> Iterator[tuple[str, str]]:
    """The lines of a preview, except those that only repeat an argument."""
    same = {(name, _plain(value)) for name, value in arguments.items()}
    return (line for line in preview_lines(preview, write=_plain) if line not in same)


def _edited(arguments: Mapping[str, Any]) -> JsonObject:
    """Ask for every argument again; an empty line leaves it as it is."""
    edited: JsonObject = {}
    for name, value in arguments.items():
        said = _read(f"    {line(name)} [{line(_plain(value))}]: ")
        edited[name] = _parsed(said, value) if said else value
    return edited


def _parsed(said: str, before: Any) -> Any:
    """Parse the input: as text if the old value is text, else as JSON if it is valid."""
    if isinstance(before, str):
        return said
    try:
        return json.loads(said)
    except ValueError:
        return said


def _read(prompt: str) -> str:
    return console().input(Text(prompt, style="bold")).strip()


def _pairs(lines: Any) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in lines:
        # Mark the lines of a text, so that none of them can pass for another row.
        table.add_row(Text(line(name)), Text(visible(value).replace("\n", "\n| ")))
    return table


def _plain(value: Any) -> str:
    if value is None:
        return "nothing"
    if value in ("", [], {}):
        return "empty"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return json.dumps(value)


__all__ = ["Answer", "ask", "show_request"]
