"""`interlock audit-heads`: the heads of audit trails, signed, for somebody to keep where the database cannot be written from."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ..checkpointing.store.heads import KEY_ENVIRONMENT, HeadSigner
from ..tools.errors import InputError
from .support.exports import read_key
from .support.loading import DbOption, open_store
from .support.output import AsJson, console, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit-heads")(audit_heads)


def audit_heads(
    instance: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INSTANCE...", help="The workflow ids. Default: the instances that changed most recently."
        ),
    ] = None,
    *,
    key: Annotated[
        Path,
        typer.Option("--key", envvar=KEY_ENVIRONMENT, metavar="PEM", help="The private key (Ed25519)."),
    ],
    db: DbOption = None,
    emit: Annotated[
        bool, typer.Option("--emit", help="Also put each signed head into the outbox as an event.")
    ] = False,
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The maximum number of instances.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Sign the current ends of audit trails, and print one line of JSON for each. Append the lines to a file that the
    database's writers cannot change. `interlock audit INSTANCE --verify --heads FILE --key PEM` then detects a trail
    that was truncated or rewritten.
    """
    signer = HeadSigner(read_key(key))
    with closing(open_store(db)) as store:
        wanted = instance or [one.workflow_id for one in store.instances(tenant=tenant, limit=limit)]
        for workflow_id in wanted:
            found = store.find(workflow_id)
            if tenant is not None and (found is None or found.tenant != tenant):
                raise InputError(
                    f"There is no workflow instance {workflow_id!r} for the tenant {tenant!r}. It was not signed.",
                    code="unknown_instance",
                )
            head = store.emit_head(workflow_id, signer) if emit else store.signed_head(workflow_id, signer)
            print_json(head.to_json())
    if emit and not as_json:
        console(stderr=True).print(f"{len(wanted)} put into the outbox.")
