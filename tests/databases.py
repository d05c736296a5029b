"""The two databases: a test that asks for `database` runs on a migrated SQLite file and on a migrated PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.db.base import DATABASE
from shared.db.connection import migrate, open_database, transaction
from shared.db.node_tables import NODE_TABLES
from shared.db.payment_tables import PAYMENT_TABLES
from shared.db.tables import WORK_TABLES
from tests.needs import needs
from tests.services.postgres import RUN_DIR, PostgresServer, exclusive

TEMPLATE = "migrated"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs("postgres"))])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with every table, opened; its address."""
    if request.param == "sqlite":
        with opened(f"sqlite:///{migrated_file(tmp_path)}") as url:
            yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database(server.template(TEMPLATE, migrate_at))
    with opened(url):
        yield url
    server.drop_database(url)


@pytest.fixture
def quick_database(tmp_path: Path) -> Iterator[str]:
    """A fresh SQLite file whose writes need not outlive the machine, for what must be repeated very often."""
    with opened(f"sqlite:///{migrated_file(tmp_path)}") as url:
        DATABASE.obj.pragma("synchronous", 0, permanent=True)
        yield url


@contextmanager
def opened(url: str) -> Iterator[str]:
    """Bind the tables to the database as long as it is needed."""
    bound = open_database(url)
    try:
        yield url
    finally:
        close(bound)


def close(bound: object) -> None:
    """Close every connection of every thread."""
    bound.manual_close()  # type: ignore[attr-defined]
    bound.close_all()  # type: ignore[attr-defined]


def migrate_at(url: str) -> None:
    """Bring an empty database up to date."""
    with opened(url):
        migrate()


def migrated_file(folder: Path) -> Path:
    """Copy the run's migrated SQLite file, made by the first test that asks."""
    run = Path(os.environ[RUN_DIR])
    template = run / "migrated.sqlite"
    with exclusive(run / "migrated.sqlite.lock"):
        if not template.exists():
            migrate_at(f"sqlite:///{run}/new.sqlite")
            (run / "new.sqlite").rename(template)
    return Path(shutil.copy(template, folder / "c2d.sqlite"))


def empty() -> None:
    """Delete every row."""
    with transaction():
        for table in (*WORK_TABLES, *NODE_TABLES, *PAYMENT_TABLES):
            table.delete().execute()
