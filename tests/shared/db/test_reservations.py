"""Reservations: never more promised than there is, whoever admits at the same time; on both databases."""

from __future__ import annotations

import pytest

from shared.db import queue, reservations
from shared.db.connection import session
from shared.db.node_tables import Reservation
from shared.db.tables import Job
from shared.lifecycle import JobStatus
from shared.placement import NotEnough
from tests.flows.harness import job, offered
from tests.shared.db.rows import NOW, at_once, documents, finish, offer, put, row, submit

pytestmark = pytest.mark.usefixtures("database")


def try_admit(job_id: str) -> bool:
    try:
        return reservations.admit(job_id, "local", documents(), NOW) is not None  # type: ignore[arg-type]
    except NotEnough:
        return False


def test_an_admitted_job_holds_what_it_was_granted() -> None:
    offer()
    (job_id,) = submit(job(0, wanted={"cpu": 2, "ram": 1.5}))
    assert try_admit(job_id)
    found = row(job_id)
    assert found.status == "pulling_image" and found.due_at_ms == NOW and found.max_duration_s == 3600
    assert {each["id"]: each["amount"] for each in found.resources} == {"cpu": 2, "ram": 1.5, "disk": 1}
    assert reservations.usage("local").pool == {"cpu": 2000, "ram": 1500, "disk": 1000}


@pytest.mark.parametrize("is_free", [True, False])
def test_what_is_promised_with_one_grant_more_is_what_is_found_after_it(is_free: bool) -> None:
    """Admission reckons on without asking again; it must not drift from the rows."""
    offer("local", offered("one"), offered("two"))
    ids = submit(*[job(index, wanted={"cpu": 1 + index % 2, "ram": 1.5}) for index in range(3)])
    with session():
        Job.update(is_free=is_free).execute()
    for job_id in ids:
        before = reservations.usage("local")
        granted = reservations.admit(job_id, "local", documents(), NOW)
        assert granted is not None
        assert before.with_grant(granted, is_free) == reservations.usage("local")


def test_admitted_by_sixteen_at_once_no_more_is_promised_than_there_is() -> None:
    offer("local", offered(cpu=4))
    ids = [submit()[0] for _ in range(16)]
    done = at_once(*[lambda job_id=job_id: try_admit(job_id) for job_id in ids])
    assert done.count(True) == 4
    assert reservations.usage("local").pool["cpu"] == 4000


def test_one_job_admitted_by_many_is_admitted_once() -> None:
    offer()
    (job_id,) = submit()
    assert at_once(*[lambda: try_admit(job_id)] * 8).count(True) == 1
    with session():
        assert Reservation.select().where(Reservation.resource_id == "cpu").count() == 1


def test_what_a_job_gives_back_the_next_may_have() -> None:
    offer("local", offered(cpu=1))
    first, second = (submit()[0] for _ in range(2))
    assert try_admit(first) and not try_admit(second)
    finish(first)
    assert try_admit(second)


def test_the_hardware_is_shared_between_environments() -> None:
    offer("local", offered("one", cpu=8), offered("two", cpu=8))
    (one,) = submit(job(0, wanted={"cpu": 6}))
    (two,) = submit(job(0, wanted={"cpu": 3}))
    assert try_admit(one) and not try_admit(two)


def test_a_job_limit_holds_for_its_environment_alone() -> None:
    offer("local", offered("one", maxJobs=1), offered("two", maxJobs=1))
    ids = [submit()[0] for _ in range(3)]
    assert [try_admit(job_id) for job_id in ids] == [True, True, False]
    assert row(ids[0]).environment_id != row(ids[1]).environment_id


@pytest.mark.parametrize("changes", [{"unmet": 1}, {"stop_requested": True}])
def test_a_job_that_is_not_in_line_is_not_admitted(changes: dict[str, object]) -> None:
    offer()
    (job_id,) = submit()
    put(job_id, JobStatus.QUEUED, **changes)
    assert not try_admit(job_id) and reservations.usage("local").pool == {}


def test_who_leaves_the_line_has_no_turn() -> None:
    offer()
    (job_id,) = submit()
    assert queue.owners_in_turn(10) == [row(job_id).owner]
    try_admit(job_id)
    assert queue.owners_in_turn(10) == []
