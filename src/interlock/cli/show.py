"""`interlock show`: the diagram of a workflow."""

from typing import Annotated

import typer

from .loading import load_app
from .output import AsJson, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show)


def show(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="retail, case, or module:workflow in your code.")],
    as_json: AsJson = False,
) -> None:
    """Print the diagram of a workflow: its states, and what may be called in each."""
    definition = load_app(workflow).definition
    if as_json:
        print_json({"workflow": definition.name, "states": [*definition.states]})
        return
    typer.echo(definition.name)
