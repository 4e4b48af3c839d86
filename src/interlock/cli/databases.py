"""`interlock db`: creates and upgrades the tables, reports their size, imports threads from LangGraph's savers, deletes old data, and
encrypts data of an older key again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..checkpointing import Retirement, SQLCheckpointer, WorkflowStore, retire_instances
from ..checkpointing.encryption import ENVIRONMENT, Encryption
from ..checkpointing.importing import import_checkpoints, langgraph_saver
from ..checkpointing.reports.size_report import SizeReport
from ..checkpointing.saver.keeping.policy import Retention
from ..checkpointing.store.heads import KEY_ENVIRONMENT, HeadSigner
from ..tools.errors import InputError
from .recovery import restored, resume
from .support.exports import TrailFiles, read_key
from .support.loading import DbOption, database_url
from .support.output import AsJson, console, print_json, visible
from .support.tables import print_table

topic = typer.Typer(
    no_args_is_help=True,
    help="Manage the database: upgrade, stats, import, prune, retire, reencrypt, restored, resume.",
)

ConversationOption = Annotated[
    str | None,
    typer.Option("--conversation", metavar="URL", help="The database of the conversation, if it is a different one."),
]
SchemaOption = Annotated[
    str | None, typer.Option("--schema", help="The schema of the tables, if it is not the default schema.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    topic.command("restored")(restored)
    topic.command("resume")(resume)
    app.add_typer(topic, name="db")


@topic.command("upgrade")
def upgrade(
    *,
    db: DbOption = None,
    conversation: ConversationOption = None,
    schema: SchemaOption = None,
    as_json: AsJson = False,
) -> None:
    """Create the tables, or upgrade them to this release. It is safe to repeat this, and to run it in several processes
    at once.
    """
    with _checkpointer(db, conversation, schema, must_exist=False) as saver:
        saver.setup()
        reports = saver.size_reports()
    if as_json:
        print_json([{"database": one.database, "schemaVersion": one.schema_version} for one in reports])
        return
    for one in reports:
        console().print(f"{visible(one.database)} has schema version {one.schema_version}.")


@topic.command("stats")
def stats(
    *,
    db: DbOption = None,
    conversation: ConversationOption = None,
    schema: SchemaOption = None,
    as_json: AsJson = False,
) -> None:
    """Report the size of the tables, the largest threads, and what to do about them."""
    with _checkpointer(db, conversation, schema) as saver:
        reports = saver.size_reports()
    if as_json:
        print_json([one.to_json() for one in reports])
        return
    for one in reports:
        _print_report(one)


@topic.command("import")
def import_threads(
    source: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="The database of LangGraph's SQLite or PostgreSQL saver. It is not changed."
        ),
    ],
    *,
    db: DbOption = None,
    conversation: ConversationOption = None,
    schema: SchemaOption = None,
    thread: Annotated[list[str] | None, typer.Option(help="Only this thread. Repeatable.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:CLASS", help="A class of your application that occurs in values. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import threads from LangGraph's own saver with their full history, and read each one back. Run the command again
    to continue after an interruption.
    """
    url = database_url(source)
    allowed = [tuple(name.split(":")) for name in allow or ()]
    with (
        _checkpointer(db, conversation, schema, must_exist=False, allowed_types=allowed) as saver,
        langgraph_saver(url) as theirs,
    ):
        saver.setup()
        with _bar(shown=not as_json) as progress:
            report = import_checkpoints(theirs, saver, progress, thread_ids=thread or None)
    if as_json:
        print_json({"threads": report.threads, "skipped": report.skipped, "checkpoints": report.checkpoints})
        return
    there = f" {report.skipped} were there already." if report.skipped else ""
    console().print(
        f"{report.threads} threads with {report.checkpoints} checkpoints were brought over and read back.{there}",
        markup=False,
    )


@topic.command("prune")
def prune(
    *,
    db: DbOption = None,
    conversation: ConversationOption = None,
    schema: SchemaOption = None,
    threads_newer_than: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Keep threads that were used within this time: 90d, 12h.")
    ] = None,
    last_threads: Annotated[
        int | None, typer.Option(help="Keep this number of threads, most recently used first.")
    ] = None,
    checkpoints_newer_than: Annotated[
        str | None, typer.Option(metavar="DURATION", help="In each thread, keep checkpoints within this time.")
    ] = None,
    last_checkpoints: Annotated[
        int | None, typer.Option(help="In each thread, keep this number of checkpoints.")
    ] = None,
    instances: Annotated[
        bool,
        typer.Option(
            "--instances", help="Also erase the workflow instances of deleted threads, except for their audit trails."
        ),
    ] = False,
    after: Annotated[
        str | None, typer.Option(metavar="THREAD", help="Start after this thread, in the order of thread ids.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete threads and checkpoints beyond an age or a count. Checkpoints from which delta channels are rebuilt are
    kept. Each thread is a separate transaction, and workers can keep running. Run the command again to continue
    after an interruption.
    """
    policy = Retention(threads_newer_than, last_threads, checkpoints_newer_than, last_checkpoints, instances)
    with (
        _checkpointer(db, conversation, schema, encryption=Encryption.from_environment()) as saver,
        _bar(shown=not as_json) as progress,
    ):
        report = saver.retain(policy, dry_run=dry_run, progress=progress, after=after)
    if as_json:
        print_json({"threads": report.threads, "deletedThreads": report.deleted_threads,
                    "deletedCheckpoints": report.deleted_checkpoints, "dryRun": report.dry_run})  # fmt: skip
        return
    done = "would be deleted" if dry_run else "were deleted"
    console().print(
        f"Of {report.threads} threads {report.deleted_threads} {done}, and {report.deleted_checkpoints} checkpoints of the others.",
        markup=False,
    )


@topic.command("retire")
def retire(
    *,
    db: DbOption = None,
    conversation: ConversationOption = None,
    schema: SchemaOption = None,
    newer_than: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Keep finished instances that changed within this time: 90d, 52w."),
    ] = None,
    workflow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DURATION",
            help="The same for one workflow, as NAME=TIME; `NAME=never` retires none. Repeatable.",
        ),
    ] = None,
    unpublished: Annotated[
        bool, typer.Option("--unpublished", help="Also retire instances with unpublished events.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write each audit trail to a file in this folder before it is deleted."),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(envvar=KEY_ENVIRONMENT, metavar="PEM", help="Sign the last line of each export with this key."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The maximum number of instances to retire.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete old finished instances with all their rows, threads and conversations. Only the number and the hash of the
    last audit record remain, so that an export can be verified (`interlock audit --check`). Each instance is a
    separate transaction, and workers can keep running. Run the command again to continue after an interruption.
    """
    policy = Retirement(newer_than, dict(_age(one) for one in workflow or ()), unpublished)
    keep = None if export is None else TrailFiles(export)
    with (
        _checkpointer(db, conversation, schema, encryption=Encryption.from_environment()) as saver,
        _bar("instances", shown=not as_json) as progress,
    ):
        store = WorkflowStore(saver.database)
        report = retire_instances(
            store,
            policy,
            checkpointer=saver,
            export=keep,
            signer=None if sign is None or keep is None else HeadSigner(read_key(sign)),
            limit=limit,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        print_json({"instances": report.instances, "retired": report.retired, "kept": dict(report.kept),
                    "broken": list(report.broken), "dryRun": report.dry_run})  # fmt: skip
        return
    done = "would be retired" if dry_run else "were retired"
    console().print(f"Of {report.instances} finished instances that are old enough {report.retired} {done}.")
    for reason, number in report.kept.items():
        console().print(f"{number} stay for now: {reason}.")
    for workflow_id in report.broken:
        console().print(f"Look at its trail: interlock audit {visible(workflow_id)}", markup=False)


def _age(given: str) -> tuple[str, str | None]:
    name, sign, age = given.rpartition("=")
    if not sign or not name:
        raise InputError(f"--workflow {given!r} is not of the form NAME=DURATION. Nothing was deleted.", code="usage")
    return name, None if age == "never" else age


@topic.command("reencrypt")
def reencrypt(
    *,
    db: DbOption = None,
    conversation: ConversationOption = None,
    schema: SchemaOption = None,
    as_json: AsJson = False,
) -> None:
    """Encrypt all values that are unencrypted or encrypted with an older key, using the first key of
    INTERLOCK_ENCRYPTION_KEYS. Each new row is read back before it replaces the old one. Run the command again to
    continue after an interruption. Workers can keep running if they already have the new key.
    """
    encryption = Encryption.from_environment()
    if encryption is None:
        raise InputError(
            f"There is no key in {ENVIRONMENT}, so nothing was encrypted. Set it to name=base64 of 32 bytes, the key that writes first, "
            "the older ones after it."
        )
    with _checkpointer(db, conversation, schema, encryption=encryption) as saver:
        done = 0

        def tell(table: str, rows: int) -> None:
            nonlocal done
            done += rows
            if not as_json:
                console(stderr=True).print(f"{done} rows, now in {table}")

        report = saver.reencrypt(tell)
    if as_json:
        print_json({"rows": report.rows, "skipped": report.skipped, "key": encryption.writes_with})
        return
    console().print(
        f"{report.rows} rows were encrypted with the key {encryption.writes_with} and read back. {report.skipped} were already.",
        markup=False,
    )


@contextmanager
def _checkpointer(
    db: str | None, conversation: str | None, schema: str | None, *, must_exist: bool = True, **options: Any
) -> Iterator[SQLCheckpointer]:
    other = None if conversation is None else database_url(conversation, must_exist=must_exist)
    url = database_url(db, must_exist=must_exist)
    with SQLCheckpointer(url, conversation=other, schema=schema, **options) as saver:
        yield saver


@contextmanager
def _bar(what: str = "threads", *, shown: bool) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on standard error, so that the final output can be piped."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(what, total=None, last="")

        def progress(done: int, total: int, thread_id: str) -> None:
            bar.update(task, completed=done, total=total, last=visible(thread_id)[:40].replace("[", "("))

        yield progress


def _print_report(report: SizeReport) -> None:
    out = console()
    out.print(f"{visible(report.database)}, schema version {report.schema_version}")
    filled = [table for table in report.tables if table.rows]
    print_table(
        ("table", "rows", "size"),
        ((table.name, table.rows, _size(table.bytes)) for table in sorted(filled, key=lambda one: -one.bytes)),
        empty="The tables are empty.",
    )
    if report.largest_threads:
        out.print()
        print_table(
            ("largest threads", "checkpoints", "size"),
            ((one.thread_id, one.checkpoints, _size(one.bytes)) for one in report.largest_threads),
        )
    out.print()
    for line in report.advice or ("There is nothing to do.",):
        out.print(visible(line))


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.1f} KB"
