"""The tables of one metadata, in SQLAlchemy Core: checkpoints, conversations, the workflow store and feedback.

Open `workflow.py` first; `docs/schema.md` explains the columns.
"""
