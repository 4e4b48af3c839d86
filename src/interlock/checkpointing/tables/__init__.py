"""The tables of one metadata, in SQLAlchemy Core: checkpoints, conversations, the workflow store and feedback.

Open `workflow.py` first; `docs/schema.md` explains the columns.
"""

# The metadata is whole as soon as one of its tables is there: what goes through all tables finds all of them, whatever else was imported.
from . import (
    budgets,
    cancellations,
    checkpoints,
    conversations,
    delegations,
    feedback,
    inputs,
    outcomes,
    recovery,
    resumptions,
    retired,
    sources,
    webhooks,
    workflow,
)

__all__ = [
    "budgets",
    "cancellations",
    "checkpoints",
    "conversations",
    "delegations",
    "feedback",
    "inputs",
    "outcomes",
    "recovery",
    "resumptions",
    "retired",
    "sources",
    "webhooks",
    "workflow",
]
