"""The schema that migrations make is the one the tables describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.db.base import DATABASE
from shared.db.connection import migrate, open_database, session
from shared.db.node_tables import NODE_TABLES
from shared.db.payment_tables import PAYMENT_TABLES
from shared.db.tables import WORK_TABLES

TABLES = (*NODE_TABLES, *WORK_TABLES, *PAYMENT_TABLES)


def test_migrations_make_the_tables_that_the_models_describe_on_sqlite(tmp_path: Path) -> None:
    migrated = described(f"sqlite:///{tmp_path / 'migrated.sqlite'}", migrate)
    assert migrated == described(f"sqlite:///{tmp_path / 'made.sqlite'}", make)


def test_migrations_make_the_tables_that_the_models_describe_on_postgresql(postgres_url: str) -> None:
    migrated = described(postgres_url, migrate)
    with session():
        DATABASE.drop_tables(TABLES)
    assert migrated == described(postgres_url, make)


def make() -> None:
    """Make the tables of the models as they are now."""
    with session():
        DATABASE.create_tables(TABLES)


def described(url: str, prepare: Any) -> dict[str, Any]:
    """Table → its columns, primary key and indexes, as the database tells them."""
    database = open_database(url)
    prepare()
    with session():
        found = {table._meta.table_name: describe(database, table._meta.table_name) for table in TABLES}
    database.close_all()
    return found


def describe(database: Any, name: str) -> tuple[Any, ...]:
    """Columns, and indexes with what makes each up."""
    columns = [(each.name, each.data_type, each.null, each.primary_key) for each in database.get_columns(name)]
    indexes = [(each.name, each.sql, each.columns, each.unique) for each in database.get_indexes(name)]
    return columns, sorted(indexes, key=str)
