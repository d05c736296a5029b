"""Own finding what was lost: things outside whose job is finished or unknown, and storage nobody waits for."""

from __future__ import annotations

from engines.context import Context
from shared.db import jobs, results
from shared.db.connection import session
from shared.db.tables import Job
from shared.errors import JobError
from shared.logs import logger
from shared.names import JobId

log = logger("c2d.engine")

AGE_MS = 60_000
"Things younger than this are left alone: their job may be finishing this moment."
HALF_WRITTEN_S = 86_400
"A write that has not ended after a day never will."


def remove_orphans(context: Context) -> list[JobId]:
    """Remove everything of this engine that belongs to no unfinished job; returns whose it was."""
    found = context.driver.list_jobs()
    old = [job_id for job_id, made_at_ms in found.items() if made_at_ms < context.now_ms() - AGE_MS]
    orphans = sorted(set(old) - jobs.unfinished_among(old))
    return [job_id for job_id in orphans if _remove(context, job_id)]


def _remove(context: Context, job_id: JobId) -> bool:
    try:
        context.driver.remove(job_id)
    except JobError as error:  # one that cannot be removed must not keep the others
        log.warning("an orphan stays", fields={"job_id": job_id, "engine": context.name, "cause": error.detail})
        return False
    log.info("removed what a lost job left behind", fields={"job_id": job_id, "engine": context.name})
    return True


def expire_results(context: Context) -> int:
    """Delete the results of jobs whose `storageExpiry` is over; files first: a crash repeats and never leaks."""
    now_ms = context.now_ms()
    with session():
        due = Job.select(Job.job_id).where(Job.expires_at_ms.is_null(False) & (Job.expires_at_ms <= now_ms)).limit(200)
        expired = [JobId(row.job_id) for row in due]
    for job_id in expired:
        for key in list(context.storage.keys(f"{job_id}/")):
            context.storage.delete(key)
        results.forget_results(job_id)
        with session():
            Job.update(expires_at_ms=None).where(Job.job_id == job_id).execute()
    return len(expired)


def sweep_storage(context: Context) -> int:
    """Remove what writes killed half-way left behind."""
    return context.storage.sweep(HALF_WRITTEN_S)
