"""The tables of the first release.

Until there is a first release this makes the tables as the code has them. `scripts/first_migration` then writes them out here, for a
migration must not change with the code; from then on, migrations are added.
"""

from interlock.checkpointing.migrations.creating import create_table
from interlock.checkpointing.tables import checkpoints as checkpoint_tables
from interlock.checkpointing.tables import conversations as conversation_tables
from interlock.checkpointing.tables import recovery as recovery_tables
from interlock.checkpointing.tables import workflow as store_tables
from interlock.checkpointing.tables.columns import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FILLED_BY = (checkpoint_tables, conversation_tables, recovery_tables, store_tables)


def upgrade() -> None:
    """Create everything."""
    for table in metadata.sorted_tables:
        create_table(table)
