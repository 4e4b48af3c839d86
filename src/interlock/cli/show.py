"""`interlock show`: the diagram of a workflow."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..pictures.picture_data import Drawing, DrawnEdge, DrawnEnd, DrawnState
from .support.loading import load_app
from .support.output import AsJson, console, print_json, visible

KINDS = {"read": "cyan", "command": "yellow", "event": "magenta"}
"""The colour of each kind of tool; the word is next to it."""
_WHO = {
    "reasoning": "a model proposes",
    "function": "a function proposes",
    "node": "a LangGraph node proposes",
    "resting": "waits for a command",
    "final": "the end",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show)


def show(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="retail, case, or module:workflow in your code.")],
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid state diagram.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the diagram of a workflow: its states, and the tools that may be called in each."""
    drawing = Drawing.of(load_app(workflow).definition)
    if as_json:
        print_json(drawing.to_json())
    elif mermaid:
        typer.echo(drawing.to_mermaid(), nl=False)
    else:
        _print(drawing)


def _print(drawing: Drawing) -> None:
    out = console()
    out.print(Text.assemble((drawing.workflow, "bold"), (f"  version {drawing.version}, {drawing.mode}", "dim")))
    if drawing.policies:
        out.print(Text(f"policies: {', '.join(drawing.policies)}", style="dim"))
    out.print(Text(f"definition {drawing.fingerprint}", style="dim"))
    for claim in drawing.claims:
        out.print(Text(f"proved: {visible(claim)}", style="green"))
    edges = [edge for state in drawing.states for edge in state.edges]
    widths = [
        max((len(edge.tool) for edge in edges), default=0) + 4,
        7,
        max((len(_leads(e)) for e in edges), default=0),
    ]
    for state in drawing.states:
        out.print()
        out.print(_head(state))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(overflow="fold", min_width=min(widths[0], 44))
        for width in widths[1:]:
            table.add_column(no_wrap=True, min_width=width)
        table.add_column(overflow="fold")
        for number, edge in enumerate(state.edges, start=1):
            branch = "  └ " if number == len(state.edges) and not state.ends else "  ├ "
            table.add_row(
                Text.assemble((branch, "dim"), edge.tool),
                Text(edge.kind, style=KINDS[edge.kind]),
                Text(_leads(edge), style="" if edge.moves and edge.target != state.name else "dim"),
                _conditions(edge),
            )
        for number, end in enumerate(state.ends, start=1):
            branch = "  └ " if number == len(state.ends) else "  ├ "
            table.add_row(
                Text.assemble((branch, "dim"), _by(end)), Text(end.kind, style="blue"), Text(f"→ {end.target}"), Text()
            )
        if state.edges or state.ends:
            out.print(table)


def _head(state: DrawnState) -> Text:
    mark = "◎" if state.is_final else "●" if state.is_initial else "○"
    what = _WHO.get(state.kind, state.kind)
    return Text.assemble(
        f"{mark} ", (state.name, "bold"), (f"  {'starts here, ' if state.is_initial else ''}{what}", "dim")
    )


def _by(end: DrawnEnd) -> str:
    """The cause that ends a wait: an event, its deadline, or too many failures."""
    return f"{end.by} fails" if end.kind == "failure" else end.by


def _leads(edge: DrawnEdge) -> str:
    return f"→ {edge.target}" if edge.moves else "stays"


def _conditions(edge: DrawnEdge) -> Text:
    found = [
        Text(edge.approval, style="green") if edge.approval else None,
        Text("checked", style="dim") if edge.is_checked else None,
        Text(f"if {edge.guard}" if edge.guard != "guarded" else "guarded", style="dim") if edge.guard else None,
    ]
    return Text(", ", style="dim").join(text for text in found if text is not None)
