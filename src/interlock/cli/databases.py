"""`interlock db`: the tables made or brought up to this release, how much they hold, threads brought over from LangGraph's savers, what is
too old deleted, and what is encrypted with an older key encrypted again.
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
    no_args_is_help=True, help="The database: upgrade, stats, import, prune, retire, reencrypt, restored, resume."
)

ConversationOption = Annotated[
    str | None,
    typer.Option("--conversation", metavar="URL", help="The database of the conversation, if it is another."),
]
SchemaOption = Annotated[
    str | None, typer.Option("--schema", help="The schema that the tables are in, if it is not the default one.")
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
    """Make the tables, or bring them up to this release. Safe to run again, and by several processes at once."""
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
    """Say how much the tables hold, which threads are the largest, and what to do about it."""
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
        typer.Argument(metavar="URL", help="The database of LangGraph's SQLite or PostgreSQL saver. It is only read."),
    ],
    *,
    db: DbOption = None,
    conversation: ConversationOption = None,
    schema: SchemaOption = None,
    thread: Annotated[list[str] | None, typer.Option(help="Only this thread; can be given several times.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:CLASS", help="A class of yours that occurs in values; can be given several times."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring threads over from LangGraph's own saver, with their whole history, and read each back. Run it again to continue."""
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
    last_threads: Annotated[int | None, typer.Option(help="Keep so many threads, the latest used.")] = None,
    checkpoints_newer_than: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Of each thread, keep checkpoints within this time.")
    ] = None,
    last_checkpoints: Annotated[int | None, typer.Option(help="Of each thread, keep so many checkpoints.")] = None,
    instances: Annotated[
        bool, typer.Option("--instances", help="Erase the workflow instances of threads that go, but for their trails.")
    ] = False,
    after: Annotated[
        str | None, typer.Option(metavar="THREAD", help="Begin after this thread, in the order of their ids.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete threads and checkpoints that are too old or too many. What delta channels are rebuilt from stays.

    Each thread is done in its own transaction, beside running workers. Run it again to continue after an interruption.
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
            metavar="NAME=DURATION", help="Of this workflow, keep those; `NAME=never` retires none. May be repeated."
        ),
    ] = None,
    unpublished: Annotated[
        bool, typer.Option("--unpublished", help="Also those whose events nobody has published.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write each audit trail to a file in this folder before it is deleted."),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(envvar=KEY_ENVIRONMENT, metavar="PEM", help="Sign the last line of each export with this key."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Retire so many at most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete finished instances that are old enough, with all their rows, their threads and their conversations.

    What stays of each is the number and the hash of its last audit record, by which an export is checked (`interlock audit --check`).
    Each instance is done in its own transaction, beside running workers. Run it again to continue after an interruption.
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
    """Encrypt with the first key of INTERLOCK_ENCRYPTION_KEYS what is encrypted with another one, or not at all.

    Every row is read back before it takes the place of the old one. Run it again to continue after an interruption. Workers may run
    meanwhile if they have the new key already.
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
    """A progress bar on standard error, so that what is printed at the end can be piped."""
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
