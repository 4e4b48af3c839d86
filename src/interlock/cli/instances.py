"""`interlock instances` and `interlock audit`: what became of the workflows of a database."""

import typer

from .loading import DbOption, open_store
from .output import AsJson, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("instances")(list_instances)


def list_instances(db: DbOption = None, as_json: AsJson = False) -> None:
    """List the workflow instances, the one that changed last first."""
    store = open_store(db)
    found = store.instances()
    store.close()
    if as_json:
        for instance in found:
            print_json({"workflowId": instance.workflow_id, "workflow": instance.workflow, "state": instance.state})
        return
    print_table(
        ("instance", "workflow", "state", "revision"),
        ((i.workflow_id, i.workflow, i.state, i.revision) for i in found),
        empty="There are no instances in this database.",
    )
