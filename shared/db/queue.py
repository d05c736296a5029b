"""Own the queue: which jobs are ready, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from peewee import fn

from shared.db.base import DATABASE
from shared.db.connection import session, transaction
from shared.db.node_tables import Turn
from shared.db.tables import Job, Workflow
from shared.db.watch import notify
from shared.lifecycle import JobStatus

READY = (Job.status == JobStatus.QUEUED.value) & (Job.unmet == 0)


def make_ready(job_id: str, at_ms: int) -> None:
    """Put a queued job whose dependencies have all succeeded in line; its wait counts from now.

    Part of the caller's transaction. It is due when its wait is over, to be told so.
    """
    row = (
        Job.select(Job.owner, Workflow.queue_max_wait_s)
        .join(Workflow, on=(Workflow.workflow_id == Job.workflow_id))
        .where((Job.job_id == job_id) & READY)
        .namedtuples()
        .first()
    )
    if row is None:
        return
    Job.update(ready_at_ms=at_ms, due_at_ms=at_ms + row.queue_max_wait_s * 1000).where(
        (Job.job_id == job_id) & READY & (Job.stop_requested == False)  # noqa: E712 - SQL, not Python
    ).execute()
    Turn.insert(owner=row.owner, served_at_ms=0).on_conflict_ignore().execute()
    notify()


def owners_in_turn(limit: int) -> list[str]:
    """Owners with jobs in line, who waited longest for their turn first."""
    with session():
        return [row.owner for row in Turn.select(Turn.owner).order_by(Turn.served_at_ms, Turn.owner).limit(limit)]


def first_in_line(owner: str, is_for_us: Callable[[Job], bool], depth: int = 50) -> Job | None:
    """The owner's longest waiting ready job that this engine could ever take; looks `depth` jobs deep."""
    with session():
        line = Job.select().where((Job.owner == owner) & READY).order_by(Job.ready_at_ms, Job.index).limit(depth)
        return next((job for job in line if is_for_us(job)), None)


def end_turn(owner: str, at_ms: int) -> None:
    """Remember that the owner was served; one with nothing left in line leaves it."""
    with transaction():
        Turn.update(served_at_ms=at_ms).where(Turn.owner == owner).execute()
        leave_if_empty([owner])


def leave_if_empty(owners: Sequence[str]) -> None:
    """Forget the turns of owners with nothing in line; part of the caller's transaction."""
    in_line = Job.select(Job.job_id).where((Job.owner == Turn.owner) & READY)
    Turn.delete().where(Turn.owner.in_(list(owners)) & ~fn.EXISTS(in_line)).execute()


def depth() -> int:
    """How many jobs are ready and wait."""
    with session():
        return int(Job.select().where(READY).count(DATABASE))
