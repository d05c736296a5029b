"""Own looking at one job: what exists of it outside, and then its row."""

from __future__ import annotations

from dataclasses import replace

from engines.context import Context
from engines.engine_row import check_daemon
from engines.job_view import JobView, from_row
from engines.observation import Seen
from shared.db import jobs, results
from shared.db.tables import Job
from shared.lifecycle import JobStatus
from shared.names import JobId, Phase

OUTSIDE = frozenset({JobStatus.PROVISIONING, JobStatus.RUNNING, JobStatus.PUBLISHING})
"Statuses in which something of the job exists outside."


def look(context: Context, job_id: JobId, status: JobStatus) -> tuple[Job, Seen]:
    """What exists outside, then the row, last known in a status: a report made before an exit is never missed."""
    seen = _outside(context, job_id) if status in OUTSIDE else Seen()
    row = jobs.get(job_id)
    if status not in OUTSIDE and JobStatus(row.status) in OUTSIDE:  # somebody else brought it there
        return look(context, job_id, JobStatus(row.status))
    return row, seen


def _outside(context: Context, job_id: JobId) -> Seen:
    seen = context.driver.observe(job_id)
    if seen.is_running(Phase.RUN) and seen.containers[Phase.RUN].waiting is None:
        seen = replace(seen, disk_used_bytes=context.driver.measure_disk(job_id))
    if not seen.has_volume:
        check_daemon(context, is_cached=False)  # "gone" is only ever concluded from the recorded daemon
    return seen


def view_of(row: Job) -> JobView:
    """The row as decisions see it."""
    status, job_id = JobStatus(row.status), JobId(row.job_id)
    saved = results.filenames(job_id) if status in OUTSIDE else frozenset()  # nothing before has a log of its own
    return from_row(row, saved, jobs.queue_ends_at_ms(row) if status is JobStatus.QUEUED else None)
