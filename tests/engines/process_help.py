"""What the process engine's tests share: a driver over a folder of its own, short programs, waiting for their ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines.drivers import process_phase
from engines.drivers.base import PhaseSpec
from engines.drivers.process_driver import ProcessDriver
from engines.observation import ContainerSeen
from shared.names import JobId, Phase, new_job_id
from tests.starting import start

ENGINE = "local"


@contextmanager
def process_driver(directory: Path, **connection: Any) -> Iterator[ProcessDriver]:
    """A driver whose jobs are gone afterwards."""
    driver = ProcessDriver(ENGINE, {"directory": str(directory), **connection})
    try:
        yield driver
    finally:
        for job_id in driver.list_jobs():
            driver.remove(job_id)


def make_spec(*command: str, **fields: Any) -> PhaseSpec:
    """A phase that runs a command as the algorithm of a new job."""
    defaults: dict[str, Any] = {
        "job_id": new_job_id(),
        "engine": ENGINE,
        "phase": Phase.RUN,
        "image": "none",
        "command": command,
        "environment": {},
        "user": "1000:1000",
        "memory_bytes": 256 << 20,
    }
    return PhaseSpec(**(defaults | fields))


def finish(driver: ProcessDriver, spec: PhaseSpec) -> tuple[ContainerSeen, str]:
    """Start a phase, wait for its end; how it ended and what it wrote."""
    start(driver, spec)
    return await_end(driver, spec.job_id, spec.phase)


def await_end(driver: ProcessDriver, job_id: JobId, phase: Phase = Phase.RUN) -> tuple[ContainerSeen, str]:
    """Wait until a phase's supervisor has ended."""
    process_phase.await_idle(driver.phase_folder(job_id, phase))
    return driver.observe(job_id).containers[phase], log_of(driver, job_id, phase)


def log_of(driver: ProcessDriver, job_id: JobId, phase: Phase = Phase.RUN) -> str:
    """The whole log as text."""
    return b"".join(driver.read_log(job_id, phase)).decode()
