"""Audit trails out of the database: exported, checked without it, and erased in part."""

import datetime as dt
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from ...checkpointing.store import Instance, WorkflowStore
from ...checkpointing.store import trail as trails
from ...checkpointing.store.audit import Broken
from ...checkpointing.store.heads import HeadSigner, HeadVerifier, SignedHead, compare
from ...tools.errors import InputError
from ...tools.principal import Principal
from ...tools.sinks import json_line, whole_file
from .output import console, print_json


def write_export(store: WorkflowStore, workflow_id: str, file: Path, *, signer: HeadSigner | None = None) -> None:
    """Write a trail as JSON Lines to a new file, or to standard output for `-`.

    Raises:
        InputError: The file exists, or cannot be written.
    """
    lines = [json_line(one) for one in store.export_audit(workflow_id, signer=signer)]
    if str(file) == "-":
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return
    try:
        with whole_file(file, new=True) as out:
            out.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise InputError(
            f"The file {str(file)!r} was not written: {error.strerror}. Give the path of a new file.",
            code="not_written",
        ) from error
    console(stderr=True).print(f"{len(lines) - 1} records written to {file}.")


class TrailFiles:
    """Stores trails as files: one for each instance, in a folder of its workflow and of the month of its last change.

    A file is on disk when a call returns, and only its owner can read it. An existing file is replaced, because a run that was interrupted
    after writing it writes it again.

    Args:
        folder: The folder, which is created if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, instance: Instance, lines: Sequence[str]) -> None:
        """Write a trail.

        Raises:
            InputError: It cannot be written.
        """
        month = dt.datetime.fromtimestamp(instance.updated_at / 1e6, dt.UTC).strftime("%Y-%m")
        folder = self._folder / quote(instance.workflow, safe="") / month
        # An id may hold anything: it must name no other folder.
        file = folder / f"{quote(instance.workflow_id, safe='').replace('.', '%2E')}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(file, private=True, durable=True) as out:
                out.writelines(f"{json_line(one)}\n" for one in lines)
        except OSError as error:
            raise InputError(
                f"The trail of {instance.workflow_id} was not written to {str(file)!r}: {error.strerror}. The instance is kept, and those retired before it "
                "are exported. Fix the problem, and run the command again.",
                code="not_written",
            ) from error


def check_export(
    file: Path, head: str | None, *, heads: Iterable[SignedHead] = (), verifier: HeadVerifier | None = None
) -> tuple[list[Broken], int]:
    """Check a file that `write_export` wrote.

    Args:
        file: Where it is.
        head: The hash of one of its records, when somebody noted it.
        heads: Signed heads that it has to hold.
        verifier: Whose signatures count; with one, the last line of the file has to be signed.

    Returns:
        Where the trail is broken, and how many records it has.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    found = trails.read_export(_text_of(file).splitlines())
    broken = found.check(head=head)
    if verifier is not None and found.records:
        workflow_id = str(found.records[0]["workflow_id"])
        signed = [*heads]
        if found.end is not None and "signature" in found.end:
            signed.append(SignedHead.from_json(found.end))
        elif not signed:
            broken.append(Broken(len(found.records) + 1, "the last line of the export is not signed"))
        broken += compare(found.records, signed, verifier, workflow_id=workflow_id)
    return broken, len(found.records)


def read_heads(file: Path) -> list[SignedHead]:
    """Read a file of signed heads, one to a line: what `interlock audit-heads` wrote, or events that carry them.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    found = []
    for number, line in enumerate(_text_of(file).splitlines(), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise InputError(
                f"Line {number} of {str(file)!r} is not a JSON object. Nothing was checked.", code="not_a_head"
            )
        found.append(SignedHead.from_json(data))
    return found


def read_key(file: Path) -> bytes:
    """Read the PEM of a key.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"The key {str(file)!r} cannot be read: {error.strerror}. Nothing was done.") from error


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The file {str(file)!r} cannot be read: {error}. Nothing was checked.") from error


def erase_payloads(
    store: WorkflowStore, workflow_id: str, *, reason: str, actor: str | None, tenant: str, as_json: bool
) -> None:
    """Erase the payloads of a trail, and say how many.

    Raises:
        InputError: Who erases was not said, or the instance is another tenant's.
    """
    if not actor:
        raise InputError("Who erases was not said. Nothing was erased; pass --as NAME.", code="no_actor")
    count = store.erase_audit(workflow_id, by=Principal(actor, tenant=tenant), reason=reason)
    if as_json:
        print_json({"workflowId": workflow_id, "erased": count})
    else:
        console().print(f"The payloads of {count} records were erased. The records stay, and verify.")
