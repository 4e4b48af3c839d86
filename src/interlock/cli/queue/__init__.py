"""The queue of runs on the command line: `interlock work`, and `interlock runs`. Open `work.py` first."""

import typer

from . import runs, work


def register(app: typer.Typer) -> None:
    """Add the commands."""
    work.register(app)
    runs.register(app)


__all__ = ["register"]
