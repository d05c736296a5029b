"""A pass of a real engine that kills itself (SIGKILL) at one place of its work, `KILL_AT`: `before verb #2`.

Places are before and after each driver verb, each write of a job's rows and each commit of them, numbered by name. Each
is written to the file `PLACES` as it is reached. On Kubernetes each call that changes the cluster is a place as well.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

from engines.compose import wait_for_engine
from engines.drivers.base import Driver
from engines.drivers.docker_driver import DockerDriver
from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_volumes import kubernetes_driver
from engines.watching import Bell, watch
from shared.db.base import DATABASE
from tests.flows.killable import VERBS, WRITES, Checkpoints, Watched

LEASE_MS = 3_000
TABLES = ("job", "event", "result", "reservation", "turn", "dependency", "pod_nonce", "log_chunk")
WOKEN = {"due_at_ms", "lease_until_ms"}
ALL_VERBS = (*VERBS, "observe", "read_log")
DRIVERS: dict[str, Any] = {"docker": DockerDriver, "kubernetes": kubernetes_driver}


class Deadly(Checkpoints):
    """Places at which the process truly dies."""

    def __init__(self, deadly: str, places: str) -> None:
        super().__init__()
        self._deadly, self._places, self._lock = deadly, places, threading.Lock()
        self._counts: Counter[str] = Counter()

    def reach(self, name: str) -> None:
        """Count one more place, say so, die if it is the one."""
        with self._lock:
            self._counts[name] += 1
            place = f"{name} #{self._counts[name]}"
            with open(self._places, "a", encoding="utf-8") as file:
                file.write(f"{place}\n")
            if place == self._deadly:
                os.kill(os.getpid(), signal.SIGKILL)


def watch_writes(checkpoints: Checkpoints) -> None:
    """Put places around what is written of jobs and its commit; the node's other rows are of no interest."""
    database, mine = DATABASE.obj, threading.local()
    execute_sql, commit = database.execute_sql, database.commit

    def execute(sql: str, params: Any = None) -> Any:
        if not sql.startswith(WRITES) or not any(f'"{table}"' in sql for table in TABLES):
            return execute_sql(sql, params)
        mine.written = kind_of(sql, getattr(mine, "written", None))
        return checkpoints.around(mine.written, execute_sql, sql, params)

    def commit_watched() -> Any:
        written, mine.written = getattr(mine, "written", None), None
        return commit() if written is None else checkpoints.around(f"commit after {written}", commit)

    database.execute_sql, database.commit = execute, commit_watched


def watch_cluster(checkpoints: Checkpoints) -> None:
    """Put places around each call that changes the cluster."""
    plain = KubernetesApi.call

    def call(self: KubernetesApi, method: str, path: str, **options: Any) -> Any:
        if method == "GET":
            return plain(self, method, path, **options)
        kind = path.partition("/namespaces/")[2].split("/")[1]
        return checkpoints.around(f"{method} {kind}", plain, self, method, path, **options)

    KubernetesApi.call = call  # type: ignore[method-assign]


def kind_of(sql: str, earlier: str | None) -> str:
    """What a write is about: an event of what was written before it, a move, a lease, a record; or the table.

    Named so that the count of each tells a place: how often a job is woken, or told why it waits, is chance.
    """
    if sql.startswith('INSERT INTO "event"'):
        return f"event of {earlier}"
    if not sql.startswith('UPDATE "job"'):
        return " ".join(sql.split()[:3])
    changed = re.findall(r'"(\w+)" =', sql.partition("WHERE")[0])
    if "status" in changed:
        return "move"
    if WOKEN.issuperset(changed):
        return "wake"
    is_lease = "lease_token" in changed and "finished_at_ms" not in changed
    return "lease" if is_lease else f"record {changed[0]}"


def main() -> int:
    """Pass as `--watch` does, until killed or told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--kind", choices=DRIVERS, required=True)
    options = parser.parse_args()
    checkpoints = Deadly(os.environ["KILL_AT"], os.environ["PLACES"])

    def driver_of(engine: str, connection: dict[str, Any], fetch_allow: tuple[Any, ...]) -> Driver:
        driver = DRIVERS[options.kind](engine, connection, fetch_allow)
        watched: Any = Watched(driver, ALL_VERBS, checkpoints)
        return watched

    context = wait_for_engine(options.engine, options.kind, driver_of, is_patient=True)
    watch_writes(checkpoints)
    if options.kind == "kubernetes":
        watch_cluster(checkpoints)
    bell = Bell()
    signal.signal(signal.SIGTERM, bell.stop)
    watch(replace(context, lease_ms=LEASE_MS), bell)
    return 0


if __name__ == "__main__":
    sys.exit(main())
