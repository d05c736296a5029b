"""The first schema."""

from shared.db.node_tables import NODE_TABLES
from shared.db.tables import WORK_TABLES


def up(migrator, db):
    """Make every table."""
    db.create_tables([*NODE_TABLES, *WORK_TABLES])
