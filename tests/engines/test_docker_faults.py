"""Who ended a container: what is told after the engine was killed, stopped, or asked to kill."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.drivers.base import PhaseSpec
from engines.drivers.docker_driver import DockerDriver
from engines.observation import ContainerSeen
from shared.errors import Unavailable
from shared.names import JobId, Phase, container_name, new_job_id, volume_name
from tests.contracts.driver_backends import until
from tests.needs import busybox_image, needs
from tests.services.private_docker import PrivateDocker, private_docker
from tests.starting import start

pytestmark = needs("docker")
WAITS = "echo up; until [ -e /data/go ]; do sleep 0.1; done; exit 4"


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateDocker]:
    with private_docker(busybox_image()) as own:
        yield own


@pytest.fixture
def driver(engine: PrivateDocker) -> DockerDriver:
    return DockerDriver("own", engine.connection)


def started(driver: DockerDriver, script: str, phase: Phase = Phase.RUN) -> JobId:
    """A job with one running phase."""
    job_id = new_job_id()
    driver.ensure_volume(job_id, 1 << 20)
    start(driver, PhaseSpec(job_id, "own", phase, busybox_image(), ("sh", "-c", script), {}))
    until(lambda: b"up" in b"".join(driver.read_log(job_id, phase)))
    return job_id


def ended(driver: DockerDriver, job_id: JobId, phase: Phase = Phase.RUN) -> ContainerSeen:
    return until(lambda: driver.observe(job_id).exited(phase))


def lives(script: str) -> bool:
    """Whether a process of this machine runs the script."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if script.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


@pytest.mark.full
def test_what_ends_with_a_killed_engine_was_killed_and_what_had_ended_was_not(
    engine: PrivateDocker, driver: DockerDriver
) -> None:
    running = started(driver, "echo up; exec sleep 1000")
    pod = started(driver, "echo up; exec sleep 1000", Phase.PROVISION)
    done = started(driver, "echo up; exit 255")
    over = started(driver, WAITS)
    engine.kill()
    with pytest.raises(Unavailable):
        driver.observe(running)
    assert lives(WAITS), "containers live on without their engine"
    (engine.folder / "data" / "volumes" / volume_name(over) / "_data" / "go").touch()
    until(lambda: not lives(WAITS))
    engine.start()
    assert ended(driver, running).was_killed and ended(driver, pod, Phase.PROVISION).was_killed
    assert ended(driver, over).exit_code == 4 and not ended(driver, over).was_killed
    assert ended(driver, done).exit_code == 255


def test_what_ends_with_a_stopped_engine_was_killed(engine: PrivateDocker, driver: DockerDriver) -> None:
    running = started(driver, "echo up; exec sleep 1000")
    engine.stop()
    with pytest.raises(Unavailable):
        driver.observe(running)
    engine.start()
    seen = ended(driver, running)
    assert seen.was_killed and seen.exit_code == 143


@pytest.mark.full
def test_an_algorithm_that_exits_as_if_killed_was_not(driver: DockerDriver) -> None:
    for code in (137, 143, 255):
        seen = ended(driver, started(driver, f"echo up; exit {code}"))
        assert seen.exit_code == code and not seen.was_killed
    assert not ended(driver, started(driver, "echo up; kill -9 $$")).was_killed


def test_a_pod_that_somebody_killed_was_killed(engine: PrivateDocker, driver: DockerDriver) -> None:
    pod = started(driver, "echo up; exec sleep 1000", Phase.PUBLISH)
    algorithm = started(driver, "echo up; exec sleep 1000")
    engine.docker("kill", container_name(pod, Phase.PUBLISH), container_name(algorithm, Phase.RUN))
    assert ended(driver, pod, Phase.PUBLISH).was_killed
    assert ended(driver, algorithm).was_killed


def test_the_engine_is_the_same_after_a_restart(engine: PrivateDocker, driver: DockerDriver) -> None:
    before = driver.daemon_id()
    engine.kill()
    with pytest.raises(Unavailable):
        driver.daemon_id()
    engine.start()
    assert driver.daemon_id() == before != DockerDriver("own", {}).daemon_id()


def test_pods_reach_this_machine_at_the_gateway(driver: DockerDriver) -> None:
    gateway = driver.capabilities().pod_gateway
    assert gateway is not None and driver.capabilities().pod_gateway == gateway
