"""`interlock db restored` and `interlock db resume`: hold a database after a restored backup, and release it."""

from contextlib import closing
from typing import Annotated

import typer
from rich.text import Text

from ..checkpointing.transactions.recovery import Left, Standing
from ..tools.canonical import JsonObject
from ..tools.sinks import line
from .support.loading import DbOption, open_store
from .support.operator import As, named_or_login
from .support.output import AsJson, ExitCode, console, print_json
from .support.trail import moment


def restored(
    *,
    reason: Annotated[
        str, typer.Option("--reason", "-m", help="The reason, shown wherever work is refused.")
    ] = "a backup was restored",
    db: DbOption = None,
    as_json: AsJson = False,
) -> None:
    """Mark the database as restored from a backup, and hold it. Run this after the restore and before you start
    anything else. Nothing is run or published until `interlock db resume`. Reads still work.
    """
    with closing(open_store(db)) as store:
        store.setup()
        standing, left = store.recovery.mark_restored(reason), store.recovery.left()
    if as_json:
        print_json(_json(standing, left))
        return
    _print(standing, left)


def resume(
    *,
    who: As = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    any_timeline: Annotated[
        bool | None,
        typer.Option(
            "--any-timeline/--no-any-timeline",
            help="Whether to accept a new PostgreSQL timeline (a failover) from now on, instead of holding the database. Safe only if standbys have every commit.",
        ),
    ] = None,
    db: DbOption = None,
    as_json: AsJson = False,
) -> None:
    """Release a database that is held after a restored backup. Without --yes, report what would resume and ask for
    confirmation. Exit code 1 means that nothing was changed.
    """
    with closing(open_store(db)) as store:
        store.setup()
        standing, left = store.recovery.standing(), store.recovery.left()
        if not yes:
            _print(standing, left)
            if not _agreed():
                console().print("It was left as it is.")
                raise typer.Exit(ExitCode.NO)
        after = store.recovery.resume(by=named_or_login(who), any_timeline=any_timeline)
    if as_json:
        print_json(_json(after, left))
        return
    console().print(Text(f"Released by {line(after.resumed_by or '')}."))


def _agreed() -> bool:
    try:
        return console().input("Release it? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _print(standing: Standing, left: Left) -> None:
    out = console()
    if standing.held_since is None:
        out.print("The database is not held.")
    else:
        out.print(
            Text(f"The database is held since {moment(standing.held_since)} (UTC): {line(standing.reason or '')}.")
        )
    out.print(
        f"It would resume {left.events} events to publish, {left.unsettled} effects that were in progress or have an unknown outcome, "
        f"{left.approvals} open approvals and {left.waits} open waits. Compare them with the world outside first.",
        soft_wrap=True,
    )


def _json(standing: Standing, left: Left) -> JsonObject:
    return {
        "heldSince": standing.held_since,
        "reason": standing.reason,
        "resumedAt": standing.resumed_at,
        "resumedBy": standing.resumed_by,
        "anyTimeline": standing.any_timeline,
        "left": {
            "events": left.events,
            "unsettled": left.unsettled,
            "approvals": left.approvals,
            "waits": left.waits,
        },
    }


__all__ = ["restored", "resume"]
