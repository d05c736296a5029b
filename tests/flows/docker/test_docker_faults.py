"""What the node stands on goes away in mid-job and comes back: the engine, storage, the database."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.names import Phase
from shared.storage import open_storage
from tests.flows.docker.gate import Gate, gate_to
from tests.flows.docker.harness import (
    POD_IMAGE,
    Place,
    container_of,
    environment,
    job,
    new_name,
    place,
    python_job,
    until,
)
from tests.needs import busybox_image, needs
from tests.services.moto_server import CREDENTIALS, MotoServer
from tests.services.node import FINALS
from tests.services.postgres import PostgresServer
from tests.services.private_docker import PrivateDocker, private_docker

pytestmark = [needs("docker"), pytest.mark.full, pytest.mark.timeout(300), pytest.mark.xdist_group("docker-faults")]
EARLY = "echo run >>/data/outputs/runs.txt; echo up; exec sleep 1000"
MAKES_300_MB = "echo run >>/data/outputs/runs.txt; head -c 300000000 /dev/zero >/data/outputs/big"
Down = Callable[[PrivateDocker], None]
DOWN: dict[str, Down] = {"stopped": PrivateDocker.stop, "killed": PrivateDocker.kill}


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateDocker]:
    with private_docker(busybox_image(), POD_IMAGE) as own:
        yield own


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, engine: PrivateDocker) -> Path:
    """The engine's socket as the node knows it."""
    path = tmp_path_factory.mktemp("engine") / "sock"
    path.symlink_to(engine.folder / "sock")
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, engine: PrivateDocker, link: Path) -> Iterator[Place]:
    own = {**engine.connection, "socket": str(link), "podImage": POD_IMAGE}
    with place(tmp_path_factory.mktemp("docker-faults"), {**own, "environments": [environment()]}) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "site" in request.fixturenames:
        engine, site = request.getfixturevalue("engine"), request.getfixturevalue("site")
        site.until_clean()
        until(lambda: not engine.docker("ps", "-aq").stdout and not engine.docker("volume", "ls", "-q").stdout)


def ending(record: dict[str, Any]) -> tuple[int, int | None, str | None]:
    details = record["terminationDetails"]
    return record["status"], details["exitCode"], details["reason"]


def is_running(engine: PrivateDocker, name: str) -> bool:
    return bool(engine.docker("ps", "-q", "--filter", f"name=^{name}$").stdout)


@pytest.mark.parametrize("how", DOWN)
def test_the_engine_goes_while_a_pod_downloads(site: Place, engine: PrivateDocker, how: str) -> None:
    site.served.drip = drip = threading.Event()
    files = site.file(f"slow-{how}", b"slow")
    workflow = site.submit(
        job(0, f"cat /data/inputs/slow-{how}; echo run >>/data/outputs/runs.txt", input=[{"index": 0, "files": files}])
    )
    record = site.until_status(workflow, 30)
    until(lambda: len([each for each in site.served.requests if each[1].endswith(f"slow-{how}")]) == 1)
    DOWN[how](engine)
    site.served.drip = None
    drip.set()
    engine.start()
    [record] = site.consumer.wait(workflow)
    assert ending(record) == (70, 0, None)
    assert site.output(record) == b"run\n" and site.log(record) == "slow"


@pytest.mark.parametrize("how", DOWN)
def test_an_algorithm_lost_with_its_engine_is_never_run_again(site: Place, engine: PrivateDocker, how: str) -> None:
    workflow = site.submit(job(0, EARLY), job(1, "true", runAfter=0))
    record = site.until_running(workflow)
    until(lambda: b"up" in engine.docker("logs", container_of(record, Phase.RUN)).stdout)
    DOWN[how](engine)
    time.sleep(1)
    assert site.consumer.status(workflowId=workflow)[0]["status"] == 40
    engine.start()
    record, dependant = site.consumer.wait(workflow)
    assert record["status"] == 41 and record["terminationDetails"]["reason"] == "lost"
    assert ending(dependant) == (31, None, "dependency")
    assert site.output(record) == b"run\n" and site.log(record).startswith("up")


@pytest.mark.parametrize("how", DOWN)
def test_the_engine_goes_while_outputs_are_published(site: Place, engine: PrivateDocker, how: str) -> None:
    workflow = site.submit(job(0, MAKES_300_MB))
    record = site.until_status(workflow, 60)
    until(lambda: is_running(engine, container_of(record, Phase.PUBLISH)))
    DOWN[how](engine)
    engine.start()
    [record] = site.consumer.wait(workflow)
    assert ending(record) == (70, 0, None)
    [output] = [each for each in record["results"] if each["type"] == "output"]
    assert output["filesize"] > 300_000_000


def test_another_daemon_under_the_name_is_given_no_work(site: Place, engine: PrivateDocker, link: Path) -> None:
    running = site.submit(job(0, EARLY, compute={"maxDuration": 60}))
    record = site.until_running(running)
    engine.kill()
    relink(link, Path("/var/run/docker.sock"))
    waiting = site.submit(job(0, "true"))
    until(lambda: "reached daemon" in (problem_of(site) or ""), lambda: problem_of(site))
    assert site.consumer.status(workflowId=waiting)[0]["status"] == 1
    assert site.consumer.status(workflowId=running)[0]["status"] == 40
    assert site.starts_of(record["jobId"]) == 0
    relink(link, engine.folder / "sock")
    engine.start()
    [record] = site.consumer.wait(running)
    assert record["status"] == 41 and record["terminationDetails"]["reason"] == "lost"
    assert ending(site.consumer.wait(waiting)[0]) == (70, 0, None)
    assert problem_of(site) is None


def relink(link: Path, target: Path) -> None:
    """Point the socket elsewhere in one step."""
    fresh = link.with_suffix(".new")
    fresh.symlink_to(target)
    fresh.rename(link)


def problem_of(site: Place) -> str | None:
    """What the engine's row says."""
    [(problem,)] = site.rows("SELECT problem FROM engine")
    return None if problem is None else str(problem)


@needs("s3")
def test_storage_out_of_reach_in_mid_publish_is_waited_for(tmp_path: Path, own_moto_server: MotoServer) -> None:
    bucket = own_moto_server.make_bucket()
    with gate_to(own_moto_server.endpoint) as gate:
        url = own_moto_server.storage_url(bucket).replace(f"%3A{gate.target[1]}", f"%3A{gate.port}")
        with place(tmp_path, C2D_STORAGE_URL=url, **CREDENTIALS) as site:
            script = "import os; open('/data/outputs/big', 'wb').write(b'0123456789abcdef' * (4 << 20)); print('ran')"
            workflow = site.submit(python_job(0, script))
            record = shut_in_mid_publish(site, gate, workflow)
            time.sleep(4)
            assert site.consumer.status(workflowId=workflow)[0]["status"] == 60
            gate.open()
            [record] = site.consumer.wait(workflow)
            assert ending(record) == (70, 0, None) and site.starts_of(record["jobId"]) == 1
            wanted = hashlib.sha256(b"0123456789abcdef" * (4 << 20)).hexdigest()
            assert hashlib.sha256(site.output(record)).hexdigest() == wanted and site.log(record) == "ran\n"
            site.until_clean()
        open_storage(own_moto_server.storage_url(bucket)).sweep(-3600)  # what could not be given up while it was away
        assert not own_moto_server.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def shut_in_mid_publish(site: Place, gate: Gate, workflow: str) -> dict[str, Any]:
    """Shut the gate while the publishing pod runs."""
    record = site.until_status(workflow, 60)
    until(lambda: site.starts_of(record["jobId"], Phase.PUBLISH) == 1)
    gate.shut()
    return record


def test_a_results_folder_that_is_gone_for_a_while_is_waited_for(tmp_path: Path) -> None:
    with place(tmp_path) as site:
        results = site.node.folder / "results"
        workflow = site.submit(job(0, "sleep 1; echo run >>/data/outputs/runs.txt; echo ran"))
        site.until_running(workflow)
        results.rename(site.node.folder / "elsewhere")
        results.write_text("in the way")
        site.until_status(workflow, 60)
        time.sleep(3)
        results.unlink()
        (site.node.folder / "elsewhere").rename(results)
        [record] = site.consumer.wait(workflow)
        assert ending(record) == (70, 0, None)
        assert site.output(record) == b"run\n" and site.log(record) == "ran\n"
        site.until_clean()


@needs("postgres")
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_restarted_in_mid_job_loses_nothing(tmp_path: Path, own_postgres: PostgresServer, mode: str) -> None:
    with place(tmp_path, C2D_DATABASE_URL=own_postgres.create_database()) as site:
        workflow = site.submit(
            job(0, "sleep 3; echo run >>/data/outputs/runs.txt"),
            job(1, "cat $INPUTS/*/runs.txt", input=[{"index": 0, "fromJob": 0}]),
        )
        site.until_running(workflow)
        own_postgres.stop(mode)
        answer = site.consumer.call("GET", "/api/services/compute", consumerAddress=site.consumer.address)
        assert answer.status == 503 and answer.headers["Retry-After"], answer.data
        time.sleep(1)
        own_postgres.start()
        one, two = until(lambda: ended(site, workflow))
        assert [ending(one), ending(two)] == [(70, 0, None)] * 2
        assert site.log(two) == "run\n" and site.starts_of(one["jobId"]) == 1


def ended(site: Place, workflow: str) -> list[dict[str, Any]] | None:
    """The records when all are final; null while the database is not back."""
    answer = site.consumer.call(
        "GET", "/api/services/compute", consumerAddress=site.consumer.address, workflowId=workflow
    )
    assert answer.status in (200, 503), answer.data
    records = answer.json() if answer.status == 200 else []
    return records if records and all(record["status"] in FINALS for record in records) else None


def test_two_nodes_on_one_engine_leave_each_other_alone(tmp_path: Path) -> None:
    name = new_name()
    with place(tmp_path / "one", {"name": name}) as one, place(tmp_path / "two", {"name": name}) as two:
        first, second = (site.submit(job(0, "sleep 1; echo run >>/data/outputs/runs.txt")) for site in (one, two))
        for site, workflow in ((one, first), (two, second)):
            [record] = site.consumer.wait(workflow)
            assert ending(record) == (70, 0, None) and site.output(record) == b"run\n"
