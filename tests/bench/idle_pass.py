"""How long a pass takes that finds nothing to do, with 100,000 and with 1,000,000 finished jobs in the table.

    .venv/bin/python -m tests.bench.idle_pass

Budget: 2 ms at 100,000, less than twice that at 1,000,000, one indexed query.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines.context import Context
from engines.crew import Crew
from engines.drivers.memory_driver import MemoryDriver, Script, World
from engines.phases import Pods
from engines.reconcile import reconcile_once
from shared.db.base import DATABASE
from shared.db.connection import is_postgresql, migrate, session, transaction
from shared.db.tables import Job
from shared.secrets import SecretBox
from shared.storage.local import LocalStorage
from tests.databases import opened
from tests.flows.harness import Inline
from tests.needs import why_missing
from tests.services.postgres import new_server

SIZES = (100_000, 1_000_000)
PASSES = 300
NOW = 1_700_000_000_000


def main() -> None:
    """Measure on each database there is."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for url in addresses(Path(folder)):
            with opened(url):
                migrate()
                measure(url.partition(":")[0], Path(folder))


def addresses(folder: Path) -> Iterator[str]:
    """A SQLite file, then a PostgreSQL server that is stopped afterwards."""
    yield f"sqlite:///{folder}/idle.sqlite"
    if why_missing("postgres"):
        print(f"postgresql: not measured, {why_missing('postgres')}")
        return
    server = new_server(folder)
    try:
        yield server.create_database()
    finally:
        server.stop("immediate")


def measure(name: str, folder: Path) -> None:
    """Fill the table, then pass."""
    medians = []
    for size in SIZES:
        fill(size)
        medians.append(idle_pass_ms(context(folder)))
        print(f"{name}: {size:>9,} finished jobs: {medians[-1]:.3f} ms a pass (median of {PASSES})", flush=True)
    print(f"{name}: ratio {medians[1] / medians[0]:.2f} (budget: below 2, and at most 2 ms at {SIZES[0]:,})")
    for line in plan():
        print(f"{name}:   {line}")


def fill(size: int) -> None:
    """Bring the table to so many finished jobs."""
    with session():
        there = Job.select().count()
    fields = ("job_id", "workflow_id", "index", "owner", "algorithm", "sealed", "engine", "status", "key_address")
    times = ("created_at_ms", "finished_at_ms", "expires_at_ms", "lease_until_ms", "error_count", "is_free")
    more = ("wanted", "specs", "max_duration_s", "unmet", "stop_requested", "provision_starts", "publish_starts")
    columns = ", ".join(f'"{each}"' for each in (*fields, *times, *more))
    owner = f"CAST({there} + n AS TEXT)"
    values = f"""
        'j' || {owner}, 'w' || {owner}, 0, 'o' || CAST(MOD(n, 1000) AS TEXT), '{{}}', '', 'local', 'finished', '',
        {NOW} - n, {NOW} - n, {NOW} + n, 0, 0, {"TRUE" if is_postgresql() else 1},
        '{{}}', '{{}}', 60, 0, {"FALSE" if is_postgresql() else 0}, 1, 1"""
    if is_postgresql():
        numbers = f"SELECT n FROM generate_series(1, {size - there}) AS n"
    else:
        numbers = (
            f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT {size - there}) SELECT n FROM s"
        )
    with transaction():
        DATABASE.execute_sql(f"INSERT INTO job ({columns}) SELECT {values} FROM ({numbers}) AS numbers")
    with session():
        DATABASE.execute_sql("ANALYZE")


def context(folder: Path) -> Context:
    """An engine in memory that has nothing."""

    def now_ms() -> int:
        return NOW

    driver = MemoryDriver("local", World(), lambda spec: Script(), now_ms)
    return Context("local", driver, LocalStorage(folder), SecretBox(b"\1" * 32), Pods("", "", ""), now_ms)


def idle_pass_ms(engine: Context) -> float:
    """The median of many passes."""
    crew, took = Crew(), []
    for _ in range(PASSES):
        began = time.perf_counter()
        report = reconcile_once(engine, crew)
        took.append((time.perf_counter() - began) * 1000)
        assert not report.leased
    crew.close()
    return statistics.median(took)


def plan() -> list[str]:
    """How the database answers the one query of an idle pass."""
    seen: list[tuple[str, Any]] = []
    database = DATABASE.obj
    with told(database, seen):
        reconcile_once(context(Path("/")), Inline())  # type: ignore[arg-type]  # nothing is due, so nobody carries
    assert len(seen) == 1, f"an idle pass asks once, not {len(seen)} times"
    explain = "EXPLAIN " if is_postgresql() else "EXPLAIN QUERY PLAN "
    with session():
        rows = DATABASE.execute_sql(explain + seen[0][0], seen[0][1]).fetchall()
    return [str(row[-1]) for row in rows]


@contextmanager
def told(database: Any, seen: list[tuple[str, Any]]) -> Iterator[None]:
    """Keep every statement that is executed."""
    execute = database.execute_sql

    def keep(sql: str, params: Any = None) -> Any:
        seen.append((sql, params))
        return execute(sql, params)

    database.execute_sql = keep
    try:
        yield
    finally:
        del database.execute_sql


if __name__ == "__main__":
    sys.exit(main())
