"""`interlock demo`: cases of the retail desk, each step shown, with approvals in the terminal.

It can be stopped anywhere, by Ctrl-C or a kill, and continues where it was when it is run again.
"""

from typing import Annotated

import typer

from ...tools.canonical import JsonObject
from ...tools.errors import InputError
from ..support.asking import ask
from ..support.loading import database_url
from ..support.output import AsJson, ExitCode

DEFAULT_DB = "interlock-demo.db"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    db: Annotated[
        str, typer.Option("--db", metavar="URL", help="The database: a URL, or the path of a SQLite file.")
    ] = DEFAULT_DB,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve every request, for scripts.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, even if the last run was not finished.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch customers being served: what a model proposes, what the graph allows, what you approve. The demo needs no
    account and no network: the model is scripted, and the database is a SQLite file in this folder.
    """
    # Building the desk imports LangGraph; the other commands need not wait for it.
    from .cases import CASES  # noqa: PLC0415
    from .desk import open_desk  # noqa: PLC0415
    from .lines import Lines  # noqa: PLC0415
    from .playing import Play  # noqa: PLC0415
    from .screen import Screen  # noqa: PLC0415

    if as_json and not yes:
        raise InputError(
            "With --json nobody can be asked. Nothing was done; pass --yes as well, which approves.", code="needs_yes"
        )
    teller = Lines() if as_json else Screen(db)
    person = _Yes() if yes else _Terminal()
    verifies = True
    try:
        with open_desk(database_url(db, must_exist=False), fresh=fresh) as desk:
            teller.opened(desk)
            plays = [(number, Play(desk, case, teller, person)) for number, case in enumerate(CASES, start=1)]
            for number, play in plays:
                if not play.is_over:
                    teller.case(number, len(CASES), play.case)
                    play.run()
            for _, play in plays:
                instances = desk.graph.instances
                config = play.config
                broken = desk.graph.engine.store.verify(instances.id_of(config))
                verifies = verifies and not broken
                teller.trail(play.case, instances.get(config), instances.audit(config), broken)
            desk.finish()
            teller.end(desk)
    except (KeyboardInterrupt, EOFError):
        teller.stopped()
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not verifies:
        raise typer.Exit(ExitCode.NO)


class _Yes:
    def decide(self, request: JsonObject) -> JsonObject:
        del request
        return {"type": "approve"}


class _Terminal:
    def decide(self, request: JsonObject) -> JsonObject:
        return ask(request)
