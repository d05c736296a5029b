"""Own what is promised: admission and reservation are one transaction on an engine's pool, never more than there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peewee import fn

from shared.db import events, queue
from shared.db.connection import lock_rows, session, transaction
from shared.db.node_tables import Engine, Pool, Reservation
from shared.db.statements import Statement
from shared.db.tables import Job
from shared.lifecycle import JobStatus, check_move
from shared.names import JobId
from shared.placement import Grant, NotEnough, Usage, grant


def _grouped(engine: Any, what: Any, *keys: Any) -> Any:
    return Reservation.select(*keys, what).where(Reservation.engine == engine).group_by(*keys)


_LOCKED = Statement(lambda job_id: lock_rows(Job.select().where(Job.job_id == job_id)))
_FREE = Statement(lambda job_id: Reservation.delete().where(Reservation.job_id == job_id))
_LEAVE = Statement(
    lambda job_id, status, at_ms: Job.update(
        status=status, admitted_at_ms=at_ms, due_at_ms=at_ms, lease_token=None, lease_until_ms=0
    ).where(Job.job_id == job_id)
)
_GRANT = Statement(
    lambda job_id, engine, environment_id, resources, max_duration_s: Job.update(
        engine=engine, environment_id=environment_id, resources=resources, max_duration_s=max_duration_s
    ).where(Job.job_id == job_id)
)
_ENGINE = Statement(lambda engine: lock_rows(Engine.select(Engine.name).where(Engine.name == engine)))
_TOTALS = Statement(lambda engine: Pool.select(Pool.resource_id, Pool.total_milli).where(Pool.engine == engine))
_SUMS = Statement(
    lambda engine: _grouped(
        engine,
        fn.SUM(Reservation.amount_milli),
        Reservation.environment_id,
        Reservation.resource_id,
        Reservation.is_free,
    )
)
_COUNTS = Statement(
    lambda engine: _grouped(
        engine, fn.COUNT(fn.DISTINCT(Reservation.job_id)), Reservation.environment_id, Reservation.is_free
    )
)


def usage(engine: str) -> Usage:
    """What is promised now on the engine's hardware and in each of its environments."""
    with session():
        totals = dict(_TOTALS.tuples(engine=engine))
        environment: dict[str, dict[str, int]] = {}
        free: dict[str, dict[str, int]] = {}
        pool: dict[str, int] = {}
        for environment_id, resource_id, is_free, amount in _SUMS.tuples(engine=engine):
            where = [pool, environment.setdefault(environment_id, {})]
            if is_free:
                where.append(free.setdefault(environment_id, {}))
            for amounts in where:
                amounts[resource_id] = amounts.get(resource_id, 0) + int(amount)
        jobs, free_jobs = _counts(engine)
    return Usage(totals, pool, environment, free, jobs, free_jobs)


def _counts(engine: str) -> tuple[dict[str, int], dict[str, int]]:
    jobs: dict[str, int] = {}
    free: dict[str, int] = {}
    for environment_id, is_free, counted in _COUNTS.tuples(engine=engine):
        jobs[environment_id] = jobs.get(environment_id, 0) + counted
        if is_free:
            free[environment_id] = counted
    return jobs, free


def admit(job_id: JobId, engine: str, environments: Sequence[Mapping[str, Any]], at_ms: int) -> Grant | None:
    """Grant a ready job the first environment that has room, reserve it and move the job out of the queue.

    Null where the job is no longer in line. Raises: NotEnough where none has room now (nothing is written).
    """
    with transaction():
        job = _in_queue(job_id, engine)
        if job is None or job.unmet or job.stop_requested:
            return None
        granted = _grant(job, engine, environments)
        _leave_queue(job, at_ms)
    return granted


def hold(job_id: JobId, engine: str, environments: Sequence[Mapping[str, Any]]) -> Grant | None:
    """Reserve for a job that must wait for its payment first; it stays in the queue, and nothing is due.

    Null where the job is no longer in the queue. Raises: NotEnough where there is no room now (nothing is written).
    """
    with transaction():
        job = _in_queue(job_id, engine)
        return None if job is None else _grant(job, engine, environments)


def admit_held(job_id: JobId, at_ms: int) -> bool:
    """Move a job with nothing left to wait for, and for which room is held, out of the queue. False: it is no such."""
    with transaction():
        job = _LOCKED.first(job_id=job_id)
        if job is None or job.status != JobStatus.QUEUED or job.unmet or job.stop_requested:
            return False
        if not Reservation.select().where(Reservation.job_id == job_id).exists():
            return False
        _leave_queue(job, at_ms)
    return True


def lock_promises(engine: str) -> None:
    """Hold the engine's promises until the caller's transaction ends.

    For who writes turns before it reserves: passes hold the promises first, and the other way round each would wait for
    the other.
    """
    _ENGINE.tuples(engine=engine)


def _in_queue(job_id: JobId, engine: str) -> Any:
    """Lock the engine's promises, then the job; null where it is not queued."""
    lock_promises(engine)
    job = _LOCKED.first(job_id=job_id)
    return None if job is None or job.status != JobStatus.QUEUED else job


def _grant(job: Any, engine: str, environments: Sequence[Mapping[str, Any]]) -> Grant:
    """Promise the first fit to the job and write down what it gets. Raises: NotEnough."""
    granted = _first_fit(job, environments, usage(engine))
    _reserve(job, engine, granted)
    _GRANT.write(
        job_id=job.job_id,
        engine=engine,
        environment_id=granted.environment_id,
        resources=Job.resources.db_value(granted.resources()),
        max_duration_s=granted.max_duration_s,
    )
    return granted


def _leave_queue(job: Any, at_ms: int) -> None:
    """Move a job that has its room to its first phase; its owner had a turn."""
    to = JobStatus.BUILDING_IMAGE if job.algorithm.get("hasDockerfile") else JobStatus.PULLING_IMAGE
    check_move(JobStatus(job.status), to)
    _LEAVE.write(job_id=job.job_id, status=to.value, at_ms=at_ms)
    events.insert_event(job.job_id, job.workflow_id, events.MOVE, to, at_ms)
    queue.end_turn(job.owner, at_ms)


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
    _FREE.write(job_id=job_id)
