"""Own leases: a pass's short hold on a job, with a fencing token that every later write names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from peewee import SQL, Case, Select, fn

from shared.db.base import DATABASE
from shared.db.connection import lock_rows, session, transaction
from shared.db.node_tables import Turn
from shared.db.statements import Statement
from shared.db.tables import Job
from shared.lifecycle import JobStatus
from shared.names import JobId

_HELD = Statement(
    lambda job_id, token, now_ms: Job.select(SQL("1")).where(
        (Job.job_id == job_id) & (Job.lease_token == token) & (Job.lease_until_ms > now_ms)
    )
)


def _firsts(engine: Any) -> Any:
    """The first due times and whether anybody is in line: the first of the partial index is asked for, since
    PostgreSQL would read the whole table for a bound it does not know; in the index's own order, since it would read
    all that no engine has for the least of them.
    """
    ours, unplaced = (
        Job.select(Job.due_at_ms)
        .where(whose & Job.due_at_ms.is_null(False))
        .order_by(Job.engine, Job.due_at_ms)
        .limit(1)
        for whose in (Job.engine == engine, Job.engine.is_null())
    )
    return Select(columns=[ours, unplaced, fn.EXISTS(Turn.select(SQL("1")))]).bind(DATABASE)


def _due(engine: Any, now_ms: Any, limit: Any) -> Any:
    due = (
        Job.select(Job.job_id, Job.status)
        .where(((Job.engine == engine) | Job.engine.is_null()) & (Job.due_at_ms <= now_ms))
        .where(Job.due_at_ms.is_null(False) & (Job.lease_until_ms <= now_ms))  # as the partial index says
        .order_by(Job.due_at_ms)
        .limit(limit)
    )
    return lock_rows(due, skip=True)


_FIRSTS = Statement(_firsts)
_DUE = Statement(_due)
_LEASE = Statement(
    lambda job_id, token, until_ms: Job.update(lease_token=token, lease_until_ms=until_ms, due_at_ms=until_ms).where(
        Job.job_id == job_id
    )
)


def _released(due_at_ms: Any, error: Any, count: Any) -> dict[Any, Any]:
    due = Case(None, [(Job.due_at_ms < Job.lease_until_ms, Job.due_at_ms)], due_at_ms)
    told = {Job.last_error: error, Job.error_count: count}
    return {Job.lease_token: None, Job.lease_until_ms: 0, Job.due_at_ms: due, **told}


_RELEASE = Statement(
    lambda job_id, token, due_at_ms: Job.update(_released(due_at_ms, None, 0)).where(
        (Job.job_id == job_id) & (Job.lease_token == token)
    )
)


def has_due(engine: str, now_ms: int) -> bool:
    """Whether a pass of the engine would find anything: a due job, an unplaced one, or somebody's turn. One query."""
    with session():
        *firsts, is_waiting = _FIRSTS.tuples(engine=engine)[0]
    return bool(is_waiting) or any(first is not None and first <= now_ms for first in firsts)


def lease_due(engine: str, now_ms: int, token: str, lease_ms: int, limit: int) -> dict[JobId, JobStatus]:
    """Lease up to `limit` due jobs of the engine, and unplaced ones, longest due first, each with its status.

    A leased job is due again when its lease ends, so a pass that dies leaves nothing behind.
    """
    with transaction():
        due = _DUE.tuples(engine=engine, now_ms=now_ms, limit=limit)
        for job_id, _ in due:
            _LEASE.write(job_id=job_id, token=token, until_ms=now_ms + lease_ms)
    return {JobId(job_id): JobStatus(status) for job_id, status in due}


def renew(job_ids: Collection[JobId], token: str, until_ms: int) -> None:
    """Keep what is still ours; a wake that came meanwhile (an earlier due time) stays."""
    if not job_ids:
        return
    with session():
        ours = (Job.lease_token == token) & Job.job_id.in_(list(job_ids))
        Job.update(due_at_ms=until_ms).where(ours & (Job.due_at_ms == Job.lease_until_ms)).execute()
        Job.update(lease_until_ms=until_ms).where(ours).execute()


def is_ours(job_id: JobId, token: str, now_ms: int) -> bool:
    """Whether the lease still holds; asked before every side effect."""
    with session():
        return bool(_HELD.tuples(job_id=job_id, token=token, now_ms=now_ms))


def release(job_id: JobId, token: str, due_at_ms: int, *, error: str | None = None) -> bool:
    """Give the job back, due at a time; earlier if somebody woke it meanwhile. False: it was not ours any more.

    `error` counts one more failed try and keeps its text; null forgets the failures.
    """
    with session():
        if error is None:
            return bool(_RELEASE.write(job_id=job_id, token=token, due_at_ms=due_at_ms))
        changes = _released(due_at_ms, error, Job.error_count + 1)
        return bool(Job.update(changes).where((Job.job_id == job_id) & (Job.lease_token == token)).execute())
