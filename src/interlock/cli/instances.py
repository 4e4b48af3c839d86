"""`interlock instances` and `interlock audit`: list the instances of a database, and print or check their audit trails."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text
from sqlalchemy.engine import Connection

from ..checkpointing.reports.instance_listing import LARGEST, WAITS_FOR, Listed, Wanted, page
from ..checkpointing.store import Instance
from ..checkpointing.store.audit import Broken
from ..checkpointing.store.heads import HeadSigner, HeadVerifier
from ..checkpointing.store.trail import claims_kept
from ..tools.canonical import JsonObject
from ..tools.errors import InputError
from .support.durations import seconds_of
from .support.exports import check_export, erase_payloads, read_heads, read_key, write_export
from .support.loading import DbOption, open_store
from .support.output import AsJson, ExitCode, console, print_json, visible
from .support.tables import print_lines, print_table
from .support.trail import print_trail
from .traces import print_traced


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("instances")(list_instances)
    app.command("audit")(audit)


def list_instances(
    *,
    db: DbOption = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    waiting: Annotated[
        str | None, typer.Option(metavar="FOR", help=f"Only those that wait for this: {', '.join(WAITS_FOR)}.")
    ] = None,
    person: Annotated[str | None, typer.Option(metavar="ID", help="Only instances that serve this person.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only those of this thread.")] = None,
    older: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only those that have not changed for this time, such as 2h.")
    ] = None,
    running: Annotated[bool, typer.Option("--running", help="Only unfinished instances.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The maximum number of rows.")] = 100,
    after: Annotated[str | None, typer.Option(help="Continue after the page that ended with this cursor.")] = None,
    as_json: AsJson = False,
) -> None:
    """List workflow instances, newest first, with their state, what they wait for, and for how long."""
    if waiting is not None and waiting not in WAITS_FOR:
        raise InputError(
            f"--waiting {waiting!r}: an instance waits for {', '.join(WAITS_FOR)}. Nothing was looked up.", code="usage"
        )
    quiet = None if older is None else seconds_of("--older", older)
    with closing(open_store(db)) as store, store.read() as connection:
        now = store.now(connection)
        wanted = Wanted(
            tenant=tenant,
            workflow=workflow,
            state=state,
            served=person,
            waiting=waiting,
            thread_id=thread,
            changed_before=None if quiet is None else now - int(quiet * 1_000_000),
            running=running,
        )
        listed, following = _pages(connection, wanted, limit, after)
    if as_json:
        for one in listed:
            print_json({**_instance(one.instance), "waitsFor": one.waits_for})
        return
    print_table(
        ("instance", "state", "waits for", "age", "for", "workflow, thread"),
        (
            (
                one.instance.workflow_id,
                one.instance.state,
                one.waits_for or ("over" if one.instance.finished else ""),
                _age(now - one.instance.updated_at),
                one.instance.served or one.instance.started_by.id,
                f"{one.instance.workflow} {one.instance.thread_id or ''}".rstrip(),
            )
            for one in listed
        ),
        empty="There are no instances here.",
        ids=("instance", "age", "for", "workflow, thread"),
    )
    if following is not None:
        print_lines(f"There are more: --after {following}", style="dim")


def _pages(connection: Connection, wanted: Wanted, limit: int, after: str | None) -> tuple[list[Listed], str | None]:
    """The requested number of instances, and the cursor of the next ones."""
    listed: list[Listed] = []
    while True:
        found = page(connection, wanted, limit=min(limit - len(listed), LARGEST), after=after)
        listed += found.instances
        after = found.next
        if after is None or len(listed) >= limit:
            return listed, after


def _age(microseconds: int) -> str:
    """The age in the largest suitable unit."""
    seconds = max(microseconds // 1_000_000, 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def audit(
    instance: Annotated[
        str | None, typer.Argument(metavar="INSTANCE", help="The workflow id, from `interlock instances`.")
    ] = None,
    *,
    db: DbOption = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="ID", help="Instead, print the records of this trace or run.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only verify the trail; exit with 1 if it is not intact.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Instead, write the trail as JSON Lines to a new file (- for standard output).",
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Instead, verify an exported file, without a database."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="HASH",
            help="With --verify or --check: a hash, stored elsewhere, that the trail must contain.",
        ),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            "--heads",
            metavar="FILE",
            help="With --verify or --check: a file of signed heads that the trail must contain.",
        ),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", metavar="PEM", help="With --heads or --check: the public key that verifies the signatures."
        ),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            "--sign", metavar="PEM", help="With --export: the private key (Ed25519) that signs the last line."
        ),
    ] = None,
    erase: Annotated[
        str | None,
        typer.Option(
            "--erase", metavar="REASON", help="Instead, erase the payloads and record this reason. Needs --as."
        ),
    ] = None,
    actor: Annotated[str | None, typer.Option("--as", metavar="NAME", help="The id of the person who erases.")] = None,
    tenant: Annotated[str, typer.Option(help="The tenant of the person who erases.")] = "default",
    as_json: AsJson = False,
) -> None:
    """Print and verify the audit trail of an instance. Exit code 1 means that a record was changed, removed, inserted
    or moved after it was written.
    """
    known = [] if heads is None else read_heads(heads)
    verifier = HeadVerifier(*map(read_key, key)) if key else None
    if known and verifier is None:
        raise InputError(
            "Signed heads were given without --key. Nothing was checked; give the public key.", code="usage"
        )
    if check is not None:
        broken, count = check_export(check, head, heads=known, verifier=verifier)
        _tell(count, broken, {"file": str(check)}, as_json=as_json)
        return
    if (instance is None) is (trace is None):
        raise InputError(
            "Give either an instance or --trace. Nothing was looked up; see `interlock instances`.", code="no_instance"
        )
    if instance is None:
        print_traced(str(trace), db, as_json=as_json)
        return
    with closing(open_store(db)) as store:
        if erase is not None and not verify and export is None:
            erase_payloads(store, instance, reason=erase, actor=actor, tenant=tenant, as_json=as_json)
            return
        broken = store.verify(instance, head=head, heads=known, verifier=verifier)
        records = store.audit(instance)
        if verify and (records or known):
            _tell(len(records), broken, {"workflowId": instance}, as_json=as_json)
            return
        row = store.get(instance)
        if export is not None:
            write_export(store, row.workflow_id, export, signer=None if sign is None else HeadSigner(read_key(sign)))
            return
    if as_json:
        for record in records:
            print_json(record.to_json())
    else:
        _head(row, claims_kept(records))
        print_trail(records)
        console().print()
        print_verdict(len(records), broken)
    if broken:
        raise typer.Exit(ExitCode.NO)


def _tell(count: int, broken: list[Broken], about: JsonObject, *, as_json: bool) -> None:
    if as_json:
        print_json({**about, **_verdict(count, broken)})
    else:
        print_verdict(count, broken)
    if broken:
        raise typer.Exit(ExitCode.NO)


def print_verdict(count: int, broken: list[Broken]) -> None:
    """Print whether a trail is intact, and if not, its defects."""
    out = console()
    if not broken:
        out.print(Text(f"✓ The {count} records verify: none was changed, removed or moved.", style="green"))
        return
    out.print(Text("✗ The trail does not verify.", style="bold red"))
    for one in broken:
        out.print(Text(f"  record {one.number} {visible(one.problem)}"))
    out.print(Text("Somebody wrote to the database beside Interlock. Compare with a backup or an export.", style="dim"))


def _head(row: Instance, claims: tuple[str, ...]) -> None:
    out = console()
    print_lines(f"{row.workflow_id}  {row.workflow} version {row.workflow_version}", style="bold")
    what = "finished in" if row.finished else "in"
    print_lines(f"{what} {row.state}, revision {row.revision}, started by {row.started_by.id}", style="dim")
    if row.thread_id is not None:
        print_lines(f"thread {row.thread_id}", style="dim")
    print_lines(f"trace {row.trace_id}", style="dim")
    for claim in claims:
        print_lines(f"proved: {claim}", style="dim")
    out.print()


def _instance(row: Instance) -> JsonObject:
    return {
        "workflowId": row.workflow_id,
        "workflow": row.workflow,
        "version": row.workflow_version,
        "state": row.state,
        "revision": row.revision,
        "finished": row.finished,
        "threadId": row.thread_id,
        "tenant": row.tenant,
        "traceId": row.trace_id,
        "startedBy": row.started_by.id,
        "proposer": row.proposer.id,
        "served": row.served,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
    }


def _verdict(count: int, broken: list[Broken]) -> JsonObject:
    return {
        "records": count,
        "verified": not broken,
        "problems": [{"number": one.number, "problem": one.problem} for one in broken],
    }


__all__ = ["print_verdict"]
