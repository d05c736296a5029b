"""Own one pass: lease what is due, then for each job observe, decide, act, until nothing is left to do now.

Jobs are carried side by side by a crew of threads, so that one slow pull or upload delays no other job's timeout.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass

from engines.act import Act, Interrupted, NotOurs
from engines.actions import Action, Create, Look, Move, Record
from engines.admission import admit_waiting
from engines.context import Context
from engines.crew import Crew
from engines.decide import LOOK_MS, decide
from engines.drivers.base import NoRoom
from engines.endings import FAILURES, failure
from engines.engine_row import check_daemon
from engines.job_view import JobView
from engines.looking import look, view_of
from shared.db import jobs, leases
from shared.errors import JobError, Unavailable
from shared.lifecycle import JobStatus, Reason, is_finished
from shared.logs import logger
from shared.names import JobId, Phase, new_token

log = logger("c2d.engine")

SLOW = frozenset({JobStatus.PULLING_IMAGE, JobStatus.BUILDING_IMAGE})
"Carried by threads of their own: they may take minutes."
BACKOFF_MS = 60_000
ROOM_MS = 5_000
"Between two tries to get into a cluster whose quota is used up."
MOST_ROUNDS = 50
"A job is given back after so many looks in a row."
BATCH = 64
"So many jobs of one kind have or await a thread; what is not leased, another process may take."
ADMITTED_AT_ONCE = 16
"By a pass that goes on at once: letting in thousands must not keep what is in already from being carried."
NO_ENGINE = ""
"Whose due jobs are those in line alone."


@dataclass(frozen=True)
class PassReport:
    """What one pass did."""

    admitted: int = 0
    leased: int = 0
    is_behind: bool = False
    "More may be due than the threads can take on now."


def reconcile_once(context: Context, crew: Crew, *, is_waiting: bool = True) -> PassReport:
    """One pass. `is_waiting` returns only when all leased jobs were carried as far as they go now."""
    now_ms, room = context.now_ms(), crew.room(BATCH, is_slow=False)
    if not room:
        return PassReport(is_behind=True)
    if not leases.has_due(context.name, now_ms):
        return PassReport()
    token = new_token()
    try:
        check_daemon(context)
    except Unavailable:
        for job_id in leases.lease_due(NO_ENGINE, now_ms, token, context.lease_ms, BATCH):
            carry(context, job_id, token, JobStatus.QUEUED)  # in line, a stop or its wait's end need no engine
        raise
    admitted = admit_waiting(context.name, now_ms, _admissible(crew, is_waiting))
    leased = leases.lease_due(context.name, now_ms, token, context.lease_ms, room)
    carried = [_hand_over(context, crew, job_id, token, status) for job_id, status in leased.items()]
    if is_waiting:
        wait_for(carried)
    if admitted or leased:
        log.info("pass", fields={"engine": context.name, "admitted": admitted, "leased": len(leased)})
    return PassReport(admitted, len(leased))


def _admissible(crew: Crew, is_waiting: bool) -> int:
    """How many jobs to let in now: each begins with its image, which is slow; another process may have threads free."""
    return min(BATCH if is_waiting else ADMITTED_AT_ONCE, crew.room(BATCH, is_slow=True))


def _hand_over(context: Context, crew: Crew, job_id: JobId, token: str, status: JobStatus) -> Future[None]:
    return crew.carry(context, job_id, token, status in SLOW, lambda: carry(context, job_id, token, status))


def carry(context: Context, job_id: JobId, token: str, status: JobStatus) -> None:
    """Take one leased job as far as it goes now, then give it back; an error backs it off and stops no other."""
    try:
        due_at_ms = _carry_on(context, job_id, token, status)
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


def _carry_on(context: Context, job_id: JobId, token: str, status: JobStatus) -> int | None:
    """Observe, decide, act; again after each change. Returns when to look next; null when the job is finished."""
    act = Act(context, job_id, token)
    for _ in range(MOST_ROUNDS):
        job, done = _round(context, act, job_id, status)
        match done:
            case _ if is_finished(job.status):
                return None
            case None:
                return context.now_ms() + BACKOFF_MS
            case Look(at_ms):
                return at_ms
            case Move(to) if is_finished(to):
                return None
            case Move(to):
                status = to
            case _:
                status = job.status
    return context.now_ms() + LOOK_MS  # an engine that says "done" and shows no change must not make us spin


def _round(context: Context, act: Act, job_id: JobId, status: JobStatus) -> tuple[JobView, Action | None]:
    """One look and what follows from it; the job as it was seen, and the last that was done."""
    row, seen = look(context, job_id, status)
    job = view_of(row)
    if is_finished(job.status):
        return job, None
    act.stand_at(row)
    return job, _perform_all(act, job, decide(job, seen, context.now_ms()))


def _perform_all(act: Act, job: JobView, actions: list[Action]) -> Action | None:
    """Do the actions in order; the last that was done, null where there was nothing to do."""
    for action in actions:
        try:
            act.perform(action, job)
        except JobError as error:
            if job.ending is not None:  # its end is known already; only the way there is blocked
                raise Unavailable(error.detail) from error
            known = _impossible(job, action, error)
            act.perform(known, job)
            return known
    return actions[-1] if actions else None


def _impossible(job: JobView, action: Action, error: JobError) -> Record:
    """What an action that can never succeed means: the job's coming end."""
    to = JobStatus.RUN_FAILED if action == Create(Phase.RUN) else FAILURES[job.status]
    to, reason, detail = failure(job, to, Reason.ERROR, error.detail)
    return Record({"ending": to.value, "reason": reason.value, "reason_detail": detail})


def _back_off(context: Context, job_id: JobId, token: str, error: str) -> None:
    """Leave the job for later: twice as late after each failed try, a minute at most."""
    try:
        delay_ms = min(BACKOFF_MS, 1000 * 2 ** min(jobs.get(job_id).error_count, 6))
        leases.release(job_id, token, context.now_ms() + delay_ms, error=error)
        log.warning("a job waits", fields={"job_id": job_id, "cause": error, "delay_ms": delay_ms})
    except Unavailable:
        log.warning("the database is out of reach; the lease will run out", fields={"job_id": job_id})
