"""`interlock mcp`: the lock file of MCP servers whose tools are used."""

import typer

from . import locking

topic = typer.Typer(no_args_is_help=True, help="MCP servers: lock, diff and verify the definitions of their tools.")

TOPICS = (locking,)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for part in TOPICS:
        part.register(topic)
    app.add_typer(topic, name="mcp")


__all__ = ["register"]
