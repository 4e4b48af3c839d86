"""`interlock resolve`: states the outcome of an effect whose outcome is unknown."""

import json
from contextlib import closing
from typing import Annotated, Any

import typer

from ..checkpointing.store import LedgerEntry, LedgerStatus
from ..commands.execution.resolution import Found
from ..tools.canonical import JsonObject
from ..tools.errors import ConflictError, InputError
from .support.loading import AppOption, DbOption, open_store, opened
from .support.operator import As, Tenant, principal_of
from .support.output import AsJson, ExitCode, print_error, print_json
from .support.tables import print_lines, print_table
from .support.trail import moment


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("resolve")(resolve)


def resolve(
    instance: Annotated[
        str | None,
        typer.Argument(metavar="INSTANCE", help="The workflow id. Without one, list what needs to be resolved."),
    ] = None,
    *,
    happened: Annotated[
        str | None, typer.Option("--happened", metavar="JSON", help="The effect happened, with this result.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="The effect did not happen: try it again.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="The effect did not happen, and must not be tried again.")
    ] = False,
    note: Annotated[str | None, typer.Option("--note", "-m", help="How you know, for the record.")] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="With --happened: the workflow's data after the effect, if it changed."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The idempotency key, if it is not the one that the instance waits for.")
    ] = None,
    attempt: Annotated[int | None, typer.Option(help="Resolve it only if this is still the last attempt.")] = None,
    who: As = None,
    tenant: Tenant = "default",
    resume: Annotated[bool, typer.Option("--resume", help="Resume the waiting thread immediately.")] = False,
    app: AppOption = None,
    db: DbOption = None,
    as_json: AsJson = False,
) -> None:
    """Resolve an effect outside the database whose outcome is unknown: it happened, or it did not. The workflow's
    thread uses the answer when it resumes. Exit code 1 means that there was nothing left to resolve.
    """
    if instance is None:
        _list(db, tenant, as_json=as_json)
        return
    chosen = [
        found
        for found, given in ((Found.HAPPENED, happened is not None), (Found.RETRY, retry), (Found.FAILED, failed))
        if given
    ]
    if len(chosen) != 1:
        raise InputError(
            "What became of it was not said. Nothing was resolved; give one of --happened JSON, --retry and --failed.",
            code="no_answer",
        )
    by = principal_of(who, None, tenant)
    with opened(app, db) as graph:
        try:
            if resume:
                graph.instances.check_thread(instance)
            result = graph.instances.resolve(
                instance,
                chosen[0],
                by=by,
                key=key,
                output=_json(happened, "--happened"),
                data=_json(data, "--data"),
                note=note,
                attempt=attempt,
            )
            went_on = graph.instances.resume(instance) if resume else None
        except ConflictError as error:
            print_error(error, as_json=as_json)
            raise typer.Exit(ExitCode.NO) from None
    if as_json:
        state = {} if went_on is None else {"state": went_on.get("state")}
        print_json({"ok": True, "workflowId": instance, "found": chosen[0].value, "result": result, **state})
        return
    print_lines(f"{instance}: {_TOLD[chosen[0]]}")
    if went_on is None:
        print_lines("The next tick resumes its thread; --resume, or `interlock resume`, does it at once.", style="dim")
    else:
        print_lines(f"Its thread resumed, and is in {went_on.get('state')!r}.")


_TOLD = {
    Found.HAPPENED: "it counts as carried out.",
    Found.RETRY: "it is tried again.",
    Found.FAILED: "it did not happen, and its proposer is informed.",
}


def _list(db: str | None, tenant: str, *, as_json: bool) -> None:
    with closing(open_store(db)) as store:
        entries = store.unsettled(tenant=tenant)
    if as_json:
        for entry in entries:
            print_json(_row(entry))
        return
    print_table(
        ("instance", "tool", "attempt", "since (UTC)", "status"),
        ((one.workflow_id, one.tool, one.attempt, moment(one.started_at), _status(one)) for one in entries),
        empty="Nothing is to be resolved.",
        ids=("instance",),
    )


def _status(entry: LedgerEntry) -> str:
    return "unknown" if entry.status is LedgerStatus.UNKNOWN else "in progress, or interrupted"


def _row(entry: LedgerEntry) -> JsonObject:
    return {
        "workflowId": entry.workflow_id,
        "key": entry.idempotency_key,
        "tool": entry.tool,
        "attempt": entry.attempt,
        "status": entry.status.value,
        "arguments": entry.arguments,
        "requestedBy": entry.principal_id,
        "startedAt": entry.started_at,
    }


def _json(text: str | None, option: str) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(
            f"What {option} was given is not JSON: {error}. Nothing was resolved.", code="not_json"
        ) from error
