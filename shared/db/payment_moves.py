"""Own the one way a payment's state changes, and what follows for the jobs of its workflow, in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.db import moves, queue, reservations
from shared.db.connection import lock_rows, transaction
from shared.db.payment_tables import Payment
from shared.db.tables import Job
from shared.db.watch import notify
from shared.lifecycle import JobStatus
from shared.names import JobId
from shared.payment_states import PaymentState, check_payment_move

_LOCKING = (PaymentState.LOCK_PREPARED, PaymentState.LOCK_SENT)


def move(
    workflow_id: str, was: PaymentState, to: PaymentState, at_ms: int, changes: Mapping[str, Any] | None = None
) -> bool:
    """Change a state if it is still `was`, with `changes` to other columns. False: somebody else got there first.

    A lock that is confirmed puts its jobs in line; one that failed ends them.
    """
    check_payment_move(was, to)
    with transaction():
        fields = {**(changes or {}), "state": to.value, "updated_at_ms": at_ms}
        here = (Payment.workflow_id == workflow_id) & (Payment.state == was.value)
        if not Payment.update(fields).where(here).execute():
            return False
        if to is PaymentState.LOCKED:
            _release(workflow_id, at_ms)
        if to is PaymentState.LOCK_FAILED and was in _LOCKING:
            why = str((changes or {}).get("outcome") or "nothing was set aside")
            moves.end_unpaid(workflow_id, f"The payment's lock failed: {why}", at_ms)
        notify()
    return True


def _release(workflow_id: str, at_ms: int) -> None:
    """The lock was one more thing that each job waited for; it comes once in a payment's life."""
    waiting = (Job.workflow_id == workflow_id) & (Job.status == JobStatus.QUEUED.value)
    jobs = list(lock_rows(Job.select().where(waiting).order_by(Job.job_id)))
    for job in jobs:
        Job.update(unmet=Job.unmet - 1).where(Job.job_id == job.job_id).execute()
        if not reservations.admit_held(JobId(job.job_id), at_ms):
            queue.make_ready(job.job_id, at_ms)
