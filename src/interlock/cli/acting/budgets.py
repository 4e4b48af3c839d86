"""`interlock budgets`: shows the budgets of an instance, and raises one."""

from typing import Annotated

import typer

from ...commands.budgets.standing import BudgetStanding
from ...tools.errors import PrincipalError
from ...tools.ids import mint
from ...tools.sinks import line
from ..support.loading import AppOption, DbOption, opened
from ..support.operator import As, Roles, Tenant, principal_of
from ..support.output import AsJson, ExitCode, console, print_error, print_json
from ..support.tables import print_table

topic = typer.Typer(no_args_is_help=True, help="Work on the budgets of models: list, raise.")

InstanceId = Annotated[str, typer.Argument(metavar="INSTANCE", help="The workflow id, from `interlock instances`.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(topic, name="budgets")


@topic.command("list")
def list_budgets(instance: InstanceId, *, app: AppOption = None, db: DbOption = None, as_json: AsJson = False) -> None:
    """List the budgets in which the next model call on an instance is counted, except budgets of a turn."""
    with opened(app, db) as graph:
        found = graph.instances.budgets(instance)
    if as_json:
        for one in found:
            print_json(one.to_json())
        return
    print_table(
        ("budget", "counts", "bound", "raised", "spent", "left", "raised by"),
        (_row(one) for one in found),
        empty="Its workflow has no budget that lasts longer than one turn.",
    )


@topic.command("raise")
def raise_one(
    instance: InstanceId,
    budget: Annotated[str, typer.Argument(metavar="BUDGET", help="Its name, from `interlock budgets list`.")],
    more: Annotated[str, typer.Argument(metavar="AMOUNT", help="The amount to add: tokens, or money such as 2.50.")],
    *,
    reason: Annotated[str, typer.Option("--reason", "-m", help="The reason, for the record.")],
    key: Annotated[
        str | None,
        typer.Option(
            help="An idempotency key: repeated calls with the same key raise the budget once. Default: a new one."
        ),
    ] = None,
    who: As = None,
    role: Roles = None,
    tenant: Tenant = "default",
    resume: Annotated[bool, typer.Option("--resume", help="Resume the stopped thread immediately.")] = False,
    app: AppOption = None,
    db: DbOption = None,
    as_json: AsJson = False,
) -> None:
    """Raise a budget, so that a run that stopped at it can continue. You need the role that the budget names, and cannot raise it for yourself."""
    by = principal_of(who, role, tenant)
    with opened(app, db) as graph:
        try:
            after = graph.instances.raise_budget(
                instance, budget, more, by=by, reason=reason, key=mint("raise") if key is None else key
            )
        except PrincipalError as error:
            print_error(error, as_json=as_json)
            raise typer.Exit(ExitCode.NO) from None
        if resume:
            graph.instances.resume(instance)
    if as_json:
        print_json({"ok": True, **after.to_json()})
        return
    console().print(
        line(f"{after.name}: {after.left} {_line(after)} are left of {after.amount}, and {after.raised} more.")
    )


def _row(one: BudgetStanding) -> tuple[str, ...]:
    left = f"{one.left} (spent)" if one.is_spent else one.left
    return (one.name, f"{one.unit} per {one.per}", one.amount, one.raised, one.spent, left, one.raised_by or "nobody")


def _line(one: BudgetStanding) -> str:
    return "tokens" if one.unit == "tokens" else "of money"
