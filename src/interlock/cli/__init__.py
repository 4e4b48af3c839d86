"""The command line.

Every topic is a module with a function `register(app)` that adds its commands; `TOPICS` lists them in the order of the help.
"""

import inspect
import re
from typing import Annotated

import typer

from .._version import __version__
from . import (
    approvals,
    audit_heads,
    case,
    checking,
    databases,
    deadlines,
    demo,
    doctor,
    events,
    instances,
    mcp,
    queue,
    relay,
    resolving,
    serve,
    show,
    stats,
    traces,
)
from .acting import budgets, cancelling
from .support.output import InterlockGroup

TOPICS = (
    demo,
    show,
    checking,
    instances,
    case,
    audit_heads,
    approvals,
    budgets,
    resolving,
    cancelling,
    deadlines,
    stats,
    traces,
    doctor,
    databases,
    relay,
    events,
    queue,
    mcp,
    serve,
)

_PANELS = {
    "Begin here": ("demo", "show", "check", "access"),
    "Look": ("case", "instances", "audit", "audit-heads", "stats", "trace", "traces", "doctor"),
    "Act": ("approvals", "resolve", "cancel", "budgets", "resume", "tick", "feedback"),
}
"""The groups of commands in the help; the other commands follow after them."""
_EPILOG = (
    "Exit codes: 0 done; 1 the answer is no (refused, denied, does not verify); 2 wrong usage, or an error whose message says what to do; "
    "3 a temporary error, so try again; 130 interrupted."
)


def build_app() -> typer.Typer:
    """The Typer app with the commands of every topic."""
    made = typer.Typer(
        name="interlock",
        cls=InterlockGroup,
        help="The model proposes, the graph disposes.",
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    made.callback()(_root)
    for topic in TOPICS:
        topic.register(made)
    panels = {name: panel for panel, names in _PANELS.items() for name in names}
    for command in made.registered_commands:
        command.rich_help_panel = panels.get(str(command.name), "Run")
    for group in made.registered_groups:
        group.rich_help_panel = panels.get(str(group.name), "Run")
    _reflow(made)
    return made


def _reflow(made: typer.Typer) -> None:
    """Take a command's help from its docstring without the line breaks of the source; the list of commands shows the first sentence."""
    for command in made.registered_commands:
        text = inspect.cleandoc(command.help or (command.callback.__doc__ if command.callback else None) or "")
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        command.help = "\n\n".join(paragraphs)
        command.short_help = command.short_help or re.split(r"(?<=[.!?]) ", paragraphs[0])[0]
    for group in made.registered_groups:
        if group.typer_instance is not None:
            _reflow(group.typer_instance)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"interlock {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


app = build_app()

__all__ = ["app", "build_app"]
