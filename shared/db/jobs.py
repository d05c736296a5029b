"""Own the job rows beside their status: what pods report, what owners ask for, what passes record."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from shared.db import events
from shared.db.connection import session, transaction
from shared.db.statements import Statement
from shared.db.tables import Job, Workflow
from shared.db.watch import notify
from shared.errors import Conflict, NotFound
from shared.lifecycle import UNFINISHED, JobStatus
from shared.names import JobId, Phase

PHASE_STATUS: dict[Phase, JobStatus] = {
    Phase.PROVISION: JobStatus.PROVISIONING,
    Phase.RUN: JobStatus.RUNNING,
    Phase.PUBLISH: JobStatus.PUBLISHING,
}
"The status a job has while a phase's container may act."
_ONE = Statement(lambda job_id: Job.select().where(Job.job_id == job_id))
_WAKE = Statement(
    lambda job_id, at_ms: Job.update(due_at_ms=at_ms).where(
        (Job.job_id == job_id) & Job.due_at_ms.is_null(False) & (Job.due_at_ms > at_ms)
    )
)
_NEXT = Statement(
    lambda engine, now_ms: (
        Job.select(Job.due_at_ms)
        .where(
            ((Job.engine == engine) | Job.engine.is_null()) & Job.due_at_ms.is_null(False) & (Job.due_at_ms > now_ms)
        )
        .order_by(Job.due_at_ms)
        .limit(1)
    )
)


@functools.cache
def _recording(columns: tuple[str, ...]) -> Statement:
    """The update of some columns of a job that is ours; there are few such sets."""
    return Statement(
        lambda job_id, token, **values: Job.update(values).where((Job.job_id == job_id) & (Job.lease_token == token)),
        ("job_id", "token", *columns),
    )


def get(job_id: JobId) -> Job:
    """The row as it is now. Raises: NotFound."""
    with session():
        job: Job | None = _ONE.first(job_id=job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def check_phase(job: Job, phase: Phase) -> None:
    """Refuse a pod's call outside its phase. Raises: Conflict."""
    expected = PHASE_STATUS[phase]
    if job.status != expected.value:
        raise Conflict(
            f"The job is {job.status}; this call is answered only while it is {expected}.", status=job.status
        )


def record_report(job_id: JobId, phase: Phase, report: Mapping[str, Any], at_ms: int) -> Job:
    """Record what a pod reports of its own phase; the engine's next pass acts on it. A repeated report changes nothing.

    `report` has `state` (`progress`, `done`, `failed`), and optionally code, reason, bytesDone, bytesTotal, detail.
    Raises: NotFound; Conflict for a phase that is not the one now running.
    """
    with transaction():
        job = get(job_id)
        check_phase(job, phase)
        column = "provision_report" if phase is Phase.PROVISION else "publish_report"
        here = (Job.job_id == job_id) & (Job.status == job.status)
        shown = {"phase": phase.value, **{key: report[key] for key in ("bytesDone", "bytesTotal") if key in report}}
        changes: dict[str, Any] = {"progress": {**shown, "at_ms": at_ms}}
        if report["state"] != "progress" and getattr(job, column) is None:
            changes |= {column: dict(report), "due_at_ms": at_ms}
        if not Job.update(changes).where(here).execute():
            raise Conflict("The job has moved on.")
        kind = events.PROGRESS if report["state"] == "progress" else events.NOTE
        events.insert_event(
            job_id, job.workflow_id, kind, JobStatus(job.status), at_ms, {**report, "phase": phase.value}
        )
    return job


def request_stop(job_ids: Iterable[JobId], at_ms: int) -> int:
    """Ask for the jobs to be stopped; those that are finished are left alone. Returns how many were asked."""
    unfinished, wanted = [status.value for status in UNFINISHED], list(job_ids)
    if not wanted:
        return 0
    with transaction():
        asked = (
            Job.update(stop_requested=True, due_at_ms=at_ms)
            .where(Job.job_id.in_(wanted) & Job.status.in_(unfinished))
            .execute()
        )
        notify()
    return int(asked)


def not_asked_to_stop(workflow_id: str) -> list[JobId]:
    """The workflow's unfinished jobs that nobody has asked to stop."""
    unfinished = [status.value for status in UNFINISHED]
    mine = (Job.workflow_id == workflow_id) & Job.status.in_(unfinished) & ~Job.stop_requested
    with session():
        return [JobId(row.job_id) for row in Job.select(Job.job_id).where(mine)]


def is_stop_requested(job_id: JobId) -> bool:
    """Whether the owner asked for a stop; for actions that take long."""
    with session():
        return bool(Job.select(Job.stop_requested).where(Job.job_id == job_id).scalar())


def record(job_id: JobId, token: str, changes: Mapping[str, Any]) -> bool:
    """Write columns other than the status, if the job is still ours. False: it is not."""
    stored = {name: getattr(Job, name).db_value(value) for name, value in changes.items()}
    with session():
        return bool(_recording(tuple(stored)).write(job_id=job_id, token=token, **stored))


def tell(job_id: JobId, token: str, sentence: str | None, at_ms: int) -> None:
    """Show the owner why the job waits, and say so in its timeline; null that it waits no more.

    What is known of its end already is never overwritten: then the timeline alone has it.
    """
    with transaction():
        job = get(job_id)
        if job.reason is not None or job.status == JobStatus.PUBLISHING.value:
            is_news = job.lease_token == token and sentence != events.last_text(job_id)
        else:
            is_news = job.reason_detail != sentence and record(job_id, token, {"reason_detail": sentence})
        if sentence is not None and is_news:
            detail = {"text": sentence}
            events.insert_event(job_id, job.workflow_id, events.NOTE, JobStatus(job.status), at_ms, detail)


def wake(job_id: JobId, at_ms: int) -> None:
    """Make an unfinished job due now: something happened outside."""
    with session():
        _WAKE.write(job_id=job_id, at_ms=at_ms)


def unfinished_among(job_ids: Iterable[JobId]) -> set[JobId]:
    """Which of the ids belong to jobs that are not finished; the others' things outside are orphans."""
    unfinished = [status.value for status in UNFINISHED]
    with session():
        rows = Job.select(Job.job_id).where(Job.job_id.in_(list(job_ids)) & Job.status.in_(unfinished))
        return {JobId(row.job_id) for row in rows}


def next_due_ms(engine: str, now_ms: int) -> int | None:
    """When the engine's next job, or one in nobody's hands, is due after now; null where nothing waits."""
    with session():
        found = _NEXT.tuples(engine=engine, now_ms=now_ms)
    return int(found[0][0]) if found else None


def queue_ends_at_ms(job: Job) -> int | None:
    """When the job's patience ends; null while it is not in line yet."""
    if job.ready_at_ms is None:
        return None
    with session():
        found = Workflow.select(Workflow.queue_max_wait_s).where(Workflow.workflow_id == job.workflow_id)
        return int(job.ready_at_ms) + int(found.scalar()) * 1000
