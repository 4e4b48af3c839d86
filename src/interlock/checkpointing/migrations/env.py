"""Alembic's environment: uses the connection and the groups of tables from `schema.setup`."""

from alembic import context

from interlock.checkpointing.schema import Run

run: Run = context.config.attributes["run"]
context.configure(
    connection=run.connection,
    version_table=run.version_table,
    version_table_schema=run.schema,
    transactional_ddl=False,  # the caller manages the transaction, if the database has transactional DDL
)
context.run_migrations()
