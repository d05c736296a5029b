"""Own leases: a pass's short hold on a job or a duty, with a fencing token that every later write names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from peewee import SQL, Case, Select, fn

from shared.db.base import DATABASE
from shared.db.connection import lock_rows, session, transaction
from shared.db.node_tables import Lease, Turn
from shared.db.tables import Job
from shared.names import JobId


def has_due(engine: str, now_ms: int) -> bool:
    """Whether a pass of the engine would find anything: a due job, an unplaced one, or somebody's turn. One query."""
    due = Job.select(SQL("1")).where((Job.engine == engine) & (Job.due_at_ms <= now_ms))
    unplaced = Job.select(SQL("1")).where(Job.engine.is_null() & (Job.due_at_ms <= now_ms))
    waiting = Turn.select(SQL("1"))
    with session():
        row = (
            Select(columns=[fn.EXISTS(query) for query in (due, unplaced, waiting)])
            .bind(DATABASE)
            .scalar(as_tuple=True)
        )
    return any(row)


def lease_due(engine: str, now_ms: int, token: str, lease_ms: int, limit: int) -> list[JobId]:
    """Lease up to `limit` due jobs of the engine, and unplaced ones, longest due first; theirs until the lease ends.

    A leased job is due again when its lease ends, so a pass that dies leaves nothing behind.
    """
    with transaction():
        due = (
            Job.select(Job.job_id)
            .where(((Job.engine == engine) | Job.engine.is_null()) & (Job.due_at_ms <= now_ms))
            .where(Job.lease_until_ms <= now_ms)
            .order_by(Job.due_at_ms)
            .limit(limit)
        )
        ids = [row.job_id for row in lock_rows(due, skip=True)]
        if ids:
            until = now_ms + lease_ms
            Job.update(lease_token=token, lease_until_ms=until, due_at_ms=until).where(Job.job_id.in_(ids)).execute()
    return ids


def lease_one(job_id: JobId, now_ms: int, token: str, lease_ms: int) -> bool:
    """Lease one job if nobody else holds it."""
    until = now_ms + lease_ms
    with session():
        return bool(
            Job.update(lease_token=token, lease_until_ms=until, due_at_ms=until)
            .where((Job.job_id == job_id) & (Job.lease_until_ms <= now_ms) & Job.due_at_ms.is_null(False))
            .execute()
        )


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
        held = (Job.job_id == job_id) & (Job.lease_token == token) & (Job.lease_until_ms > now_ms)
        return bool(Job.select(SQL("1")).where(held).exists())


def release(job_id: JobId, token: str, due_at_ms: int, *, error: str | None = None) -> bool:
    """Give the job back, due at a time; earlier if somebody woke it meanwhile. False: it was not ours any more.

    `error` counts one more failed try and keeps its text; null forgets the failures.
    """
    changes: dict[Any, Any] = {
        Job.lease_token: None,
        Job.lease_until_ms: 0,
        Job.due_at_ms: Case(None, [(Job.due_at_ms < Job.lease_until_ms, Job.due_at_ms)], due_at_ms),
        Job.last_error: error,
        Job.error_count: 0 if error is None else Job.error_count + 1,
    }
    with session():
        return bool(Job.update(changes).where((Job.job_id == job_id) & (Job.lease_token == token)).execute())


def due_duties(names: Iterable[str], now_ms: int) -> list[str]:
    """Which of the named duties are due and nobody's; one query."""
    with session():
        not_due = (Lease.until_ms > now_ms) | (Lease.next_at_ms > now_ms)
        rest = {row.name for row in Lease.select(Lease.name).where(not_due)}
    return [name for name in names if name not in rest]


def take_duty(name: str, token: str, now_ms: int, lease_ms: int) -> bool:
    """Lease a named duty that is due, for one pass on one machine at a time."""
    with transaction():
        Lease.insert(name=name, token="", until_ms=0, next_at_ms=0).on_conflict_ignore().execute()
        free = (Lease.name == name) & (Lease.until_ms <= now_ms) & (Lease.next_at_ms <= now_ms)
        return bool(Lease.update(token=token, until_ms=now_ms + lease_ms).where(free).execute())


def end_duty(name: str, token: str, next_at_ms: int) -> None:
    """Give a duty back and say when it is due again."""
    with session():
        ours = (Lease.name == name) & (Lease.token == token)
        Lease.update(until_ms=0, next_at_ms=next_at_ms).where(ours).execute()


def holders(job_ids: Sequence[JobId]) -> dict[JobId, str | None]:
    """Job id → the token that holds it; for tests and `doctor`."""
    with session():
        rows = Job.select(Job.job_id, Job.lease_token).where(Job.job_id.in_(list(job_ids)))
        return {JobId(row.job_id): row.lease_token for row in rows}
