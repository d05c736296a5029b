"""Own waking up: a wait that ends when anybody commits, so that nobody polls for what can be told.

SQLite: `PRAGMA data_version` on a connection of its own, every 10 ms. PostgreSQL: LISTEN, told by `notify`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import peewee

from shared.db.base import DATABASE
from shared.db.connection import is_postgresql
from shared.db.driver import driver_errors

CHANNEL = "c2d"
TICK_S = 0.01


def notify() -> None:
    """Tell every listener that something worth a look is being committed; part of the caller's transaction."""
    if is_postgresql():
        DATABASE.execute_sql(f"NOTIFY {CHANNEL}")


class DatabaseWatch:
    """Wait for the next commit. One thread at a time; holds one connection of its own while entered."""

    def __init__(self) -> None:
        self._wait: Callable[[float], bool] | None = None
        self._close: Callable[[], object] = lambda: None

    def __enter__(self) -> DatabaseWatch:
        try:
            self._open()
        except _lost():
            self._wait = None  # the first wait tries again
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def wait(self, timeout_s: float) -> bool:
        """Whether somebody committed before the time was up; true as well after a connection had to be made anew."""
        try:
            if self._wait is None:
                self._open()
                return True
            return self._wait(timeout_s)
        except _lost():
            self._wait = None  # the database went away: what was missed meanwhile is found by looking
            time.sleep(min(timeout_s, 1.0))
            return True

    def _open(self) -> None:
        self._close()
        database = DATABASE.obj
        if is_postgresql():
            self._watch_postgresql(database)
        else:
            self._watch_sqlite(database)

    def _watch_sqlite(self, database: Any) -> None:
        connection = sqlite3.connect(database.database, check_same_thread=False, isolation_level=None)
        self._close = connection.close

        def version() -> int:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

        seen = version()

        def wait(timeout_s: float) -> bool:
            nonlocal seen
            until = time.monotonic() + timeout_s
            while (now := version()) == seen:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                time.sleep(min(TICK_S, left))
            seen = now
            return True

        self._wait = wait

    def _watch_postgresql(self, database: Any) -> None:
        connection = database._adapter.connect(database)  # outside the pool: this wait lasts
        connection.autocommit = True
        self._close = connection.close
        connection.execute(f"LISTEN {CHANNEL}")

        def wait(timeout_s: float) -> bool:
            heard = False
            for _ in connection.notifies(timeout=timeout_s, stop_after=1):
                heard = True
            return heard

        self._wait = wait


def _lost() -> tuple[type[Exception], ...]:
    """What a connection outside the pool raises when the database is gone."""
    return (peewee.DatabaseError, sqlite3.Error, OSError, *driver_errors())
