"""Moves: compare and set, and all that follows from a job's end in the same transaction; on both databases."""

from __future__ import annotations

import pytest

from shared.db import moves, pod_nonces, reservations
from shared.db.connection import session
from shared.db.node_tables import PodNonce, Reservation, Turn
from shared.db.tables import Event
from shared.errors import Conflict
from shared.lifecycle import JobStatus
from tests.flows.harness import job
from tests.shared.db.rows import NOW, at_once, documents, finish, offer, put, row, statuses, submit

pytestmark = pytest.mark.usefixtures("database")


def test_a_move_needs_the_status_and_the_lease() -> None:
    (job_id,) = submit()
    token = put(job_id, JobStatus.PULLING_IMAGE)
    to = JobStatus.CONFIGURING_VOLUMES
    assert not moves.move(job_id, JobStatus.PULLING_IMAGE, to, "somebody", NOW)
    assert not moves.move(job_id, JobStatus.BUILDING_IMAGE, to, token, NOW)
    assert moves.move(job_id, JobStatus.PULLING_IMAGE, to, token, NOW)
    assert not moves.move(job_id, JobStatus.PULLING_IMAGE, to, token, NOW)
    with session():
        told = [event.status for event in Event.select().order_by(Event.id)]
    assert told == ["queued", "configuring_volumes"]


def test_a_move_that_the_table_lacks_is_refused() -> None:
    (job_id,) = submit()
    token = put(job_id, JobStatus.RUNNING)
    with pytest.raises(Conflict):
        moves.move(job_id, JobStatus.RUNNING, JobStatus.QUEUED, token, NOW)


def test_moved_by_many_at_once_it_moves_once() -> None:
    (job_id,) = submit()
    token = put(job_id, JobStatus.PUBLISHING)
    done = at_once(*[lambda: moves.move(job_id, JobStatus.PUBLISHING, JobStatus.FINISHED, token, NOW)] * 8)
    assert done.count(True) == 1


def test_the_end_gives_everything_back() -> None:
    offer()
    (job_id,) = submit()
    assert reservations.admit(job_id, "local", documents(), NOW)
    with session():
        pod_nonces.spend(job_id, "n")
    assert finish(job_id)
    ended = row(job_id)
    assert (ended.key_sealed, ended.due_at_ms, ended.lease_token, ended.finished_at_ms) == (None, None, None, NOW)
    assert ended.expires_at_ms == NOW + 7 * 86_400_000
    with session():
        assert [table.select().count() for table in (Reservation, PodNonce, Turn)] == [0, 0, 0]


def test_a_dependant_waits_for_the_last_of_those_it_runs_after() -> None:
    first, second, last = submit(job(0), job(1), job(2, 0, 1))
    finish(first)
    assert row(last).unmet == 1 and row(last).ready_at_ms is None
    finish(second, at_ms=NOW + 7)
    assert row(last).unmet == 0 and row(last).ready_at_ms == NOW + 7 and row(last).due_at_ms == NOW + 7 + 86_400_000


@pytest.mark.parametrize("succeeds", [(True, True), (True, False), (False, False)])
def test_two_parents_that_end_at_once_are_both_counted(succeeds: tuple[bool, bool]) -> None:
    for _ in range(5):
        first, second, last = submit(job(0), job(1), job(2, 0, 1))
        done = at_once(lambda: finish(first, succeeds[0]), lambda: finish(second, succeeds[1]))  # noqa: B023
        assert done == [True, True]
        found = row(last)
        if all(succeeds):
            assert (found.status, found.unmet) == ("queued", 0) and found.ready_at_ms == NOW
        else:
            assert (found.status, found.reason, found.due_at_ms) == ("data_failed", "dependency", None)


def test_a_failure_ends_all_that_run_after_it_and_nothing_else() -> None:
    ids = submit(job(0), job(1, 0), job(2, 1), job(3), job(4, 3, 2))
    finish(ids[0], succeeds=False)
    assert statuses(ids) == ["run_failed", "data_failed", "data_failed", "queued", "data_failed"]
    assert f"Job 0 ({ids[0]})" in row(ids[1]).reason_detail and f"Job 1 ({ids[1]})" in row(ids[2]).reason_detail
    assert all(row(job_id).key_sealed is None for job_id in (ids[1], ids[2], ids[4]))


def test_a_dependant_that_was_asked_to_stop_is_stopped() -> None:
    first, second = submit(job(0), job(1, 0))
    put(second, JobStatus.QUEUED, stop_requested=True, lease_token=None, lease_until_ms=0)
    finish(first, succeeds=False)
    assert (row(second).status, row(second).reason) == ("finished", "stopped")


def test_two_failures_that_meet_below_end_each_dependant_once() -> None:
    ids = submit(job(0), job(1), job(2, 0), job(3, 1), job(4, 2, 3))
    at_once(lambda: finish(ids[0], False), lambda: finish(ids[1], False))
    with session():
        told = [event.job_id for event in Event.select().where(Event.status == "data_failed")]
    assert sorted(told) == sorted(ids[2:])
