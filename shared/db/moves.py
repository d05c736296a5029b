"""Own the one way a job's status changes, and what follows from its end: its promises, its key, its dependants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.db import environments, events, jobs, pod_nonces, queue, reservations
from shared.db.connection import lock_rows, transaction
from shared.db.statements import Statement
from shared.db.tables import Dependency, Job
from shared.lifecycle import STOPPED_IN_LINE, JobStatus, Reason, check_move, has_succeeded, is_finished
from shared.names import JobId

_WAITING = Statement(
    lambda job_id: lock_rows(
        Job.select()
        .join(Dependency, on=(Dependency.job_id == Job.job_id))
        .where((Dependency.after_job_id == job_id) & (Job.status == JobStatus.QUEUED.value))
        .order_by(Job.job_id)
    )
)
_MOVE = Statement(
    lambda job_id, was, to, token: (
        Job.update(status=to)
        .where((Job.job_id == job_id) & (Job.status == was) & (Job.lease_token == token))
        .returning(Job)
    )
)
_CLOSE = Statement(
    lambda job_id, at_ms, expires_at_ms: Job.update(
        finished_at_ms=at_ms,
        expires_at_ms=expires_at_ms,
        key_sealed=None,
        due_at_ms=None,
        lease_token=None,
        lease_until_ms=0,
    ).where(Job.job_id == job_id)
)


def move(
    job_id: JobId,
    was: JobStatus,
    to: JobStatus,
    token: str,
    at_ms: int,
    changes: Mapping[str, Any] | None = None,
) -> bool:
    """Change a status if it is still `was` and still ours, with `changes` to other columns.

    False: somebody else got there first, and nothing was written. A job that is finished gives back what it held,
    loses its key, and its dependants become ready or fail, all in the same transaction.
    """
    check_move(was, to)
    with transaction():
        job = _MOVE.first(job_id=job_id, was=was.value, to=to.value, token=token)
        if job is None:
            return False
        if changes:
            jobs.record(job_id, token, changes)
            job.__data__.update(changes)
        detail = {"reason": job.reason, "detail": job.reason_detail} if job.reason or job.reason_detail else None
        events.insert_event(job_id, job.workflow_id, events.MOVE, to, at_ms, detail)
        if is_finished(to):
            _finish(job, at_ms)
    return True


def end_unpaid(workflow_id: str, detail: str, at_ms: int) -> None:
    """End the jobs of a workflow that never left the queue since its lock failed. Part of the caller's transaction."""
    waiting = (Job.workflow_id == workflow_id) & (Job.status == JobStatus.QUEUED.value)
    for job in lock_rows(Job.select().where(waiting).order_by(Job.job_id)):
        to, reason, said = JobStatus.QUEUE_EXPIRED, Reason.PAYMENT, detail
        if job.stop_requested:
            to, reason, said = JobStatus.FINISHED, Reason.STOPPED, STOPPED_IN_LINE
        if _end_waiting(job, to, reason, said, at_ms):
            _finish(Job.get_by_id(job.job_id), at_ms)


def _finish(job: Job, at_ms: int) -> None:
    """Write what the end of one job means; dependants that fail end in the same way."""
    ended = [job]
    owners = set()
    while ended:
        each = ended.pop()
        owners.add(each.owner)
        _close(each, at_ms)
        status = JobStatus(each.status)
        for dependant in _dependants(JobId(each.job_id)):
            if has_succeeded(status, each.exit_code, each.reason):
                _meet(dependant, at_ms)
            elif _fail_dependant(dependant, each, at_ms):
                ended.append(Job.get_by_id(dependant.job_id))
    queue.leave_if_empty(owners)  # turns are locked after jobs, everywhere


def _close(job: Job, at_ms: int) -> None:
    """The key is dead, the promises are given back, and nothing is due any more."""
    document = environments.document(job.environment_id)
    expiry_s = document.get("storageExpiry") if document else None
    expires_at_ms = None if expiry_s is None else at_ms + int(expiry_s) * 1000
    _CLOSE.write(job_id=job.job_id, at_ms=at_ms, expires_at_ms=expires_at_ms)
    reservations.free(JobId(job.job_id))
    pod_nonces.forget(JobId(job.job_id))


def _dependants(job_id: JobId) -> list[Job]:
    return list(_WAITING.rows(job_id=job_id))


def _meet(dependant: Job, at_ms: int) -> None:
    """One job less to wait for; the last one puts it in line."""
    Job.update(unmet=Job.unmet - 1).where(Job.job_id == dependant.job_id).execute()
    queue.make_ready(dependant.job_id, at_ms)


def _fail_dependant(dependant: Job, after: Job, at_ms: int) -> bool:
    """End a job that can never start; false where it has left the queue already.

    One that was asked to stop is stopped, whichever of the two comes first.
    """
    to, reason = JobStatus.DATA_FAILED, Reason.DEPENDENCY
    detail = f"Job {after.index} ({after.job_id}), which it runs after, did not succeed."
    if dependant.stop_requested:
        to, reason, detail = JobStatus.FINISHED, Reason.STOPPED, STOPPED_IN_LINE
    return _end_waiting(dependant, to, reason, detail, at_ms)


def _end_waiting(job: Job, to: JobStatus, reason: Reason, detail: str, at_ms: int) -> bool:
    """Give a job in the queue its final status; false where it has left the queue already."""
    check_move(JobStatus.QUEUED, to)
    waiting = (Job.job_id == job.job_id) & (Job.status == JobStatus.QUEUED.value)
    changed = Job.update(status=to.value, reason=reason.value, reason_detail=detail).where(waiting).execute()
    if changed:
        shown = {"reason": reason.value, "detail": detail}
        events.insert_event(JobId(job.job_id), job.workflow_id, events.MOVE, to, at_ms, shown)
    return bool(changed)
