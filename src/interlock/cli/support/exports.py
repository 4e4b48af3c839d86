"""Audit trails out of the database: exported, checked without it, and erased in part."""

import sys
from pathlib import Path

from ...checkpointing.store import WorkflowStore
from ...checkpointing.store import trail as trails
from ...checkpointing.store.audit import Broken
from ...tools.errors import InputError
from ...tools.principal import Principal
from .output import console, print_json


def write_export(store: WorkflowStore, workflow_id: str, file: Path) -> None:
    """Write a trail as JSON Lines to a file that is not there yet, or to standard output for `-`.

    Raises:
        InputError: The file is there, or cannot be written.
    """
    lines = store.export_audit(workflow_id)
    if str(file) == "-":
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return
    try:
        with file.open("x", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise InputError(
            f"The file {str(file)!r} was not written: {error.strerror}. Give the path of a new file.",
            code="not_written",
        ) from error
    console(stderr=True).print(f"{len(lines)} records written to {file}.")


def check_export(file: Path, head: str | None) -> tuple[list[Broken], int]:
    """Check a file that `write_export` wrote.

    Args:
        file: Where it is.
        head: The hash of its last record, when somebody noted it.

    Returns:
        Where the trail is broken, and how many records it has.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The file {str(file)!r} cannot be read: {error}. Nothing was checked.") from error
    records = trails.read_export(text.splitlines())
    return trails.check(records, head=head), len(records)


def erase_payloads(
    store: WorkflowStore, workflow_id: str, *, reason: str, actor: str | None, tenant: str, as_json: bool
) -> None:
    """Erase the payloads of a trail, and say how many.

    Raises:
        InputError: Who erases was not said, or the instance is another tenant's.
    """
    if not actor:
        raise InputError("Who erases was not said. Nothing was erased; give --as NAME.", code="no_actor")
    count = store.erase_audit(workflow_id, by=Principal(actor, tenant=tenant), reason=reason)
    if as_json:
        print_json({"workflowId": workflow_id, "erased": count})
    else:
        console().print(f"The payloads of {count} records were erased. The records stay, and verify.")
