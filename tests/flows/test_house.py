"""What passes do beside the jobs: orphans, expiry, drain, a problem that is over, a database that restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engines.drivers.base import PhaseSpec
from engines.drivers.memory_driver import MemoryDriver, Script
from engines.engine_row import check_daemon
from engines.housekeeping import keep_house
from engines.orphans import AGE_MS, expire_results, remove_orphans
from engines.reconcile import reconcile_once
from shared.db.connection import migrate, session
from shared.db.engines import set_draining
from shared.db.node_tables import Engine
from shared.db.tables import Job, Result
from shared.errors import JobError, Unavailable
from shared.names import JobId, Phase, new_job_id, result_key
from tests.databases import opened
from tests.flows.harness import RUNS_ON, Inline, Site, job
from tests.services.postgres import PostgresServer
from tests.starting import start


@pytest.fixture
def site(database: str, tmp_path: Path) -> Site:
    return Site(tmp_path)


def lost_thing(site: Site, engine: str = "local") -> JobId:
    """A volume and a container whose job nobody knows."""
    job_id = new_job_id()
    driver = MemoryDriver(engine, site.world, lambda spec: Script(exit_code=None), site.clock)
    driver.ensure_volume(job_id, 1)
    start(driver, PhaseSpec(job_id, engine, Phase.RUN, "x", None, {}))
    return job_id


def test_what_belongs_to_no_job_is_removed_when_it_is_old(site: Site) -> None:
    lost = lost_thing(site)
    assert remove_orphans(site.contexts["local"]) == []
    site.clock.now_ms += AGE_MS + 1
    assert remove_orphans(site.contexts["local"]) == [lost]
    assert site.leftovers() == {}


def test_what_belongs_to_a_job_or_to_another_engine_stays(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.RUN, RUNS_ON)
    for _ in range(4):
        site.pass_()
    lost_thing(site, "another")
    site.clock.now_ms += AGE_MS + 1
    assert site.runs(0) == 1 and remove_orphans(site.contexts["local"]) == []


def test_one_that_cannot_be_removed_does_not_keep_the_others(site: Site) -> None:
    class Stuck(MemoryDriver):
        def remove(self, job_id: JobId) -> None:
            if job_id == stuck:
                raise JobError("It is in use.")
            super().remove(job_id)

    stuck, other = sorted(lost_thing(site) for _ in range(2))
    site.clock.now_ms += AGE_MS + 1
    driver = Stuck("local", site.world, lambda spec: Script(), site.clock)
    assert remove_orphans(replace(site.contexts["local"], driver=driver)) == [other]


def test_who_was_too_long_over_an_image_stores_no_log_over_that_of_the_next(site: Site) -> None:
    """A result's row and its bytes are then of two writers, and whoever downloads it waits for what never comes."""
    [job_id] = site.submit(job(0))
    key = result_key(job_id, "image.log")

    def is_taken_over() -> None:
        site.clock.advance(31)
        site.pass_()
        site.storage.write(key, [b"by who has the job\n"])

    site.on_verb["ensure_image", 0] = is_taken_over
    site.pass_()
    assert b"".join(site.storage.read(key)) == b"by who has the job\n"


def test_a_duty_that_fails_stops_no_other(site: Site) -> None:
    class Broken(MemoryDriver):
        def list_jobs(self) -> dict[JobId, int]:
            raise ValueError("an engine's answer nobody expected")

    driver = Broken("local", site.world, lambda spec: Script(), site.clock)
    done = keep_house(replace(site.contexts["local"], driver=driver))
    assert "orphans:local" not in done and {"expiry", "storage", "tokens"} <= set(done)
    assert keep_house(site.contexts["local"]) == []
    site.clock.advance(61)
    assert "orphans:local" in keep_house(site.contexts["local"])


def test_what_stands_around_jobs_is_had_again_and_where_it_cannot_the_rest_is_done(site: Site) -> None:
    class Bare(MemoryDriver):
        def ensure_surroundings(self) -> None:
            raise JobError("Somebody forbids it.")

    driver = Bare("local", site.world, lambda spec: Script(), site.clock)
    done = keep_house(replace(site.contexts["local"], driver=driver))
    assert "surroundings:local" not in done and "orphans:local" in done
    site.clock.advance(31)
    assert "surroundings:local" in keep_house(site.contexts["local"])


def test_results_are_deleted_when_their_time_is_over(site: Site) -> None:
    site.submit(job(0), job(1))
    site.settle()
    assert expire_results(site.contexts["local"]) == 0 and site.result_names(0)
    site.clock.advance(7 * 86_400 - 60)
    assert expire_results(site.contexts["local"]) == 0
    site.clock.advance(120)
    assert expire_results(site.contexts["local"]) == 2
    with session():
        assert (Result.select().count(), Job.select().where(Job.expires_at_ms.is_null(False)).count()) == (0, 0)
    assert list(site.storage.keys()) == [] and site.ends() == [("finished", None)] * 2


def test_expiry_that_met_a_storage_out_of_reach_is_done_later(site: Site) -> None:
    site.submit(job(0))
    site.settle()
    site.clock.advance(8 * 86_400)
    site.storage.is_down = True
    with pytest.raises(Unavailable):
        expire_results(site.contexts["local"])
    site.storage.is_down = False
    assert expire_results(site.contexts["local"]) == 1 and site.leftovers() == {}


def test_a_draining_engine_finishes_what_it_has_and_takes_nothing_new(site: Site) -> None:
    site.submit(job(0), job(1, 0))
    site.play(0, Phase.RUN, RUNS_ON)
    for _ in range(4):
        site.pass_()
    with session():
        set_draining("local", True)
    site.stop(0)()
    site.submit(job(0))
    for _ in range(10):
        site.pass_()
        site.clock.advance(5)
    assert [row.status for row in site.rows()] == ["finished", "data_failed", "queued"]
    with session():
        set_draining("local", False)
    site.settle()
    assert site.ends()[2] == ("finished", None) and site.leftovers() == {}


def test_a_problem_that_is_over_is_taken_back_though_nothing_is_due(site: Site) -> None:
    """Otherwise an engine that shows a problem is given no job, and without a job it would never look again."""
    site.world.is_down = True
    with pytest.raises(Unavailable):
        check_daemon(site.contexts["local"])
    assert problem() == "The engine is out of reach."
    site.world.is_down = False
    keep_house(site.contexts["local"])
    assert problem() is None


def test_work_is_taken_from_the_daemon_that_was_met_first_alone(site: Site) -> None:
    check_daemon(site.contexts["local"])
    site.world.daemon_id = "another"
    site.submit(job(0))
    with pytest.raises(Unavailable, match="its work is on daemon memory"):
        reconcile_once(site.context("local"), Inline())  # type: ignore[arg-type]
    assert "reached daemon another" in str(problem()) and site.ends() == [("queued", None)]


def test_who_waits_in_line_may_stop_while_the_engine_is_down(site: Site) -> None:
    site.submit(job(0), job(1, 0))
    site.submit(job(0), wait_s=60)
    site.world.is_down = True
    site.stop(0)()
    site.clock.advance(61)
    site.pass_()
    assert site.ends() == [("finished", "stopped"), ("data_failed", "dependency"), ("queue_expired", "queue")]


def problem() -> str | None:
    with session():
        return Engine.get_by_id("local").problem  # type: ignore[no-any-return]


def test_a_database_that_restarts_in_mid_flow_loses_nothing(own_postgres: PostgresServer, tmp_path: Path) -> None:
    url = own_postgres.create_database()
    with opened(url):
        migrate()
        site = Site(tmp_path)
        site.submit(job(0), job(1, 0), job(2, 0))
        for verb in ("ensure_volume", "start run", "remove"):
            site.on_verb[verb, 0] = lambda: own_postgres.stop()
            site.on_verb[verb, 1] = own_postgres.restart
        passes = 0
        while passes < 200 and not is_settled(site, own_postgres):
            site.pass_()
            site.clock.advance(10)
            passes += 1
        assert site.ends() == [("finished", None)] * 3
        assert [site.runs(index) for index in range(3)] == [1, 1, 1]
        assert site.leftovers() == {}


def is_settled(site: Site, server: PostgresServer) -> bool:
    """Whether all is finished; a server that was stopped is started."""
    if not (server.data_dir / "postmaster.pid").exists():
        server.start()
    try:
        return site.is_settled()
    except Unavailable:
        return False
