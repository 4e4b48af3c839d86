"""`interlock cancel`: cancels an instance, and shows the progress of the cancel."""

from typing import Annotated

import typer

from ...commands.cancelling.report import Cancellation
from ...tools.errors import ConflictError, InputError
from ...tools.sinks import line
from ..support.loading import AppOption, DbOption, opened
from ..support.operator import As, Roles, Tenant, principal_of
from ..support.output import AsJson, ExitCode, print_error, print_json
from ..support.tables import print_lines, print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cancel")(cancel)


def cancel(
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="The workflow id, from `interlock instances`.")],
    *,
    reason: Annotated[
        str | None,
        typer.Option("--reason", "-m", help="The reason, for the record. Without it, show the status of a cancel."),
    ] = None,
    who: As = None,
    role: Roles = None,
    tenant: Tenant = "default",
    app: AppOption = None,
    db: DbOption = None,
    as_json: AsJson = False,
) -> None:
    """Cancel an instance: no other tool may be called, and executed calls are undone, newest first.

    It is safe to repeat: a repeated call continues with the rest. Exit code 1 means that the instance could not be cancelled now, or that
    calls are left for a person.
    """
    by = principal_of(who, role, tenant)
    with opened(app, db) as graph:
        try:
            found = (
                graph.instances.cancellation(instance, by=by)
                if reason is None
                else graph.instances.cancel(instance, reason, by=by)
            )
        except ConflictError as error:
            print_error(error, as_json=as_json)
            raise typer.Exit(ExitCode.NO) from None
    if found is None:
        raise InputError(
            f"Nobody has cancelled {instance}. Nothing was done; pass --reason to cancel it.", code="not_cancelled"
        )
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    if found.left or not found.is_done:
        raise typer.Exit(ExitCode.NO)


def _print(found: Cancellation) -> None:
    print_lines(line(f"{found.workflow_id} is {found.state}, by {found.cancelled_by}: {found.reason}"))
    print_table(
        ("tool", "became", "undone by", "why"),
        ((call.tool, _BECAME[call.became], call.undone_by or "", line(call.why or "")) for call in found.calls),
        empty="Nothing had been carried out.",
    )
    for key in found.unresolved:
        print_lines(
            f"A person has to say what became of {key}: interlock resolve {found.workflow_id}. Then a tick continues.",
            style="dim",
        )


_BECAME = {"to_undo": "is to be undone", "undone": "undone", "nothing": "nothing to undo", "left": "left for a person"}
