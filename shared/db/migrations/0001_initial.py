"""The first schema."""

from typing import Any

from shared.db.node_tables import NODE_TABLES
from shared.db.tables import WORK_TABLES


def up(migrator: object, db: Any) -> None:
    """Make every table."""
    db.create_tables([*NODE_TABLES, *WORK_TABLES])
