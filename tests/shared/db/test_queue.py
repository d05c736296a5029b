"""The queue: turns that are fair, and none that is lost; on both databases."""

from __future__ import annotations

import threading

import pytest

from engines.admission import PATIENCE_MS, admit_waiting
from shared.db import moves, queue
from shared.db.connection import session, transaction
from shared.db.node_tables import Engine
from shared.lifecycle import JobStatus
from shared.names import Address
from tests.flows.harness import ALICE, BOB, job, offered
from tests.shared.db.rows import NOW, at_once, finish, offer, put, row, statuses, submit

pytestmark = pytest.mark.usefixtures("database")
CAROL = Address("0x" + "c" * 40)


def admitted(*ids: str) -> list[bool]:
    return [row(job_id).status != "queued" for job_id in ids]  # type: ignore[arg-type]


def test_a_flood_does_not_keep_a_neighbour_waiting() -> None:
    offer("local", offered(cpu=2))
    flood = submit(*[job(index) for index in range(200)])
    assert admit_waiting("local", NOW) == 2
    (neighbour,) = submit(owner=BOB, at_ms=NOW + 1000)
    finish(flood[0])
    assert admit_waiting("local", NOW + 2000) == 1
    assert admitted(neighbour) == [True]


def test_owners_take_turns() -> None:
    offer("local", offered(cpu=4))
    floods = {owner: submit(*[job(index) for index in range(10)], owner=owner) for owner in (ALICE, BOB)}
    assert admit_waiting("local", NOW) == 4
    assert [sum(admitted(*ids)) for ids in floods.values()] == [2, 2]


def test_let_in_a_few_at_a_time_owners_still_take_turns() -> None:
    offer("local", offered(cpu=4))
    floods = {owner: submit(*[job(index) for index in range(10)], owner=owner) for owner in (ALICE, BOB)}
    counts = []
    for turn in range(3):
        counts.append(admit_waiting("local", NOW + turn, 2))
        assert len({sum(admitted(*ids)) for ids in floods.values()}) == 1
    assert counts == [2, 2, 0] and admit_waiting("local", NOW, 0) == 0


def test_leaving_the_line_and_coming_back_gains_nothing() -> None:
    """An owner with one job at a time does not go before one who has waited since."""
    offer("local", offered(cpu=1))
    (running,) = submit(owner=BOB)
    flood = submit(*[job(index) for index in range(3)])
    for turn in range(1, 5):
        assert admit_waiting("local", NOW + turn * 1000) == 1
        finish(running, at_ms=NOW + turn * 1000)
        running = submit(owner=BOB, at_ms=NOW + turn * 1000)[0]
        finish(next((each for each in flood if row(each).status == "pulling_image"), running))
    assert sum(admitted(*flood)) >= 1


def test_first_come_first_served_within_one_owners() -> None:
    offer("local", offered(cpu=2))
    (large,) = submit(job(0, wanted={"cpu": 2}))
    (blocked,) = submit(job(0, wanted={"cpu": 2}), at_ms=NOW + 1)
    (small,) = submit(at_ms=NOW + 2)
    admit_waiting("local", NOW + 3)
    assert admitted(large, blocked, small) == [True, False, False]


def test_an_owner_who_does_not_fit_loses_a_turn_not_the_place() -> None:
    offer("local", offered(cpu=4))
    (running,) = submit(job(0, wanted={"cpu": 3}), owner=CAROL)
    admit_waiting("local", NOW)
    (large,) = submit(job(0, wanted={"cpu": 4}))
    (small,) = submit(owner=BOB)
    assert admit_waiting("local", NOW + 1) == 1
    assert admitted(large, small) == [False, True]
    finish(running)
    finish(small)
    admit_waiting("local", NOW + 2)
    assert admitted(large) == [True]


def test_a_large_job_is_not_starved_by_small_ones() -> None:
    offer("local", offered(cpu=4))
    (running,) = submit(job(0, wanted={"cpu": 3}), owner=CAROL)
    admit_waiting("local", NOW)
    (large,) = submit(job(0, wanted={"cpu": 4}))
    late = NOW + PATIENCE_MS + 1
    (small,) = submit(owner=BOB, at_ms=late)
    assert admit_waiting("local", late) == 0
    finish(running)
    admit_waiting("local", late)
    assert admitted(large, small) == [True, False]


def test_an_impatient_job_holds_back_nothing_but_what_it_lacks() -> None:
    """One that waits for its environment's only device keeps nobody from the processors."""
    gpu = {"id": "gpu", "total": 1, "min": 0, "max": 1}
    with_gpu = offered()
    with_gpu["resources"] = [*with_gpu["resources"], gpu]
    with_gpu["free"]["resources"].append(gpu)
    offer("local", with_gpu)
    (running,) = submit(job(0, wanted={"gpu": 1}), owner=CAROL)
    admit_waiting("local", NOW)
    (waiting,) = submit(job(0, wanted={"gpu": 1}))
    late = NOW + PATIENCE_MS + 1
    (other,) = submit(owner=BOB, at_ms=late)
    admit_waiting("local", late)
    assert admitted(running, waiting, other) == [True, False, True]


def test_an_impatient_job_that_waits_for_a_job_limit_stops_nobody_elsewhere() -> None:
    first, _ = offer("local", offered("one", maxJobs=1), offered("two"))
    submit(job(0, environment_id=first["id"]), owner=CAROL)
    admit_waiting("local", NOW)
    submit(job(0, environment_id=first["id"]))
    late = NOW + PATIENCE_MS + 1
    (other,) = submit(owner=BOB, at_ms=late)
    admit_waiting("local", late)
    assert admitted(other) == [True]


def test_more_owners_than_are_looked_at_at_once_starve_nobody() -> None:
    """Jobs that only another engine could take do not stand in the way, however many there are."""
    offer("local")
    (elsewhere,) = offer("other", offered("elsewhere"))
    for number in range(130):
        submit(job(0, environment_id=elsewhere["id"]), owner=Address(f"0x{number:040x}"))
    (last,) = submit(owner=BOB, at_ms=NOW + 1)
    assert admit_waiting("local", NOW + 2) == 1
    assert admitted(last) == [True]


def test_an_engine_takes_again_once_it_is_no_longer_full() -> None:
    offer("local", offered(cpu=1))
    first, second = submit(job(0), job(1))
    assert [admit_waiting("local", NOW) for _ in range(2)] == [1, 0]
    finish(first)
    assert admit_waiting("local", NOW + 1000) == 1
    assert admitted(second) == [True]


def test_an_environment_whose_least_shares_do_not_fit_each_other_takes_who_asks_for_more() -> None:
    shares = offered(cpu=4)["resources"]
    shares[0] = {**shares[0], "min": 1, "constraints": [{"id": "ram", "min": 0, "max": 1}]}
    shares[1] = {**shares[1], "min": 4}
    offer("local", offered(resources=shares, free={"maxJobDuration": 3600, "maxJobs": 5, "resources": shares}))
    (wanting,) = submit(job(0, wanted={"cpu": 4, "ram": 4}))
    assert admit_waiting("local", NOW) == 1
    assert admitted(wanting) == [True]


def test_a_draining_engine_takes_nothing() -> None:
    offer("local")
    offer("other")
    with session():
        Engine.update(is_draining=True).where(Engine.name == "local").execute()
    ids = submit()
    assert admit_waiting("local", NOW) == 0 and admit_waiting("other", NOW) == 1
    assert statuses(ids) == ["pulling_image"]


def test_two_engines_share_one_queue() -> None:
    for name in ("local", "second"):
        offer(name, offered(cpu=2))
    ids = [submit()[0] for _ in range(8)]
    counts = at_once(*[lambda name=name: admit_waiting(name, NOW) for name in ("local", "second")] * 2)
    assert sum(counts) == 4 and sum(admitted(*ids)) == 4


def test_a_turn_is_not_lost_when_one_leaves_the_line_while_another_enters(database: str) -> None:
    """A job that gets in line in a transaction still open keeps its owner's turn."""
    if database.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    offer()
    first, second = submit(job(0), job(1, 0))
    admit_waiting("local", NOW)
    (third,) = submit()  # the turn's row is there
    is_in_line, is_leaving = threading.Event(), threading.Event()

    def enter() -> None:
        with transaction():
            finish(first)
            is_in_line.set()
            is_leaving.wait(0.3)  # the other is held by now, if it is held at all

    def leave() -> None:
        is_in_line.wait(5)
        moves.move(third, JobStatus.QUEUED, JobStatus.FINISHED, token, NOW)
        is_leaving.set()

    token = put(third, JobStatus.QUEUED)
    at_once(enter, leave)
    assert queue.owners_in_turn(10) == [ALICE]
    assert admit_waiting("local", NOW) == 1 and admitted(second) == [True]
