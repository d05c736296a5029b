"""Own what is promised: admission and reservation are one transaction on an engine's pool, never more than there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peewee import fn

from shared.db import events, queue
from shared.db.connection import lock_rows, session, transaction
from shared.db.node_tables import Engine, Pool, Reservation
from shared.db.tables import Job
from shared.lifecycle import JobStatus, check_move
from shared.names import JobId
from shared.placement import Grant, NotEnough, Usage, grant


def usage(engine: str) -> Usage:
    """What is promised now on the engine's hardware and in each of its environments."""
    with session():
        totals = {row.resource_id: row.total_milli for row in Pool.select().where(Pool.engine == engine)}
        environment: dict[str, dict[str, int]] = {}
        free: dict[str, dict[str, int]] = {}
        pool: dict[str, int] = {}
        for row in _sums(engine):
            where = [pool, environment.setdefault(row.environment_id, {})]
            if row.is_free:
                where.append(free.setdefault(row.environment_id, {}))
            for amounts in where:
                amounts[row.resource_id] = amounts.get(row.resource_id, 0) + int(row.amount)
        jobs, free_jobs = _counts(engine)
    return Usage(totals, pool, environment, free, jobs, free_jobs)


def _sums(engine: str) -> Any:
    keys = (Reservation.environment_id, Reservation.resource_id, Reservation.is_free)
    amounts = Reservation.select(*keys, fn.SUM(Reservation.amount_milli).alias("amount"))
    return amounts.where(Reservation.engine == engine).group_by(*keys).namedtuples()


def _counts(engine: str) -> tuple[dict[str, int], dict[str, int]]:
    keys = (Reservation.environment_id, Reservation.is_free)
    counted: Any = Reservation.select(*keys, fn.COUNT(fn.DISTINCT(Reservation.job_id)).alias("jobs"))
    jobs: dict[str, int] = {}
    free: dict[str, int] = {}
    for row in counted.where(Reservation.engine == engine).group_by(*keys).namedtuples():
        jobs[row.environment_id] = jobs.get(row.environment_id, 0) + row.jobs
        if row.is_free:
            free[row.environment_id] = row.jobs
    return jobs, free


def admit(job_id: JobId, engine: str, environments: Sequence[Mapping[str, Any]], at_ms: int) -> Grant | None:
    """Grant a ready job the first environment that has room, reserve it and move the job out of the queue.

    Null where the job is no longer in line. Raises: NotEnough where none has room now (nothing is written).
    """
    with transaction():
        lock_rows(Engine.select(Engine.name).where(Engine.name == engine)).execute()
        job = lock_rows(Job.select().where(Job.job_id == job_id)).first()
        if job is None or job.status != JobStatus.QUEUED or job.unmet or job.stop_requested:
            return None
        granted = _first_fit(job, environments, usage(engine))
        _reserve(job, engine, granted)
        to = JobStatus.BUILDING_IMAGE if job.algorithm.get("hasDockerfile") else JobStatus.PULLING_IMAGE
        check_move(JobStatus(job.status), to)
        Job.update(
            engine=engine,
            environment_id=granted.environment_id,
            resources=granted.resources(),
            max_duration_s=granted.max_duration_s,
            status=to.value,
            admitted_at_ms=at_ms,
            due_at_ms=at_ms,
            lease_token=None,
            lease_until_ms=0,
        ).where(Job.job_id == job_id).execute()
        events.insert_event(job_id, job.workflow_id, events.MOVE, to, at_ms)
        queue.end_turn(job.owner, at_ms)
    return granted


def _first_fit(job: Job, environments: Sequence[Mapping[str, Any]], now: Usage) -> Grant:
    refused: NotEnough | None = None
    for environment in environments:
        try:
            return grant(environment, job.wanted, job.requested_duration_s, now, job.is_free)
        except NotEnough as error:
            refused = error
    raise refused or NotEnough("No environment fits")


def _reserve(job: Job, engine: str, granted: Grant) -> None:
    rows = [
        {
            "job_id": job.job_id,
            "resource_id": key,
            "engine": engine,
            "environment_id": granted.environment_id,
            "amount_milli": amount,
            "is_free": job.is_free,
        }
        for key, amount in granted.amounts.items()
    ]
    Reservation.insert_many(rows).execute()


def free(job_id: JobId) -> None:
    """Take back what was promised to a job; part of the transaction that finishes it."""
    Reservation.delete().where(Reservation.job_id == job_id).execute()
