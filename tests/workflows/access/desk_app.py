"""A module that `--app` finds: the access desk, with a model that asks for the ledger."""

from __future__ import annotations

from interlock import Workflow
from interlock.testing import ScriptedChatModel, call
from interlock.workflows.access import access_workflow


def workflow() -> Workflow:
    """The desk; its model asks for access, and then has nothing more to say."""
    steps = [call("people.get"), call("access.grant", system="ledger", days=7)]
    return access_workflow(ScriptedChatModel(steps, forever="Done."))
