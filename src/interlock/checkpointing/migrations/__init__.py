"""Alembic's migrations of every table: `interlock.checkpointing.schema` runs them."""
