"""Own the connection: open the database a URL names, one session per unit of work, migrations and their check."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import InterfaceError, OperationalError
from playhouse.migrations import Runner
from playhouse.pool import MaxConnectionsExceeded, PooledSqliteDatabase

from shared.db.base import DATABASE
from shared.db.driver import is_address, load_driver
from shared.db.pool import FreshPool
from shared.errors import SettingsError, Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x_C2D0_0001
_HELD = "55P03"
"PostgreSQL's code for a lock that was not to be had in time."
WRITERS_WAIT_S = 20
TABLE_WAIT = "3s"
"So long a migration waits for a table, since everybody else waits behind it: a backup may hold one for an hour."
TRIES, PAUSE_S = 40, 2.0
_WRITING = threading.RLock()
_EXAMPLE = "for example sqlite:////var/lib/c2d/c2d.sqlite or postgresql://c2d:secret@db/c2d"


def open_database(url: str, *, connections: int = 32, wait_s: float = 20) -> Any:
    """Bind every table to the database the URL names; nothing is connected yet.

    `connections` bounds the pool; a thread waits at most `wait_s` seconds for one. Raises: SettingsError.
    """
    scheme = url.partition("://")[0]
    opener = _OPENERS.get(scheme)
    if opener is None:  # what is not understood may have a password anywhere, so it is not repeated
        raise SettingsError(f"C2D_DATABASE_URL must begin with one of {', '.join(_OPENERS)} and ://; {_EXAMPLE}.")
    database = opener(url, max_connections=connections, timeout=wait_s)
    DATABASE.initialize(database)
    return database


def _open_sqlite(url: str, **pool: Any) -> Any:
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise SettingsError(f"C2D_DATABASE_URL: {url!r} names no file; {_EXAMPLE}.")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    wait_s = pool.pop("timeout")
    database = PooledSqliteDatabase(
        path,
        lock_type="IMMEDIATE",  # a transaction that will write takes its turn at once instead of failing half-way
        pragmas={"journal_mode": "wal", "synchronous": "normal", "foreign_keys": 1, "busy_timeout": 20_000},
        returning_clause=True,
        timeout=wait_s,
        check_same_thread=False,
        **pool,
    )
    return database


def _open_postgresql(url: str, **pool: Any) -> Any:
    load_driver()
    url = f"postgresql:{url.partition(':')[2]}"  # the one spelling the driver takes for a whole address
    if not is_address(url):
        raise SettingsError(
            "C2D_DATABASE_URL is no address of a database; in a password %, /, [ and @ are written as %25, %2F, %5B "
            f"and %40. {_EXAMPLE.capitalize()}."
        )
    return FreshPool(url, prefer_psycopg3=True, stale_timeout=300, **pool)


_OPENERS: dict[str, Callable[..., Any]] = {
    "sqlite": _open_sqlite,
    "postgresql": _open_postgresql,
    "postgres": _open_postgresql,
}


@contextmanager
def session() -> Iterator[None]:
    """Hold one pooled connection for a unit of work; inside another session it is that one's.

    Raises: Unavailable where the database is out of reach; a broken connection never returns to the pool.
    """
    if not DATABASE.is_closed():
        yield
        return
    try:
        DATABASE.connect()
        yield
    except (OperationalError, InterfaceError, MaxConnectionsExceeded) as error:
        DATABASE.manual_close()
        raise Unavailable("The database is out of reach; try again shortly.", cause=str(error).strip()) from error
    finally:
        if not DATABASE.is_closed():
            DATABASE.close()


@contextmanager
def transaction() -> Iterator[None]:
    """All or nothing: every write inside is committed together, or none is."""
    with session(), _writers_turn(), DATABASE.atomic():
        yield


@contextmanager
def _writers_turn() -> Iterator[None]:
    """Let one thread of this process at SQLite, which has one writer: those who meet in it sleep, however short the
    writing is; here the next is woken. Raises: Unavailable.
    """
    if is_postgresql():
        yield
        return
    if not _WRITING.acquire(timeout=WRITERS_WAIT_S):
        raise Unavailable("The database is busy; try again shortly.")
    try:
        yield
    finally:
        _WRITING.release()


def is_postgresql() -> bool:
    """Whether the bound database is PostgreSQL (which locks rows, where SQLite locks the file)."""
    return bool(DATABASE.for_update)


def lock_rows(query: Any, *, skip: bool = False) -> Any:
    """Make a select lock the rows it finds until the transaction ends; SQLite holds the whole file already.

    `skip` passes over rows that another transaction holds.
    """
    if not is_postgresql():
        return query
    return query.for_update("FOR UPDATE SKIP LOCKED" if skip else "FOR UPDATE")


def migrate(folder: Path = MIGRATIONS) -> list[str]:
    """Take the folder's steps that were not taken yet, once, however many processes ask; return what was applied.

    Each step is whole or not there. Raises: Unavailable, where a table is held by somebody else for minutes, too.
    """
    for _ in range(TRIES):
        with session(), _migration_lock():
            _check_encoding()
            try:
                return list(Runner(_bound(), str(folder)).up())
            except OperationalError as error:
                if getattr(error.__context__, "sqlstate", None) != _HELD:
                    raise
        time.sleep(PAUSE_S)
    raise Unavailable("Somebody else holds a table that is to be changed, a backup perhaps; run `c2d migrate` later.")


def check_migrated() -> None:
    """Raise `Unavailable` where the schema is not the one this code was written for."""
    with session():
        _check_encoding()
        pending = [row.name for row in Runner(_bound(), str(MIGRATIONS)).status() if not row.applied]
    if pending:
        raise Unavailable(f"The database lacks {len(pending)} migration(s); run `c2d migrate`.", pending=pending)


def _check_encoding() -> None:
    """Refuse a database that keeps bytes instead of text: nothing is found again in it by its name."""
    if is_postgresql() and DATABASE.execute_sql("SHOW server_encoding").fetchone()[0] in ("SQL_ASCII", b"SQL_ASCII"):
        raise SettingsError(
            "C2D_DATABASE_URL: the database's encoding is SQL_ASCII, which keeps no text. Example of one that does: "
            "CREATE DATABASE c2d ENCODING 'UTF8' TEMPLATE template0"
        )


def _bound() -> Any:
    """The database behind the proxy, which the migration runner wants itself."""
    return DATABASE.obj


@contextmanager
def _migration_lock() -> Iterator[None]:
    if is_postgresql():
        DATABASE.execute_sql("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
        try:
            DATABASE.execute_sql(f"SET lock_timeout = '{TABLE_WAIT}'")
            yield
        finally:
            DATABASE.execute_sql("RESET lock_timeout")
            DATABASE.execute_sql("SELECT pg_advisory_unlock(%s)", (_ADVISORY_LOCK,))
        return
    with open(f"{_bound().database}.migrate", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
