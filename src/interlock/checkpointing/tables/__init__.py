"""The tables of one metadata, in SQLAlchemy Core: checkpoints, conversations, the workflow store and feedback.

Open `workflow.py` first; `docs/schema.md` explains the columns.
"""

# Importing any table imports them all, so that code that iterates over the metadata always finds every table.
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
