"""Waking up: a wait ends when anybody commits, on both databases; a database that went away is no end."""

from __future__ import annotations

import threading

from shared.db import jobs
from shared.db.watch import DatabaseWatch
from tests.databases import opened
from tests.services.postgres import PostgresServer
from tests.shared.db.rows import NOW, at_once, submit


def test_a_commit_ends_the_wait(database: str) -> None:
    with DatabaseWatch() as watch:
        assert not watch.wait(0.05)
        submit()
        assert watch.wait(5)


def test_a_commit_of_another_thread_ends_the_wait_that_is_under_way(database: str) -> None:
    waits = threading.Event()

    def listen() -> bool:
        with DatabaseWatch() as watch:
            waits.set()
            return watch.wait(10)

    def write() -> bool:
        waits.wait(5)
        return bool(submit())

    assert at_once(listen, write) == [True, True]


def test_what_was_committed_between_two_waits_is_not_missed(database: str) -> None:
    (job_id,) = submit()
    with DatabaseWatch() as watch:
        jobs.request_stop([job_id], NOW)
        assert watch.wait(1)


def test_a_watch_outlives_its_database(own_postgres: PostgresServer) -> None:
    url = own_postgres.create_database()
    with opened(url), DatabaseWatch() as watch:
        own_postgres.restart()
        assert watch.wait(0.2)  # something may have been missed
        assert watch.wait(0.2)  # connected anew
        assert not watch.wait(0.05)


def test_a_watch_may_begin_before_its_database_is_there(own_postgres: PostgresServer) -> None:
    url = own_postgres.create_database()
    own_postgres.stop()
    with opened(url), DatabaseWatch() as watch:
        assert watch.wait(0.05)
        own_postgres.start()
        assert watch.wait(0.05)
        assert not watch.wait(0.05)
