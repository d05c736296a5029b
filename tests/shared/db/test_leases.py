"""Leases: one holder at a time, fencing, expiry, and wakes that are not lost; on both databases."""

from __future__ import annotations

import pytest

from shared.db import duties, jobs, leases
from shared.db.connection import lock_rows, transaction
from shared.db.tables import Job
from shared.lifecycle import JobStatus
from tests.shared.db.rows import NOW, at_once, finish, lease, put, row, submit

pytestmark = pytest.mark.usefixtures("database")
RUNNING = JobStatus.RUNNING


def test_nothing_is_due_in_an_empty_database() -> None:
    assert not leases.has_due("local", NOW)


def test_a_job_in_line_is_reason_to_pass() -> None:
    submit()
    assert leases.has_due("local", NOW)


def test_a_due_job_is_leased_once() -> None:
    (job_id,) = submit()
    put(job_id, RUNNING, lease_until_ms=0, lease_token=None)
    _, first = lease()
    _, second = lease()
    assert (first, second) == ([job_id], [])


def test_another_engines_job_is_left_alone() -> None:
    (job_id,) = submit()
    put(job_id, RUNNING, lease_until_ms=0, lease_token=None)
    assert lease("other")[1] == []


def test_leased_by_many_at_once_each_job_has_one_holder() -> None:
    ids = [submit()[0] for _ in range(20)]
    for job_id in ids:
        put(job_id, RUNNING, lease_until_ms=0, lease_token=None)
    taken = at_once(*[lease] * 8)
    assert sorted(job_id for _, leased in taken for job_id in leased) == sorted(ids)


def test_a_row_that_somebody_writes_keeps_no_other_waiting(database: str) -> None:
    ids = [submit()[0] for _ in range(2)]
    for job_id in ids:
        put(job_id, RUNNING, lease_until_ms=0, lease_token=None)
    if database.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    with transaction():
        lock_rows(Job.select().where(Job.job_id == ids[0])).execute()
        ((_, leased),) = at_once(lease)
    assert leased == [ids[1]]


def test_a_lease_that_ran_out_is_taken_over_and_the_old_token_writes_nothing() -> None:
    (job_id,) = submit()
    put(job_id, RUNNING, lease_until_ms=0, lease_token=None)
    old, _ = lease()
    assert leases.is_ours(job_id, old, NOW) and not leases.is_ours(job_id, old, NOW + 30_000)
    new, leased = lease(at_ms=NOW + 30_000)
    assert leased == [job_id]
    assert not jobs.record(job_id, old, {"exit_code": 1})
    assert not leases.release(job_id, old, NOW)
    assert row(job_id).lease_token == new and row(job_id).exit_code is None


def test_a_lease_is_kept_while_it_is_renewed() -> None:
    (job_id,) = submit()
    put(job_id, RUNNING, lease_until_ms=0, lease_token=None)
    token, _ = lease()
    leases.renew([job_id], token, NOW + 60_000)
    assert lease(at_ms=NOW + 40_000)[1] == []
    assert row(job_id).due_at_ms == NOW + 60_000


@pytest.mark.parametrize("is_renewed", [False, True])
def test_a_wake_during_a_lease_survives_its_release(is_renewed: bool) -> None:
    (job_id,) = submit()
    put(job_id, RUNNING, lease_until_ms=0, lease_token=None)
    token, _ = lease()
    jobs.wake(job_id, NOW + 5)
    if is_renewed:
        leases.renew([job_id], token, NOW + 60_000)
    assert leases.release(job_id, token, NOW + 500_000)
    assert row(job_id).due_at_ms == NOW + 5


def test_without_a_wake_it_is_due_when_its_holder_says() -> None:
    (job_id,) = submit()
    put(job_id, RUNNING, lease_until_ms=0, lease_token=None)
    token, _ = lease()
    leases.renew([job_id], token, NOW + 60_000)
    leases.release(job_id, token, NOW + 500_000)
    assert row(job_id).due_at_ms == NOW + 500_000 and row(job_id).lease_token is None


def test_failed_tries_are_counted_until_one_succeeds() -> None:
    (job_id,) = submit()
    for count in (1, 2):
        token = put(job_id, RUNNING)
        leases.release(job_id, token, NOW, error="no answer")
        assert (row(job_id).error_count, row(job_id).last_error) == (count, "no answer")
    leases.release(job_id, put(job_id, RUNNING), NOW)
    assert (row(job_id).error_count, row(job_id).last_error) == (0, None)


def test_a_finished_job_is_never_due_again() -> None:
    (job_id,) = submit()
    finish(job_id)
    jobs.wake(job_id, NOW)
    jobs.request_stop([job_id], NOW)
    assert row(job_id).due_at_ms is None and not leases.has_due("local", NOW + 10**10)


def test_a_duty_has_one_holder_and_a_time() -> None:
    taken = at_once(*[lambda name=name: duties.take_duty("orphans", name, NOW, 1000) for name in "abcdefgh"])
    assert taken.count(True) == 1
    assert duties.due_duties(["orphans", "expiry"], NOW) == ["expiry"]
    winner = "abcdefgh"[taken.index(True)]
    duties.end_duty("orphans", winner, NOW + 5000)
    assert not duties.take_duty("orphans", "z", NOW + 4999, 1000)
    assert duties.take_duty("orphans", "z", NOW + 5000, 1000)


def test_a_dead_holders_duty_is_taken_over() -> None:
    assert duties.take_duty("orphans", "dead", NOW, 1000)
    assert duties.take_duty("orphans", "next", NOW + 1000, 1000)
    duties.end_duty("orphans", "dead", NOW + 10**9)
    assert duties.due_duties(["orphans"], NOW + 2000) == ["orphans"]
