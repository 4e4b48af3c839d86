"""How Alembic runs here: on the connection, and for the groups of tables, that `schema.setup` gives it."""

from alembic import context

from interlock.checkpointing.schema import Run

run: Run = context.config.attributes["run"]
context.configure(
    connection=run.connection,
    version_table=run.version_table,
    version_table_schema=run.schema,
    transactional_ddl=False,  # the transaction, where the database has one for this, is the caller's
)
context.run_migrations()
