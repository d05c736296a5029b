"""Own the queue: which jobs are ready, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from peewee import Select, fn

from shared.db.base import DATABASE
from shared.db.connection import lock_rows, session
from shared.db.node_tables import Turn
from shared.db.statements import Statement
from shared.db.tables import Job, Workflow
from shared.db.watch import notify
from shared.lifecycle import JobStatus

RECENT = 100
"So many of an owner's latest jobs tell when it was served last."
_IN_TURN = (Turn.served_at_ms, Turn.since_ms, Turn.owner)
_TURNS = Statement(lambda limit: Turn.select(Turn.owner).order_by(*_IN_TURN).limit(limit))
READY = (Job.status == JobStatus.QUEUED.value) & (Job.unmet == 0)
_LINE = Statement(
    lambda owner, depth: (
        Job.select()
        .where((Job.owner == owner) & READY & (Job.stop_requested == False))  # noqa: E712 - SQL, not Python
        .order_by(Job.ready_at_ms, Job.index)
        .limit(depth)
    )
)
_SERVED = Statement(lambda owner, at_ms: Turn.update(served_at_ms=at_ms).where(Turn.owner == owner))
_LOCKED = Statement(lambda owner: lock_rows(Turn.select(Turn.owner).where(Turn.owner == owner)))
_LEAVE = Statement(
    lambda owner: Turn.delete().where(
        (Turn.owner == owner) & ~fn.EXISTS(Job.select(Job.job_id).where((Job.owner == Turn.owner) & READY))
    )
)


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
    _take_turn(row.owner, at_ms)
    notify()


def _take_turn(owner: str, at_ms: int) -> None:
    """Put the owner in line, as last served when it really was: leaving the line and coming back gains nothing.

    The row is written even where it is there, so that `leave_if_empty` of another transaction waits for this one.
    """
    recent = Job.select(Job.admitted_at_ms).where(Job.owner == owner).order_by(Job.created_at_ms.desc()).limit(RECENT)
    served: Any = Select([recent], [fn.MAX(recent.c.admitted_at_ms)]).bind(DATABASE).scalar()
    Turn.insert(owner=owner, served_at_ms=served or 0, since_ms=at_ms).on_conflict(
        conflict_target=[Turn.owner], update={Turn.since_ms: Turn.since_ms}
    ).execute()


def owners_in_turn(limit: int, passed_over: Collection[str] = ()) -> list[str]:
    """Owners with jobs in line, who waited longest for their turn first; without those passed over already."""
    with session():
        if not passed_over:
            return [owner for (owner,) in _TURNS.tuples(limit=limit)]
        turns = Turn.select(Turn.owner).order_by(*_IN_TURN).where(Turn.owner.not_in(list(passed_over)))
        return [row.owner for row in turns.limit(limit)]


def first_in_line(owner: str, is_for_us: Callable[[Job], bool], depth: int = 50) -> Job | None:
    """The owner's longest waiting ready job that this engine could ever take; looks `depth` jobs deep."""
    with session():
        for looked in (1, depth):  # mostly the very first is
            found: Job | None = next((job for job in _LINE.rows(owner=owner, depth=looked) if is_for_us(job)), None)
            if found is not None:
                return found
        return None


def end_turn(owner: str, at_ms: int) -> None:
    """Remember that the owner was served; one with nothing left in line leaves it. Part of the caller's transaction."""
    _SERVED.write(owner=owner, at_ms=at_ms)
    leave_if_empty([owner])


def leave_if_empty(owners: Collection[str]) -> None:
    """Forget the turns of owners with nothing in line; part of the caller's transaction."""
    for owner in sorted(owners):
        _LOCKED.tuples(owner=owner)
        _LEAVE.write(owner=owner)


def depth() -> int:
    """How many jobs are ready and wait."""
    with session():
        return int(Job.select().where(READY).count(DATABASE))
