"""Rows for tests of the data layer: submissions, engines, jobs in any status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

from engines import environments
from engines.drivers.base import Capabilities
from shared.db import leases, moves, workflows
from shared.db.connection import session
from shared.db.node_tables import Environment
from shared.db.tables import Job
from shared.engine_config import EngineConfig
from shared.lifecycle import JobStatus
from shared.names import Address, JobId, new_token
from shared.secrets import SecretBox
from shared.workflow import JobRequest, Workflow
from tests.flows.harness import ALICE, START_MS, job, offered

T = TypeVar("T")
NOW = START_MS
BOX = SecretBox(b"\x07" * 32)


def submit(*wanted: JobRequest, owner: Address = ALICE, wait_s: int = 86_400, at_ms: int = NOW) -> list[JobId]:
    """One workflow; without jobs, of one."""
    door = Workflow(door="workflow", jobs=wanted or (job(0),), queue_max_wait_s=wait_s)
    return workflows.insert(workflows.Submission(door, owner, owner, True, at_ms, BOX, lambda text: text))[1]


def offer(engine: str = "local", *declared: dict[str, Any]) -> list[dict[str, Any]]:
    """An engine with its environments; their documents."""
    machine = Capabilities("memory", "1", False, 8.0, 16 << 30, 100 << 30, "x86_64")
    config = EngineConfig(name=engine, type="memory", connection={}, environments=declared or (offered(),))
    documents = environments.documents(config, machine, "0x0")
    environments.record(engine, "memory", documents, machine, NOW)
    return documents


def documents(engine: str = "local") -> list[dict[str, Any]]:
    """What an engine offers."""
    with session():
        return [row.document for row in Environment.select().where(Environment.engine == engine)]


def put(job_id: JobId, status: JobStatus, **changes: Any) -> str:
    """Set a job's status by force, leased; the lease's token."""
    token = new_token()
    fields = {"engine": "local", "due_at_ms": NOW, "lease_until_ms": NOW + 10**9, "lease_token": token} | changes
    with session():
        Job.update(status=status.value, **fields).where(Job.job_id == job_id).execute()
    return token


def finish(job_id: JobId, succeeds: bool = True, at_ms: int = NOW) -> bool:
    """End a job well, or with exit code 1."""
    token = put(job_id, JobStatus.PUBLISHING, exit_code=0 if succeeds else 1)
    to = JobStatus.FINISHED if succeeds else JobStatus.RUN_FAILED
    return moves.move(job_id, JobStatus.PUBLISHING, to, token, at_ms)


def lease(engine: str = "local", at_ms: int = NOW, lease_ms: int = 30_000) -> tuple[str, list[JobId]]:
    """Lease what is due; token and jobs."""
    token = new_token()
    return token, list(leases.lease_due(engine, at_ms, token, lease_ms, 100))


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Call all at the same moment, each in a thread; what they gave, in order."""
    barrier = Barrier(len(calls))

    def call(each: Callable[[], T]) -> T:
        barrier.wait()
        return each()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def row(job_id: JobId) -> Job:
    """The row as it is now."""
    with session():
        return Job.get_by_id(job_id)


def statuses(ids: Sequence[JobId]) -> list[str]:
    """Where the jobs stand."""
    return [row(job_id).status for job_id in ids]
