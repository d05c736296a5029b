"""The connection: migrations by many at once, a schema that is the models', and a database that goes and comes back."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.db.base import DATABASE
from shared.db.connection import MIGRATIONS, check_migrated, migrate, open_database, session, transaction
from shared.db.node_tables import NODE_TABLES, Nonce
from shared.db.payment_tables import PAYMENT_TABLES
from shared.db.tables import WORK_TABLES, Workflow
from shared.errors import SettingsError, Unauthorized, Unavailable
from shared.names import Address
from tests.databases import opened
from tests.needs import needs
from tests.services.postgres import PostgresServer
from tests.shared.db.rows import at_once, submit

MIGRATE = (
    "import sys; from shared.db.connection import migrate, open_database;"
    "open_database(sys.argv[1]); print(len(migrate()))"
)
MIGRATE_IN = (
    "import sys; from pathlib import Path; from shared.db.connection import migrate, open_database;"
    "open_database(sys.argv[1]); migrate(Path(sys.argv[2]))"
)
ADDRESS = Address("0x" + "a" * 40)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs("postgres"))])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.sqlite"
    return str(request.getfixturevalue("postgres_url"))


def test_migrated_by_four_processes_at_once_each_step_is_taken_once(empty_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, empty_url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    applied = sorted(int(process.communicate(timeout=60)[0]) for process in processes)
    assert [process.returncode for process in processes] == [0] * 4
    assert applied[:3] == [0, 0, 0] and applied[3] >= 1
    with opened(empty_url):
        check_migrated()


STEP = "def up(migrator, db):\n    db.execute_sql('ALTER TABLE job ADD COLUMN {name} INTEGER')\n"


def version(folder: Path, **steps: str) -> Path:
    """The migrations of a version that has these steps beside the shipped ones."""
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in steps.items():
        (folder / f"9000_{name}.py").write_text(text)
    return folder


def columns() -> set[str]:
    with session():
        return {column.name for column in DATABASE.get_columns("job")}


def test_two_versions_rolled_out_at_once_take_each_step_once_and_the_one_before_goes_on(
    empty_url: str, tmp_path: Path
) -> None:
    folders = [version(tmp_path / name, **{name: STEP.format(name=name)}) for name in ("blue", "green")]
    commands = [[sys.executable, "-c", MIGRATE_IN, empty_url, str(folder)] for folder in folders * 2]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(60) for process in processes] == [0] * 4
    with opened(empty_url):
        check_migrated()  # the version before, which knows of neither
        assert migrate() == [] and {"blue", "green"} <= columns()
        submit()  # whose rows leave out what it does not know


def test_a_step_that_fails_half_way_is_not_there_and_keeps_nobody_waiting(empty_url: str, tmp_path: Path) -> None:
    broken = STEP.format(name="half") + "    raise ValueError('half-way')\n"
    with opened(empty_url):
        with pytest.raises(ValueError, match="half-way"):
            migrate(version(tmp_path / "broken", half=broken))
        assert "half" not in columns()
        assert migrate(version(tmp_path / "mended", half=STEP.format(name="half"))) == ["9000_half"]


@needs("postgres")
def test_a_migration_does_not_wait_in_everybodys_way_for_a_table_that_a_backup_holds(
    postgres_url: str, tmp_path: Path
) -> None:
    with opened(postgres_url):
        migrate()
        later = version(tmp_path / "later", more=STEP.format(name="more"))
        with psycopg.connect(postgres_url) as backup:
            backup.execute("LOCK TABLE job IN ACCESS SHARE MODE")
            process = subprocess.Popen([sys.executable, "-c", MIGRATE_IN, postgres_url, str(later)])
            with psycopg.connect(postgres_url, autocommit=True) as other:
                until_it_waits(other)
                other.execute("SELECT count(*) FROM job")  # behind it, until it lets go
            assert process.poll() is None
        assert process.wait(60) == 0 and "more" in columns()


def until_it_waits(connection: psycopg.Connection[Any]) -> None:
    """Until somebody waits for the table."""
    end = time.monotonic() + 60
    while not connection.execute(
        "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    ).fetchall():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_unmigrated_database_is_told_as_such(empty_url: str) -> None:
    with opened(empty_url), pytest.raises(Unavailable, match="c2d migrate"):
        check_migrated()


def test_migrating_again_changes_nothing(database: str) -> None:
    assert migrate() == []
    check_migrated()


def test_the_migrated_schema_is_that_of_the_models(database: str) -> None:
    with session():
        for table in (*WORK_TABLES, *NODE_TABLES, *PAYMENT_TABLES):
            name = table._meta.table_name
            columns = {column.name: column.null for column in DATABASE.get_columns(name)}
            assert columns == {field.column_name: field.null for field in table._meta.sorted_fields}, name
            assert set(DATABASE.get_primary_keys(name)) == {
                field.column_name for field in table._meta.get_primary_keys()
            }, name
        indexes = {index.name for table in ("job", "turn", "reservation") for index in DATABASE.get_indexes(table)}
        assert {"job_due", "job_queue", "job_expiry", "job_workflow_id_index"} <= indexes


@pytest.mark.parametrize("url", ["mysql://x", "sqlite:///", "c2d.sqlite", ""])
def test_an_address_that_cannot_be_one_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="C2D_DATABASE_URL"):
        open_database(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgres//c2d:sesame@db/c2d",
        "c2d:sesame@db/c2d",
        "postgresql://c2d:sesame%me@db/c2d",
        "postgresql://c2d:sesame@db:port/c2d",
        "postgresql://c2d:sesame/x@db/c2d",
    ],
)
def test_a_wrong_address_is_told_of_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="C2D_DATABASE_URL") as told:
        open_database(url)
    assert "sesame" not in str(told.value) and told.value.__cause__ is None


def test_an_error_takes_back_everything_in_its_transaction(database: str) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        Nonce.insert(address="a", nonce=1).execute()
        raise ZeroDivisionError
    with session():
        assert Nonce.select().count() == 0


def test_fifty_uses_of_one_nonce_at_once_are_one_use(database: str) -> None:
    from shared.db import nonces

    def use() -> bool:
        try:
            with transaction():
                nonces.spend(ADDRESS, 7)
        except Unauthorized:
            return False
        return True

    assert at_once(*[use] * 25, *[use] * 25).count(True) == 1


def test_a_database_that_keeps_bytes_instead_of_text_is_refused(own_postgres: PostgresServer) -> None:
    own_postgres.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    with opened(own_postgres.url("bytes")):
        for asked in (migrate, check_migrated):
            with pytest.raises(SettingsError, match="ENCODING 'UTF8'"):
                asked()


@pytest.mark.parametrize("rested", [False, True], ids=["in use a moment ago", "rested"])
def test_a_connection_the_server_ended_is_met_once_at_most(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, rested: bool
) -> None:
    """One that rested is asked first; of one that was just in use the next statement tells, and it is never kept."""
    with opened(own_postgres.create_database()):
        migrate()
        monkeypatch.setattr("shared.db.pool.FRESH_S", 0 if rested else 60)
        with session():
            mine = DATABASE.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
        end(own_postgres, mine)
        if not rested:
            with pytest.raises(Unavailable), session():
                Workflow.select().count()
        with session():
            assert Workflow.select().count() == 0
            assert DATABASE.execute_sql("SELECT pg_backend_pid()").fetchone()[0] != mine


def end(server: PostgresServer, backend: int) -> None:
    """End one of the server's sessions, from another process, and wait until it is gone."""
    command = (
        "import sys, psycopg; connection = psycopg.connect(sys.argv[1], autocommit=True);"
        "connection.execute('SELECT pg_terminate_backend(%s, 5000)', (int(sys.argv[2]),))"
    )
    subprocess.run([sys.executable, "-c", command, server.create_database(), str(backend)], check=True, timeout=30)


def test_a_database_out_of_reach_is_told_and_found_again(own_postgres: PostgresServer) -> None:
    url = own_postgres.create_database()
    with opened(url):
        migrate()
        own_postgres.stop()
        with pytest.raises(Unavailable), session():
            Workflow.select().count()
        own_postgres.start()
        with session():
            assert Workflow.select().count() == 0
