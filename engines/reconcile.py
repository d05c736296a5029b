"""Own one pass: lease what is due, then for each job observe, decide, act, until nothing is left to do now.

Jobs are carried side by side by a crew of threads, so that one slow pull or upload delays no other job's timeout.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, replace

from engines.act import Act, Interrupted, NotOurs
from engines.actions import Action, Create, Look, Record
from engines.admission import admit_waiting
from engines.context import Context
from engines.crew import Crew
from engines.decide import LOOK_MS, decide
from engines.drivers.base import NoRoom
from engines.endings import FAILURES
from engines.engine_row import check_daemon
from engines.job_view import JobView, from_row
from engines.observation import Seen
from shared.db import jobs, leases, results
from shared.db.tables import Job
from shared.errors import JobError, Unavailable
from shared.lifecycle import JobStatus, Reason, is_finished
from shared.logs import logger
from shared.names import JobId, Phase, new_token

log = logger("c2d.engine")

SLOW = frozenset({JobStatus.PULLING_IMAGE, JobStatus.BUILDING_IMAGE})
"Carried by threads of their own: they may take minutes."
OUTSIDE = frozenset({JobStatus.PROVISIONING, JobStatus.RUNNING, JobStatus.PUBLISHING})
"Statuses in which something of the job exists outside."
BACKOFF_MS = 60_000
ROOM_MS = 5_000
"Between two tries to get into a cluster whose quota is used up."
MOST_ROUNDS = 50
"A job is given back after so many looks in a row."
BATCH = 64
NO_ENGINE = ""
"Whose due jobs are those in line alone."


@dataclass(frozen=True)
class PassReport:
    """What one pass did."""

    admitted: int = 0
    leased: int = 0


def reconcile_once(context: Context, crew: Crew, *, is_waiting: bool = True) -> PassReport:
    """One pass. `is_waiting` returns only when all leased jobs were carried as far as they go now."""
    now_ms = context.now_ms()
    if not leases.has_due(context.name, now_ms):
        return PassReport()
    token = new_token()
    try:
        check_daemon(context)
    except Unavailable:
        for job_id in leases.lease_due(NO_ENGINE, now_ms, token, context.lease_ms, BATCH):
            carry(context, job_id, token)  # a stop, or the end of patience, in line need not wait for the engine
        raise
    admitted = admit_waiting(context.name, now_ms)
    leased = leases.lease_due(context.name, now_ms, token, context.lease_ms, BATCH)
    slow = jobs.in_status(leased, SLOW)
    carried = [_hand_over(context, crew, job_id, token, job_id in slow) for job_id in leased]
    if is_waiting:
        wait_for(carried)
    if admitted or leased:
        log.info("pass", fields={"engine": context.name, "admitted": admitted, "leased": len(leased)})
    return PassReport(admitted, len(leased))


def _hand_over(context: Context, crew: Crew, job_id: JobId, token: str, is_slow: bool) -> Future[None]:
    return crew.carry(context, job_id, token, is_slow, lambda: carry(context, job_id, token))


def carry(context: Context, job_id: JobId, token: str) -> None:
    """Take one leased job as far as it goes now, then give it back; an error backs it off and stops no other."""
    try:
        due_at_ms = _carry_on(context, job_id, token)
        if due_at_ms is not None:
            leases.release(job_id, token, due_at_ms)
    except NotOurs:
        log.info("the lease went to somebody else", fields={"job_id": job_id})
    except Interrupted:
        leases.release(job_id, token, context.now_ms())
    except NoRoom as error:
        jobs.tell(job_id, token, error.detail, context.now_ms())
        leases.release(job_id, token, context.now_ms() + ROOM_MS)
    except Unavailable as error:
        _back_off(context, job_id, token, error.detail)
    except Exception as error:
        log.exception("a job could not be carried on", fields={"job_id": job_id, "engine": context.name})
        _back_off(context, job_id, token, f"{type(error).__name__}: {error}")


def _carry_on(context: Context, job_id: JobId, token: str) -> int | None:
    """Observe, decide, act; again after each change. Returns when to look next; null when the job is finished."""
    act = Act(context, job_id, token)
    for _ in range(MOST_ROUNDS):
        job, seen = look(context, job_id)
        if is_finished(job.status):
            return None
        actions = decide(job, seen, context.now_ms())
        if not _perform_all(act, job, actions):
            return next((each.at_ms for each in actions if isinstance(each, Look)), context.now_ms() + BACKOFF_MS)
    return context.now_ms() + LOOK_MS  # an engine that says "done" and shows no change must not make us spin


def look(context: Context, job_id: JobId) -> tuple[JobView, Seen]:
    """What exists outside, then the row: a report made before an exit is never missed."""
    seen = Seen()
    first = jobs.get(job_id)
    if JobStatus(first.status) in OUTSIDE:
        seen = context.driver.observe(job_id)
        if seen.is_running(Phase.RUN):
            seen = replace(seen, disk_used_bytes=context.driver.measure_disk(job_id))
        if not seen.has_volume:
            check_daemon(context, is_cached=False)  # "gone" is only ever concluded from the recorded daemon
    row = jobs.get(job_id) if JobStatus(first.status) in OUTSIDE else first
    return view_of(row), seen


def view_of(row: Job) -> JobView:
    """The row as decisions see it."""
    is_queued = row.status == JobStatus.QUEUED.value
    return from_row(row, results.filenames(JobId(row.job_id)), jobs.queue_ends_at_ms(row) if is_queued else None)


def _perform_all(act: Act, job: JobView, actions: list[Action]) -> bool:
    """Do the actions in order; whether something changed, so that another look is worth it."""
    for action in actions:
        try:
            act.perform(action, job)
        except JobError as error:
            if job.ending is not None:  # its end is known already; only the way there is blocked
                raise Unavailable(error.detail) from error
            act.perform(_impossible(job, action, error), job)
            return True
    return bool(actions) and not isinstance(actions[-1], Look)


def _impossible(job: JobView, action: Action, error: JobError) -> Record:
    """What an action that can never succeed means: the job's coming end."""
    to = JobStatus.RUN_FAILED if action == Create(Phase.RUN) else FAILURES[job.status]
    return Record({"ending": to.value, "reason": Reason.ERROR.value, "reason_detail": error.detail})


def _back_off(context: Context, job_id: JobId, token: str, error: str) -> None:
    """Leave the job for later: twice as late after each failed try, a minute at most."""
    try:
        delay_ms = min(BACKOFF_MS, 1000 * 2 ** min(jobs.get(job_id).error_count, 6))
        leases.release(job_id, token, context.now_ms() + delay_ms, error=error)
        log.warning("a job waits", fields={"job_id": job_id, "cause": error, "delay_ms": delay_ms})
    except Unavailable:
        log.warning("the database is out of reach; the lease will run out", fields={"job_id": job_id})
