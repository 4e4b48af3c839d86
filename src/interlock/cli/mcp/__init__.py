"""`interlock mcp`: workflows served to MCP clients and their approvers, and the lock file of MCP servers whose tools are used."""

import typer

from . import locking, serving

topic = typer.Typer(
    no_args_is_help=True,
    help="Use MCP: serve workflows and approvals; lock, diff and verify the tools of other servers.",
)

TOPICS = (serving, locking)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for part in TOPICS:
        part.register(topic)
    app.add_typer(topic, name="mcp")


__all__ = ["register"]
